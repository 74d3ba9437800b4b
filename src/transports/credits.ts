/** The jobs that the runner of one stream can still take: its own total, less what it cannot have known of when it counted. */
export class Credits {
  #total = 0
  #reserved = 0
  /** Envelopes of offers that the runner may not have seen yet. */
  #offersOut: number[] = []

  get free(): number {
    return this.#total - this.#reserved
  }

  /** Keeps one back for an offer whose commit is under way. */
  reserve(): void {
    this.#reserved++
  }

  unreserve(): void {
    this.#reserved--
  }

  /** Spends one on the offer in this envelope. */
  spend(envelope: number): void {
    this.#total--
    this.#offersOut.push(envelope)
  }

  /** The runner counts `total`, having seen the envelopes up to `seen`. */
  set(total: number, seen: number): void {
    this.#offersOut = this.#offersOut.filter((envelope) => envelope > seen)
    this.#total = Math.max(0, total - this.#offersOut.length)
  }
}

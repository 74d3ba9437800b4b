/** Places for jobs that several runners of one process share. */

/** Counts the jobs of all, and tells each runner when there is more or less room. */
export class Places {
  #taken = 0
  readonly #listeners = new Set<() => void>()

  constructor(private total: number) {}

  /** How many jobs may still begin; never below none. */
  get free(): number {
    return Math.max(0, this.total - this.#taken)
  }

  /** Changes how many there are; jobs that run stay. */
  resize(total: number): void {
    this.total = total
    this.#tell()
  }

  take(): void {
    this.#taken++
    this.#tell()
  }

  release(): void {
    this.#taken--
    this.#tell()
  }

  /** Calls back at every change, until the function that is returned is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}

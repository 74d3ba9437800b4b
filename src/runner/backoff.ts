/**
 * Waits between attempts to connect, by windows: the attempt is made at a random moment inside a window, and the rest of
 * the window is waited out before the next, twice as long, begins. Repeated jitter without windows would pile the
 * attempts of many runners up around the mean (compare `agent_worker_streaming.go` of buildkite/agent).
 */
export class WindowedBackoff {
  #window: number
  #rest = 0

  constructor(
    private readonly firstMs: number,
    private readonly capMs: number,
    private readonly random: () => number = Math.random,
  ) {
    this.#window = firstMs
  }

  /** Milliseconds to wait before the next attempt. */
  next(): number {
    const at = this.random() * this.#window
    const wait = this.#rest + at
    this.#rest = this.#window - at
    this.#window = Math.min(this.#window * 2, this.capMs)
    return wait
  }

  /** Called after the first good message of a stream. */
  reset(): void {
    this.#window = this.firstMs
    this.#rest = 0
  }
}

/** Messages of one stream that wait to be handled: strictly in order, one at a time, and never more than 64 or 1 MiB for long. */
import type { RunnerMessage } from '../gen/signalbox/runner/v1/runner.js'
import type { Carrier } from './carrier.js'

const limit = 64
const limitBytes = 1024 * 1024

export class Inbox {
  readonly #carrier: Pick<Carrier, 'pause' | 'resume'>
  readonly #handle: (message: RunnerMessage) => Promise<void>
  readonly #broken: (error: unknown) => void
  #waiting: { message: RunnerMessage; bytes: number }[] = []
  #bytes = 0
  #busy = false
  #paused = false

  /** `handle` should not throw; if it does `broken` is called, and nothing is handled any more. */
  constructor(
    carrier: Pick<Carrier, 'pause' | 'resume'>,
    handle: (message: RunnerMessage) => Promise<void>,
    broken: (error: unknown) => void,
  ) {
    this.#carrier = carrier
    this.#handle = handle
    this.#broken = broken
  }

  /** Takes in one envelope of `bytes` bytes. */
  push(message: RunnerMessage, bytes: number): void {
    this.#waiting.push({ message, bytes })
    this.#bytes += bytes
    if (!this.#paused && (this.#waiting.length > limit || this.#bytes > limitBytes)) {
      this.#paused = true
      this.#carrier.pause()
    }
    if (!this.#busy) this.#work().catch(this.#broken)
  }

  /** Drops what waits. */
  clear(): void {
    this.#waiting = []
  }

  async #work(): Promise<void> {
    this.#busy = true
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      this.#bytes -= next.bytes
      await this.#handle(next.message)
      if (this.#paused && this.#waiting.length < limit / 2 && this.#bytes < limitBytes / 2) {
        this.#paused = false
        this.#carrier.resume()
      }
    }
    this.#busy = false
  }
}

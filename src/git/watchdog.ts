/** Notices that something does not move on, or takes too long altogether. */
import type { Clock } from '../core/clock.js'

export class Watchdog {
  readonly #clock: Clock
  readonly #idleMs: number
  readonly #onIdle: () => void
  readonly #stopTotal: () => void
  #movedAt: number
  #stopIdle: () => void

  /** `onIdle` is called once: after `idleMs` without a `touch`, or `totalMs` from now. */
  constructor(clock: Clock, { idleMs, totalMs }: { idleMs: number; totalMs: number }, onIdle: () => void) {
    this.#clock = clock
    this.#idleMs = idleMs
    this.#onIdle = onIdle
    this.#movedAt = clock.ran()
    this.#stopIdle = clock.after(idleMs, () => this.#look())
    this.#stopTotal = clock.after(totalMs, () => this.#bark())
  }

  /** It moves. Cheap: called for every chunk. */
  touch(): void {
    this.#movedAt = this.#clock.ran()
  }

  stop(): void {
    this.#stopIdle()
    this.#stopTotal()
  }

  #look(): void {
    const left = this.#movedAt + this.#idleMs - this.#clock.ran()
    if (left <= 0) this.#bark()
    else this.#stopIdle = this.#clock.after(left, () => this.#look())
  }

  #bark(): void {
    this.stop()
    this.#onIdle()
  }
}

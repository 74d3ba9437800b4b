/** Leaves a plugin alone that fails too often: `closed`, `open`, `half_open` as `fence.ts` says. */
import type { Clock } from '../core/clock.js'

/** Tells the breaker how a call that it has admitted ended. */
export type Settle = (well: boolean) => void

const windowMs = 60_000
const failureLimit = 5
const openMs = 30_000

/** Counts failures, and says who may be called. */
export class Breaker {
  readonly #clock: Clock
  /** Times of the failures of the last 60 s. */
  #failures: number[] = []
  #openedAt: number | undefined
  #trial = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get state(): 'closed' | 'open' | 'half_open' {
    if (this.#openedAt === undefined) return 'closed'
    return this.#clock.now() - this.#openedAt < openMs ? 'open' : 'half_open'
  }

  /** How long calls are still refused, in milliseconds. */
  get opensInMs(): number {
    return this.#openedAt === undefined ? 0 : Math.max(0, this.#openedAt + openMs - this.#clock.now())
  }

  /** Lets a call through, or not (undefined). The call must be settled. */
  admit(): Settle | undefined {
    const { state } = this
    if (state === 'closed') {
      // A good end says nothing here: it may be of a call from before the breaker opened.
      return (well) => {
        if (!well) this.#failed()
      }
    }
    if (state === 'open' || this.#trial) return undefined
    this.#trial = true
    return (well) => {
      this.#trial = false
      this.#failures = []
      this.#openedAt = well ? undefined : this.#clock.now()
    }
  }

  /** Lets calls through again: what was called before is not there any more. */
  reset(): void {
    this.#failures = []
    this.#openedAt = undefined
  }

  #failed(): void {
    const now = this.#clock.now()
    this.#failures = [...this.#failures.filter((at) => now - at < windowMs), now]
    if (this.#failures.length < failureLimit) return
    this.#failures = []
    this.#openedAt = now
  }
}

/** Token buckets by key, in a table that never grows past its bound: who has not been seen lately is forgotten. */
import type { Clock } from '../core/clock.js'
import { SignalboxError } from '../core/errors.js'
import { RecentMap } from '../core/recent-map.js'

export interface Rate {
  perSecond: number
  burst: number
}

interface Bucket {
  left: number
  at: number
}

const mostKeys = 50_000

/** Lets each key take a burst at once, and then as many a second as the rate allows. */
export class RateLimit<Key extends string | number> {
  readonly #clock: Clock
  readonly #rate: Rate
  readonly #buckets = new RecentMap<Key, Bucket>(mostKeys)

  constructor(clock: Clock, rate: Rate) {
    this.#clock = clock
    this.#rate = rate
  }

  get size(): number {
    return this.#buckets.size
  }

  /** Takes one. Throws `rate_limited` with `details.retryAfterS` if none is left. */
  take(key: Key): void {
    const bucket = this.#bucket(key)
    if (bucket.left < 1) throw limited((1 - bucket.left) / this.#rate.perSecond)
    bucket.left -= 1
  }

  /** Puts back one that was taken: it does not count. */
  giveBack(key: Key): void {
    const bucket = this.#bucket(key)
    bucket.left = Math.min(this.#rate.burst, bucket.left + 1)
  }

  #bucket(key: Key): Bucket {
    const now = this.#clock.now()
    const { perSecond, burst } = this.#rate
    const known = this.#buckets.get(key)
    if (known) {
      known.left = Math.min(burst, known.left + ((now - known.at) / 1000) * perSecond)
      known.at = now
      return known
    }
    const bucket = { left: burst, at: now }
    this.#buckets.set(key, bucket)
    return bucket
  }
}

function limited(waitS: number): SignalboxError {
  return new SignalboxError('rate_limited', 'This endpoint has been requested too many times. Try again later.', {
    details: { retryAfterS: Math.max(1, Math.ceil(waitS)) },
  })
}

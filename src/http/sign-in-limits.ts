/**
 * How often passwords may be tried. Taken before one is compared, so that ten thousand at once get no further than one after
 * another, and given back for the right one. Few tries from one address at one account; many more at an account from everywhere
 * together, so that nobody locks its owner out easily.
 */
import type { Clock } from '../core/clock.js'
import { type Rate, RateLimit } from './rate-limit.js'

/** Wrong passwords at once, and then a second. */
export const signInRates = {
  address: { perSecond: 0.5, burst: 30 },
  account: { perSecond: 0.1, burst: 100 },
  both: { perSecond: 1 / 30, burst: 10 },
} as const satisfies Record<string, Rate>

/** Counts wrong passwords by account, by address, and by both. */
export class SignInLimits {
  readonly #address: RateLimit<string>
  readonly #account: RateLimit<string>
  readonly #both: RateLimit<string>

  constructor(clock: Clock) {
    this.#address = new RateLimit(clock, signInRates.address)
    this.#account = new RateLimit(clock, signInRates.account)
    this.#both = new RateLimit(clock, signInRates.both)
  }

  /** Runs a sign-in that rejects for a wrong password. Throws `rate_limited`. */
  async count<T>({ account, address }: { account: string; address: string }, signIn: () => Promise<T>): Promise<T> {
    const name = account.toLowerCase()
    const pair = `${address} ${name}`
    this.#both.take(pair)
    this.#address.take(address)
    this.#account.take(name)
    const done = await signIn()
    this.#both.giveBack(pair)
    this.#address.giveBack(address)
    this.#account.giveBack(name)
    return done
  }
}

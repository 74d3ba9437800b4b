/**
 * Passwords at rest: scrypt (RFC 7914) with its figures and a salt beside the hash, so that they can grow later. The figures
 * are https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#scrypt
 */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { SignalboxError } from '../errors.js'

/** What a hash costs: memory and time are `128 · N · r` bytes, `p` times. */
export interface Cost {
  N: number
  r: number
  p: number
}

/** 32 MiB, three times. */
const usualCost: Cost = { N: 2 ** 15, r: 8, p: 3 }
const saltBytes = 16
const hashBytes = 32
const mostWaiting = 50

/** Hashes one password at a time: each takes a thread of Node's pool and 32 MiB, and files need these threads too. */
export class Passwords {
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0
  readonly #cost: Cost

  constructor(cost: Cost = usualCost) {
    this.#cost = cost
  }

  /** Returns what is kept of a password: `scrypt$N$r$p$salt$hash`. Throws `rate_limited` while fifty others wait. */
  async hash(password: string): Promise<string> {
    const salt = randomBytes(saltBytes)
    const hash = await this.#derive(password, salt, this.#cost)
    const { N, r, p } = this.#cost
    return ['scrypt', N, r, p, salt.toString('base64'), hash.toString('base64')].join('$')
  }

  /**
   * Returns whether it is the password. `kept` undefined: it is not, and that takes as long, so that time does not tell who has
   * one. Throws `rate_limited` as `hash` does.
   */
  async fits(password: string, kept: string | undefined): Promise<boolean> {
    const [, N, r, p, salt, hash] = (kept ?? '').split('$')
    const figures = kept === undefined ? this.#cost : { N: Number(N), r: Number(r), p: Number(p) }
    const expected = Buffer.from(hash ?? '', 'base64')
    const derived = await this.#derive(password, Buffer.from(salt ?? '', 'base64'), figures)
    return derived.length === expected.length && timingSafeEqual(derived, expected)
  }

  async #derive(password: string, salt: Buffer, { N, r, p }: Cost): Promise<Buffer> {
    if (this.#waiting >= mostWaiting) {
      throw new SignalboxError('rate_limited', 'too many people sign in at once', { details: { retryAfterS: 5 } })
    }
    this.#waiting++
    const before = this.#last
    const derived = before.then(() =>
      derive(password.normalize('NFKC'), salt, { N, r, p, maxmem: 256 * N * r + 2 ** 20 }),
    )
    this.#last = derived.catch(() => undefined)
    try {
      return await derived
    } finally {
      this.#waiting--
    }
  }
}

function derive(password: string, salt: Buffer, options: Cost & { maxmem: number }): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, hashBytes, options, (error, key) => (error ? reject(error) : resolve(key)))
  })
}

/** How many of one kind of request each key may have under way. Holds only keys that have some. */
import { SignalboxError } from '../core/errors.js'

export class AtOnce<Key extends string | number> {
  readonly #most: number
  readonly #running = new Map<Key, number>()

  constructor(most: number) {
    this.#most = most
  }

  /** Runs `body` unless the key has as many under way as it may: then it throws `rate_limited`. */
  async run<T>(key: Key, body: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key) ?? 0
    if (running >= this.#most) {
      throw new SignalboxError('rate_limited', 'Too many of these requests at once. Try again later.', {
        details: { retryAfterS: 1 },
      })
    }
    this.#running.set(key, running + 1)
    try {
      return await body()
    } finally {
      this.#leave(key)
    }
  }

  #leave(key: Key): void {
    const left = (this.#running.get(key) ?? 1) - 1
    if (left === 0) this.#running.delete(key)
    else this.#running.set(key, left)
  }
}

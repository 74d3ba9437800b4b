/** Keeps what was used last, up to a weight. For values that never go stale: those named by an object id. */
export class BoundedCache<Value> {
  readonly #limit: number
  readonly #entries = new Map<string, { value: Value; weight: number }>()
  #weight = 0

  /** `limit`: the sum of the weights that are kept, in bytes or whatever the caller counts. */
  constructor(limit: number) {
    this.#limit = limit
  }

  get(key: string): Value | undefined {
    const entry = this.#entries.get(key)
    if (!entry) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return entry.value
  }

  /** Returns the value. One that is heavier than an eighth of the limit is not kept. */
  set(key: string, value: Value, weight: number): Value {
    this.delete(key)
    if (weight > this.#limit / 8) return value
    this.#entries.set(key, { value, weight })
    this.#weight += weight
    for (const oldest of this.#entries.keys()) {
      if (this.#weight <= this.#limit) break
      this.delete(oldest)
    }
    return value
  }

  delete(key: string): void {
    const entry = this.#entries.get(key)
    if (!entry) return
    this.#weight -= entry.weight
    this.#entries.delete(key)
  }

  get weight(): number {
    return this.#weight
  }
}

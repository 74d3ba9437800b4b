/**
 * A map that holds a limited number of entries and forgets those that were not asked for lately. It has two halves: when
 * the young one is full it becomes the old one, and what was old is forgotten unless it was asked for meanwhile.
 *
 * Not the usual `delete` and `set` of one Map's oldest key: V8 leaves a hole for each deleted entry, and finding the first
 * key behind thousands of holes makes a full table cost a hundred times an empty one, for whoever fills it on purpose.
 */
export class RecentMap<Key, Value> {
  readonly #half: number
  #young = new Map<Key, Value>()
  #old = new Map<Key, Value>()

  constructor(limit: number) {
    this.#half = Math.max(1, Math.floor(limit / 2))
  }

  /** Entries at the most; one that is in both halves is counted twice. */
  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(key: Key): Value | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }

  set(key: Key, value: Value): void {
    this.#young.set(key, value)
    if (this.#young.size < this.#half) return
    this.#old = this.#young
    this.#young = new Map()
  }

  delete(key: Key): void {
    this.#young.delete(key)
    this.#old.delete(key)
  }

  *values(): IterableIterator<Value> {
    yield* this.#young.values()
    for (const [key, value] of this.#old) if (!this.#young.has(key)) yield value
  }
}

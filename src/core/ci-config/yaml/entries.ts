/** Entries of maps: equal keys and merge keys. */
import { ConfigFault } from '../fault.js'
import { limits } from '../limits.js'
import { checkKey, type Entry, type Node, type Scalar } from '../node.js'

export type OnDuplicateKey = (key: string, at: number) => void

/** Fills maps as Psych does: the last of equal keys wins, `<<` merges at its position. One for each document. */
export class EntryWriter {
  readonly #onDuplicateKey: OnDuplicateKey | undefined
  /** Entries copied by merge keys so far. */
  #merged = 0

  constructor(onDuplicateKey: OnDuplicateKey | undefined) {
    this.#onDuplicateKey = onDuplicateKey
  }

  add(entries: Map<Scalar, Entry>, key: Node, at: number, value: Node): void {
    const name = keyOf(key, at)
    if (name === '<<' && this.#merge(entries, value, at)) return
    if (entries.has(name)) this.#onDuplicateKey?.(String(name), at)
    entries.set(name, { at, value })
  }

  #merge(entries: Map<Scalar, Entry>, value: Node, at: number): boolean {
    if (value.kind === 'map') {
      this.#mergeMap(entries, value.entries, at)
      return true
    }
    if (value.kind !== 'list' || value.items.some((item) => item.kind !== 'map')) return false
    for (const item of value.items.toReversed()) {
      if (item.kind === 'map') this.#mergeMap(entries, item.entries, at)
    }
    return true
  }

  #mergeMap(entries: Map<Scalar, Entry>, from: ReadonlyMap<Scalar, Entry>, at: number): void {
    this.#merged += from.size
    if (this.#merged > limits.nodes) {
      throw new ConfigFault(`merge keys bring more than ${limits.nodes} entries`, at)
    }
    for (const [name, entry] of from) entries.set(name, entry)
  }
}

/** @throws ConfigFault for a collection, and for names that reach into JavaScript's prototypes */
export function keyOf(key: Node, at: number): Scalar {
  if (key.kind !== 'scalar') throw new ConfigFault('a key must be a text, not a collection', at)
  checkKey(key.value, at)
  return key.value
}

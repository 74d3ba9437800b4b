/** Merges maps, within a budget. */
import { ConfigFault } from './fault.js'
import { limits } from './limits.js'
import { type Entry, type MapNode, makeMap, type Scalar } from './node.js'

/** Counts the entries that merges visit, so that a small file cannot ask for endless work. */
export class MergeBudget {
  #left: number = limits.mergeSteps

  spend(steps: number, at: number): void {
    this.#left -= steps
    if (this.#left < 0) throw new ConfigFault('merging include files and extends takes too many steps', at)
  }
}

/** Maps are merged key by key; everything else, lists and null too, is replaced by the later value. */
export function deepMerge(base: MapNode, over: MapNode, budget: MergeBudget): MapNode {
  if (base === over || base.entries.size === 0) return over
  if (over.entries.size === 0) return base
  budget.spend(base.entries.size + over.entries.size, over.at)
  const entries = new Map<Scalar, Entry>(base.entries)
  for (const [key, entry] of over.entries) {
    const { at, value } = entry
    const before = entries.get(key)?.value
    const both = before?.kind === 'map' && value.kind === 'map'
    entries.set(key, both ? { at, value: deepMerge(before, value, budget) } : entry)
  }
  return makeMap(entries, over.at)
}

export function withoutKey(map: MapNode, key: string): MapNode {
  const entries = new Map(map.entries)
  entries.delete(key)
  return makeMap(entries, map.at)
}

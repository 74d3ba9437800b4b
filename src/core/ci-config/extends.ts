/** A part of compiling: `extends`. */
import { ConfigFault } from './fault.js'
import { limits } from './limits.js'
import { deepMerge, type MergeBudget } from './merge.js'
import { type Entry, isNull, type MapNode, makeMap, type Node, quote, type Scalar } from './node.js'
import { didYouMean, except } from './suggest.js'

interface Resolved {
  map: MapNode
  /** Length of the longest chain of bases above it. */
  height: number
}

/**
 * Merges every top-level map over the bases that its `extends` names: a later base beats an earlier one, the map's own
 * keys beat all (lib/gitlab/ci/config/extendable.rb).
 *
 * @throws ConfigFault naming the job, for unknown bases, bases that are no map, cycles and chains that are too long
 */
export function resolveExtends(root: MapNode, budget: MergeBudget): MapNode {
  const resolved = new Map<Scalar, Resolved>()
  const open = new Set<Scalar>()

  function resolve(name: Scalar, map: MapNode): Resolved {
    const known = resolved.get(name)
    if (known !== undefined) return known
    const entry = map.entries.get('extends')
    let result: Resolved = { map, height: 0 }
    if (entry !== undefined && !isNull(entry.value)) {
      open.add(name)
      result = resolveEntry(name, map, entry)
      open.delete(name)
    }
    resolved.set(name, result)
    return result
  }

  function resolveEntry(name: Scalar, map: MapNode, entry: Entry): Resolved {
    const path = `${name}:extends`
    let merged: MapNode | undefined
    let height = 0
    for (const base of baseNames(entry, path)) {
      const node = root.entries.get(base)?.value
      if (node === undefined) {
        const hint = didYouMean(base, except(textKeys(root), name))
        throw new ConfigFault(`unknown keys in extends: ${quote(base)} is not defined${hint}`, entry.at, path)
      }
      if (node.kind !== 'map') {
        throw new ConfigFault(`invalid base in extends: ${quote(base)} must be a map`, entry.at, path)
      }
      if (open.has(base)) {
        const chain = [...open]
          .slice([...open].indexOf(base))
          .concat(base)
          .join(' → ')
        throw new ConfigFault(`circular dependency detected in extends: ${chain}`, entry.at, path)
      }
      const above = resolve(base, node)
      height = Math.max(height, above.height + 1)
      if (height > limits.extendsDepth) {
        throw new ConfigFault(`extends is nested too deep: ${limits.extendsDepth} levels at most`, entry.at, path)
      }
      merged = merged === undefined ? above.map : deepMerge(merged, above.map, budget)
    }
    return { map: merged === undefined ? map : deepMerge(merged, map, budget), height }
  }

  const entries = new Map<Scalar, Entry>()
  for (const [name, entry] of root.entries) {
    const value = entry.value.kind === 'map' ? resolve(name, entry.value).map : entry.value
    entries.set(name, value === entry.value ? entry : { at: entry.at, value })
  }
  return makeMap(entries, root.at)
}

function baseNames(entry: Entry, path: string): string[] {
  const { value } = entry
  const items: readonly Node[] = value.kind === 'list' ? value.items : [value]
  return items.map((item) => {
    if (item.kind === 'scalar' && typeof item.value === 'string') return item.value
    throw new ConfigFault('extends must be a string or a list of strings', item.at, path)
  })
}

function* textKeys(map: MapNode): Generator<string> {
  for (const key of map.entries.keys()) if (typeof key === 'string') yield key
}

/** A part of compiling: `!reference`. */
import { ConfigFault } from './fault.js'
import { type Entry, type MapNode, makeList, makeMap, type Node, type ReferenceNode, type Scalar } from './node.js'

/**
 * Replaces every `!reference` by what its path leads to in the document (lib/gitlab/ci/config/yaml/tags/reference.rb).
 * References inside what is found are replaced too, whatever their order.
 *
 * @throws ConfigFault when a path leads nowhere or back to itself
 */
export function resolveReferences(root: MapNode): MapNode {
  const replaced = new Map<Node, Node>()
  const open = new Set<ReferenceNode>()

  function resolve(node: Node): Node {
    if (node.kind === 'scalar' || (node.kind !== 'reference' && node.size.references === 0)) return node
    const known = replaced.get(node)
    if (known !== undefined) return known
    const value = resolveKind(node)
    replaced.set(node, value)
    return value
  }

  function resolveKind(node: Exclude<Node, { kind: 'scalar' }>): Node {
    if (node.kind === 'list') return makeList(node.items.map(resolve), node.at)
    if (node.kind === 'map') return resolveMap(node)
    if (open.has(node)) throw new ConfigFault(`${written(node)} is part of a circular chain`, node.at)
    const target = find(root, node.path)
    if (target === undefined) throw new ConfigFault(`${written(node)} could not be found`, node.at)
    open.add(node)
    const value = resolve(target)
    open.delete(node)
    // What is wrong with the value in this place is told here, where it was put; what is wrong inside it, there.
    return { ...value, at: node.at }
  }

  function resolveMap(node: MapNode): MapNode {
    const entries = new Map<Scalar, Entry>()
    for (const [key, entry] of node.entries) {
      const value = resolve(entry.value)
      entries.set(key, value === entry.value ? entry : { at: entry.at, value })
    }
    return makeMap(entries, node.at)
  }

  const value = resolve(root)
  return value.kind === 'map' ? value : root
}

/** Steps through maps only; null and false count as nothing found. */
function find(root: MapNode, path: readonly string[]): Node | undefined {
  let node: Node | undefined = root
  for (const key of path) {
    node = node?.kind === 'map' ? node.entries.get(key)?.value : undefined
  }
  return node?.kind === 'scalar' && (node.value === null || node.value === false) ? undefined : node
}

function written(node: ReferenceNode): string {
  return `!reference [${node.path.map((key) => JSON.stringify(key)).join(', ')}]`
}

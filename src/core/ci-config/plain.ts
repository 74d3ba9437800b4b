/** Nodes made into plain data, and back. */
import { checkKey, type Entry, makeList, makeMap, makeScalar, type Node, type Scalar } from './node.js'
import { floatNode } from './yaml/scalar.js'

/**
 * A node as plain data: maps become null-prototype objects. Numbers that JSON or JavaScript cannot hold exactly become
 * their text.
 */
export function toPlain(node: Node): unknown {
  if (node.kind === 'scalar') {
    if (typeof node.value !== 'number') return node.value
    return Number.isFinite(node.value) && Math.abs(node.value) <= Number.MAX_SAFE_INTEGER ? node.value : node.text
  }
  if (node.kind === 'list') return node.items.map(toPlain)
  if (node.kind === 'reference') return null
  const value: Record<string, unknown> = Object.create(null)
  for (const [key, entry] of node.entries) value[String(key)] = toPlain(entry.value)
  return value
}

/** Plain data, such as an input given through the API, as a node at one place. */
export function fromPlain(value: unknown, at: number): Node {
  if (Array.isArray(value)) {
    return makeList(
      value.map((item) => fromPlain(item, at)),
      at,
    )
  }
  if (typeof value === 'object' && value !== null) {
    const entries = new Map<Scalar, Entry>()
    for (const [key, item] of Object.entries(value)) {
      checkKey(key, at)
      entries.set(key, { at, value: fromPlain(item, at) })
    }
    return makeMap(entries, at)
  }
  if (typeof value === 'number') return numberNode(value, at)
  return typeof value === 'string' || typeof value === 'boolean' ? makeScalar(value, at) : makeScalar(null, at)
}

function numberNode(value: number, at: number): Node {
  if (Number.isSafeInteger(value)) return makeScalar(value, at)
  return Number.isInteger(value) && Math.abs(value) < 1e16 ? makeScalar(value, at, String(value)) : floatNode(value, at)
}

/** The YAML tags that are taken. */
import { ConfigFault } from '../fault.js'
import { makeScalar, type Node, quote } from '../node.js'
import { resolvePlain } from './scalar.js'

/**
 * The tags that may be there: `!reference`, and those of the YAML core, which change nothing or say what the text would
 * be anyway. Every other one would make something of the text that is no plain value.
 */

const asText = (text: string, at: number): Node => makeScalar(text, at)

const scalarTags = new Map<string, (text: string, at: number) => Node>([
  ['!', asText],
  ['!!str', asText],
  ['!!int', resolvePlain],
  ['!!float', resolvePlain],
  ['!!bool', resolvePlain],
  ['!!null', resolvePlain],
])

const collectionTags = new Map<Node['kind'], string>([
  ['list', '!!seq'],
  ['map', '!!map'],
])

/** @param at where the tag stands */
export function tagText(tag: string, at: number, text: string): Node {
  if (tag === '!reference') throw invalidReference(text, at)
  const resolve = scalarTags.get(tag)
  if (resolve === undefined) throw unknownTag(tag, at)
  return resolve(text, at)
}

/** A collection, or what stands on the lines below the tag. */
export function tagNode(tag: string, at: number, node: Node): Node {
  if (tag === '!reference') return referenceNode(node, at)
  if (collectionTags.get(node.kind) === tag) return node
  if (node.kind !== 'scalar') throw unknownTag(tag, at)
  if (node.value === null) return tagText(tag, at, '')
  throw new ConfigFault(`tag ${quote(tag)} must stand on the line of its text`, at)
}

function unknownTag(tag: string, at: number): ConfigFault {
  return new ConfigFault(`tag ${quote(tag)} is not permitted here; only !reference is`, at)
}

function referenceNode(node: Node, at: number): Node {
  if (node.kind !== 'list' || node.items.length === 0) {
    throw invalidReference(node.kind === 'scalar' ? String(node.value ?? '') : node.kind, at)
  }
  const path = node.items.map((item) => {
    if (item.kind !== 'scalar' || typeof item.value !== 'string') {
      throw invalidReference(item.kind === 'scalar' ? String(item.value) : item.kind, item.at)
    }
    return item.value
  })
  return { kind: 'reference', path, at }
}

function invalidReference(given: string, at: number): ConfigFault {
  return new ConfigFault(`!reference ${quote(given)} is not valid: give the path as a list of texts`, at)
}

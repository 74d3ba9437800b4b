/** The nodes of a document. */
import { ConfigFault } from './fault.js'
import { limits } from './limits.js'

/**
 * The document while it is being compiled. Nodes never change; aliases, merges and `extends` share them, so the tree is
 * a graph without cycles. Every map and list knows how large it is when written out in full, which is what the limits
 * count: a bomb of aliases is refused when it is built, not when it is walked.
 */
export type Scalar = string | number | boolean | null

export interface ScalarNode {
  kind: 'scalar'
  value: Scalar
  /** The text that Ruby gives a number, where it differs from JavaScript's: `1.0`, digits beyond 2⁵³. */
  text?: string
  at: number
}

export interface ListNode {
  kind: 'list'
  items: readonly Node[]
  at: number
  size: Size
}

export interface MapNode {
  kind: 'map'
  entries: ReadonlyMap<Scalar, Entry>
  at: number
  size: Size
}

/** `!reference [a, b]`, until references.ts has replaced it. */
export interface ReferenceNode {
  kind: 'reference'
  path: readonly string[]
  at: number
}

export type Node = ScalarNode | ListNode | MapNode | ReferenceNode

export interface Entry {
  /** Where the key stands. */
  at: number
  value: Node
}

interface Size {
  nodes: number
  characters: number
  height: number
  /** References not replaced yet. */
  references: number
}

export function makeScalar(value: Scalar, at: number, text?: string): ScalarNode {
  return text === undefined ? { kind: 'scalar', value, at } : { kind: 'scalar', value, text, at }
}

export function makeList(items: readonly Node[], at: number): ListNode {
  const size: Size = { nodes: 1, characters: 0, height: 1, references: 0 }
  for (const item of items) grow(size, item)
  check(size, at)
  return { kind: 'list', items, at, size }
}

export function makeMap(entries: ReadonlyMap<Scalar, Entry>, at: number): MapNode {
  const size: Size = { nodes: 1, characters: 0, height: 1, references: 0 }
  for (const [key, entry] of entries) {
    if (typeof key === 'string') size.characters += key.length
    grow(size, entry.value)
  }
  check(size, at)
  return { kind: 'map', entries, at, size }
}

function grow(size: Size, child: Node): void {
  if (child.kind === 'scalar') {
    size.nodes += 1
    if (typeof child.value === 'string') size.characters += child.value.length
  } else if (child.kind === 'reference') {
    size.nodes += child.path.length + 1
    size.references += 1
  } else {
    size.nodes += child.size.nodes
    size.characters += child.size.characters
    size.references += child.size.references
    if (child.size.height >= size.height) size.height = child.size.height + 1
  }
}

function check(size: Size, at: number): void {
  if (size.height > limits.depth) throw new ConfigFault(`nested deeper than ${limits.depth} levels`, at)
  if (size.nodes > limits.nodes) {
    throw new ConfigFault(`more than ${limits.nodes} values once aliases, merges and references are written out`, at)
  }
  if (size.characters > limits.characters) {
    throw new ConfigFault(`more than ${limits.characters} characters once aliases and merges are written out`, at)
  }
}

/** They would reach a prototype instead of an entry in careless code anywhere after us. */
const forbiddenKeys: ReadonlySet<Scalar> = new Set(['__proto__', 'constructor', 'prototype'])

/** @throws ConfigFault for a key that no map may have */
export function checkKey(key: Scalar, at: number): void {
  if (forbiddenKeys.has(key)) throw new ConfigFault(`${quote(String(key))} may not be used as a key`, at)
}

/** The text that a scalar becomes where a text is wanted, as Ruby's `to_s` gives it. Null is empty. */
export function textOf(node: ScalarNode): string {
  return node.text ?? (node.value === null ? '' : String(node.value))
}

/** Null, an empty or whitespace-only text, an empty list or map. */
export function isBlank(node: Node): boolean {
  switch (node.kind) {
    case 'scalar':
      return node.value === null || (typeof node.value === 'string' && node.value.trim() === '')
    case 'list':
      return node.items.length === 0
    case 'map':
      return node.entries.size === 0
    case 'reference':
      return false
  }
}

export function isNull(node: Node | undefined): boolean {
  return node === undefined || (node.kind === 'scalar' && node.value === null)
}

/** What a value is, in words for messages. */
export function describeNode(node: Node): string {
  if (node.kind === 'list') return 'a list'
  if (node.kind === 'map') return 'a map'
  if (node.kind === 'reference') return 'a reference'
  const { value } = node
  if (value === null) return 'nothing'
  if (typeof value === 'boolean') return `the boolean ${value}`
  if (typeof value === 'number') return `the number ${textOf(node)}`
  return value.trim() === '' ? 'a blank text' : `the text ${quote(value)}`
}

/** A user's text inside a message: quoted, on one line, not too long. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}…` : text)
}

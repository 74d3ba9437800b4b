/** Reads nodes as shapes describe them. */
import type { Findings } from './findings.js'
import {
  describeNode,
  isNull,
  type ListNode,
  type MapNode,
  makeMap,
  type Node,
  quote,
  type Scalar,
  textOf,
} from './node.js'
import { toPlain } from './plain.js'
import type { AnyShape, EntriesShape, ListShape, RecordShape, Report, Shape, TextShape } from './shape.js'
import { accepts, expected } from './shape-words.js'
import { didYouMean } from './suggest.js'

/**
 * Reads a node as a shape describes it. Everything wrong goes to the findings, with the place of the key or value and
 * what was expected.
 *
 * @param path of the node, such as `jobs:build:script`
 * @returns the typed value, or undefined if anything in it was wrong
 */
export function validate<T>(shape: Shape<T>, node: Node, path: string, findings: Findings): T | undefined {
  const value = read(shape, node, path, findings)
  return value === invalid ? undefined : (value as T)
}

const invalid = Symbol('invalid')

function read(shape: AnyShape, node: Node, path: string, findings: Findings): unknown {
  if (node.kind === 'scalar') return readNew(shape, node, path, findings)
  // Aliases and `extends` give many jobs the same node, and with it the same value.
  const known = findings.values.get(node)
  if (known?.shape === shape) return known.value
  const value = readNew(shape, node, path, findings)
  if (value !== invalid) findings.values.set(node, { shape, value })
  return value
}

function readNew(shape: AnyShape, node: Node, path: string, findings: Findings): unknown {
  const before = findings.met
  const value = readKind(shape, node, path, findings)
  if (value === invalid || findings.met !== before) return invalid
  if (shape.into === undefined) return value
  const report: Report = (message, key) => {
    findings.error(message, placeOf(node, key), key === undefined ? path : join(path, key))
  }
  const made = shape.into(value as never, report)
  return findings.met === before ? made : invalid
}

function readKind(shape: AnyShape, node: Node, path: string, findings: Findings): unknown {
  switch (shape.kind) {
    case 'anything':
      return shape.asNode === true ? node : toPlain(node)
    case 'either': {
      const option = shape.options.find((one) => accepts(one, node))
      return option === undefined ? mismatch(shape, node, path, findings) : read(option, node, path, findings)
    }
    case 'list':
      return node.kind === 'list' ? readList(shape, node, path, findings) : mismatch(shape, node, path, findings)
    case 'record':
      return node.kind === 'map' ? readRecord(shape, node, path, findings) : mismatch(shape, node, path, findings)
    case 'entries':
      return node.kind === 'map' ? readEntries(shape, node, path, findings) : mismatch(shape, node, path, findings)
    default:
      if (!accepts(shape, node) || node.kind !== 'scalar') return mismatch(shape, node, path, findings)
      return shape.kind === 'text'
        ? readText(shape, textOf(node), node, path, findings)
        : readScalar(shape, node.value, node, path, findings)
  }
}

function readText(shape: TextShape, value: string, node: Node, path: string, findings: Findings): unknown {
  if (shape.filled === true && value.trim() === '') findings.error("can't be blank", node.at, path)
  else if (shape.max !== undefined && value.length > shape.max) {
    findings.error(`is too long: ${shape.max} characters at most`, node.at, path)
  } else if (shape.pattern !== undefined && !shape.pattern.test(value)) {
    findings.error(`must be ${shape.says ?? 'of another form'}, not ${quote(value)}`, node.at, path)
  }
  return value
}

function readScalar(shape: AnyShape, value: Scalar, node: Node, path: string, findings: Findings): unknown {
  if (shape.kind === 'number' && typeof value === 'number') {
    const low = shape.min !== undefined && value < shape.min
    const high = shape.max !== undefined && value > shape.max
    if (low || high) findings.error(`must be ${expected(shape)}, not ${value}`, node.at, path)
  }
  if (shape.kind === 'choice' && typeof value === 'string' && !shape.values.includes(value)) {
    const hint = didYouMean(value, shape.values)
    findings.error(`must be one of ${shape.values.join(', ')}; unknown value ${quote(value)}${hint}`, node.at, path)
  }
  return value
}

function readList(shape: ListShape, node: Node, path: string, findings: Findings): unknown {
  const items: unknown[] = []
  const add = (item: Node, itemPath: string): void => {
    items.push(read(shape.of, item, itemPath, findings))
  }
  const { kind } = node
  if (kind !== 'list') {
    add(node, path)
    return items
  }
  if (shape.nested === undefined) {
    if (!node.items.every((item) => accepts(shape.of, item))) return mismatch(shape, node, path, findings)
    node.items.forEach((item, index) => {
      add(item, `${path}[${index}]`)
    })
  } else if (!flatten(node, shape.of, shape.nested - 1, (item) => add(item, `${path}[${items.length}]`))) {
    return mismatch(shape, node, path, findings)
  }
  const counted = shape.maxOfOwn === true ? node.items.length : items.length
  if (shape.min !== undefined && items.length < shape.min) {
    findings.error(`must have at least ${shape.min} ${shape.min === 1 ? 'item' : 'items'}`, node.at, path)
  } else if (shape.max !== undefined && counted > shape.max) {
    findings.error(`has ${counted} items; ${shape.max} at most are allowed`, node.at, path)
  }
  return items
}

/** @param levels how many lists may still be inside this one */
function flatten(node: ListNode, of: AnyShape, levels: number, add: (item: Node) => void): boolean {
  return node.items.every((item) => {
    if (accepts(of, item)) add(item)
    else return item.kind === 'list' && levels > 0 && flatten(item, of, levels - 1, add)
    return true
  })
}

function readRecord(shape: RecordShape, node: MapNode, path: string, findings: Findings): unknown {
  const value: Record<string, unknown> = {}
  if (node.entries.size === 0 && shape.mayBeEmpty !== true) {
    findings.error(`can't be blank: ${expected(shape)}`, node.at, path)
    return invalid
  }
  const unknown: [Scalar, number][] = []
  for (const [key, entry] of node.entries) {
    const known = typeof key === 'string' && Object.hasOwn(shape.keys, key) ? shape.keys[key] : undefined
    if (known === undefined) unknown.push([key, entry.at])
    else if (known.nullable === true && isNull(entry.value)) value[String(key)] = null
    else if (!isNull(entry.value))
      value[String(key)] = read(known.shape, entry.value, join(path, String(key)), findings)
  }
  const first = unknown[0]
  if (first !== undefined) {
    const rest = unknown.length > 10 ? ` and ${unknown.length - 10} more` : ''
    const names =
      unknown
        .slice(0, 10)
        .map(([key]) => String(key))
        .join(', ') + rest
    const hint = didYouMean(String(first[0]), Object.keys(shape.keys))
    findings.error(`unknown keys: ${names}${hint}`, first[1], path)
  }
  for (const key of shape.required) {
    if (value[key] !== undefined) continue
    findings.error(`the key ${key} is required and can't be blank`, placeOf(node, key), join(path, key))
  }
  checkTogether(shape, node, value, (message, key) => {
    findings.error(message, placeOf(node, key), key === undefined ? path : join(path, key))
  })
  return value
}

function checkTogether(shape: RecordShape, node: MapNode, value: Record<string, unknown>, report: Report): void {
  // A key that is there counts even with null, as it does for MutuallyExclusiveKeysValidator.
  for (const [one, other] of shape.exclusive ?? []) {
    if (!node.entries.has(one) || !node.entries.has(other)) continue
    report(`the keys ${one} and ${other} can't be used together`)
  }
  const given = shape.oneOf?.filter((key) => value[key] !== undefined)
  const names = shape.oneOf?.join(', ')
  if (given?.length === 0) report(`one of ${names} is required`)
  else if (given !== undefined && given.length > 1) report(`must have exactly one of ${names}`, given[1])
  for (const [key, other] of Object.entries(shape.requires ?? {})) {
    const asked = value[key] !== undefined && value[key] !== false
    if (asked && value[other] === undefined) report(`${key} requires ${other}`, key)
  }
}

function readEntries(shape: EntriesShape, node: MapNode, path: string, findings: Findings): unknown {
  const value = new Map<string, unknown>()
  for (const [key, entry] of node.entries) {
    const name = String(key)
    const entryPath = join(path, name)
    const item = shape.nullIsEmpty === true && isNull(entry.value) ? makeMap(new Map(), entry.at) : entry.value
    if (typeof key !== 'string' && typeof key !== 'number') {
      findings.error(`the key ${name} must be a string`, entry.at, path)
    } else if (isNull(item) && shape.nullable === true) {
      value.set(name, null)
    } else if (shape.says !== undefined && !accepts(shape.of, item)) {
      const at = isNull(item) ? entry.at : item.at
      findings.error(`${shape.says}, not ${describeNode(item)}`, at, entryPath)
    } else {
      value.set(name, read(shape.of, item, entryPath, findings))
    }
  }
  if (shape.max !== undefined && value.size > shape.max) {
    findings.error(`has ${value.size} entries; ${shape.max} at most are allowed`, node.at, path)
  }
  return value
}

function mismatch(shape: AnyShape, node: Node, path: string, findings: Findings): typeof invalid {
  const odd = node.kind === 'list' && shape.kind === 'list' ? firstMisfit(shape, node) : undefined
  // The classic: a script line with a colon and a blank in it is read as a map.
  const hint = odd?.kind === 'map' ? '; a line with ": " in it must be in quotes' : ''
  const given = odd === undefined ? describeNode(node) : `a list with ${describeNode(odd)} in it${hint}`
  findings.error(`must be ${expected(shape)}, not ${given}`, odd?.at ?? node.at, path)
  return invalid
}

function firstMisfit(shape: ListShape, node: ListNode): Node | undefined {
  for (const item of node.items) {
    if (accepts(shape.of, item)) continue
    const inner = item.kind === 'list' && shape.nested !== undefined ? firstMisfit(shape, item) : item
    if (inner !== undefined) return inner
  }
  return undefined
}

/** Where a key of a node stands, or the node itself. */
export function placeOf(node: Node, key: string | undefined): number {
  return key !== undefined && node.kind === 'map' ? (node.entries.get(key)?.at ?? node.at) : node.at
}

export function join(path: string, key: string): string {
  return path === '' ? key : `${path}:${key}`
}

/** The merged document, kept with the compiled file and written as YAML on demand. */
import type { CiConfig } from './compilation.js'
import type { MapNode, Node } from './node.js'
import { resolvePlain } from './yaml/scalar.js'

/**
 * The merged document inside a `CiConfig`. Maps are lists of alternating keys and values, because objects would put
 * number-like keys first; numbers that JavaScript would write differently keep their text.
 */
export type Encoded = string | number | boolean | null | Encoded[] | { map: Encoded[] } | { number: string }

export function encodeDocument(document: Node): Encoded {
  // What jobs share through aliases and `extends` is encoded once, and stays shared.
  const done = new Map<Node, Encoded>()
  function encode(node: Node): Encoded {
    if (node.kind === 'scalar') return node.text === undefined ? node.value : { number: node.text }
    if (node.kind === 'reference') return null
    let encoded = done.get(node)
    if (encoded === undefined) {
      encoded = node.kind === 'list' ? node.items.map(encode) : { map: encodeEntries(node) }
      done.set(node, encoded)
    }
    return encoded
  }
  function encodeEntries(node: MapNode): Encoded[] {
    const entries: Encoded[] = []
    for (const [key, { value }] of node.entries) entries.push(key, encode(value))
    return entries
  }
  return encode(document)
}

/** The file as it is after includes, `extends` and references, as YAML: what `lint --merged` shows. */
export function mergedYaml(config: CiConfig): string {
  const lines: string[] = []
  writeValue(config.document as Encoded, 0, '', lines)
  return `---\n${lines.join('\n')}\n`
}

/** Writes a value after `before`, the indentation and key or dash that it belongs to. */
function writeValue(value: Encoded, indent: number, before: string, lines: string[]): void {
  const inner = ' '.repeat(indent)
  if (Array.isArray(value) && value.length > 0) {
    if (before !== '') lines.push(before)
    for (const item of value) writeItem(item, indent, `${inner}-`, lines)
  } else if (isMap(value) && value.map.length > 0) {
    if (before !== '') lines.push(before)
    for (let at = 0; at < value.map.length; at += 2) {
      writeEntry(`${inner}${scalarText(value.map[at] ?? null)}:`, value.map[at + 1] ?? null, indent, lines)
    }
  } else if (typeof value === 'string' && isBlock(value)) {
    lines.push(`${before === '' ? '' : `${before} `}|${value.endsWith('\n') ? '' : '-'}`)
    const body = value.endsWith('\n') ? value.slice(0, -1) : value
    for (const line of body.split('\n')) lines.push(line === '' ? '' : inner + (indent === 0 ? '  ' : '') + line)
  } else {
    lines.push(before === '' ? scalarText(value) : `${before} ${scalarText(value)}`)
  }
}

function writeEntry(key: string, value: Encoded, indent: number, lines: string[]): void {
  // A list may stand at the column of its key, as people mostly write it.
  writeValue(value, Array.isArray(value) ? indent : indent + 2, key, lines)
}

function writeItem(value: Encoded, indent: number, dash: string, lines: string[]): void {
  const isCollection = (Array.isArray(value) && value.length > 0) || (isMap(value) && value.map.length > 0)
  if (!isCollection) {
    writeValue(value, indent + 2, dash, lines)
    return
  }
  // The first entry follows the dash on its line.
  const nested: string[] = []
  writeValue(value, indent + 2, '', nested)
  lines.push(`${dash} ${(nested[0] ?? '').trimStart()}`, ...nested.slice(1))
}

function isMap(value: Encoded): value is { map: Encoded[] } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && 'map' in value
}

/** Characters that YAML takes for line ends or not at all. */
const unquotable = /[\u0085\u2028\u2029\ufffe\uffff]/
const escaped = /[\u007f-\u009f\u2028\u2029\ufffe\uffff]/g

/** Texts of several lines that a block can hold without quoting. */
function isBlock(text: string): boolean {
  return (
    /^\S[\P{Cc}\n]*$/u.test(text) &&
    !unquotable.test(text) &&
    text.includes('\n') &&
    !text.endsWith('\n\n') &&
    !/[ \t]\n|[ \t]$|\t/.test(text)
  )
}

function scalarText(value: Encoded): string {
  if (Array.isArray(value)) return '[]'
  if (typeof value === 'object' && value !== null) return 'map' in value ? '{}' : numberText(value.number)
  if (typeof value !== 'string') return String(value)
  return isPlain(value) ? value : JSON.stringify(value).replace(escaped, escapeCharacter)
}

function numberText(text: string): string {
  return { Infinity: '.inf', '-Infinity': '-.inf', NaN: '.nan' }[text] ?? text
}

/** Would this text, unquoted, be read as itself everywhere? */
function isPlain(text: string): boolean {
  if (!/^[A-Za-z0-9_./$(]\P{Cc}*$/u.test(text) || unquotable.test(text)) return false
  if (/: |:$| #| $|[,[\]{}]/.test(text) || text === '<<') return false
  try {
    return resolvePlain(text, 0).value === text && resolvePlain(text.toLowerCase(), 0).text === undefined
  } catch {
    return false
  }
}

function escapeCharacter(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
}

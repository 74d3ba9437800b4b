/** Replaces `$[[ … ]]` in a document by the values of inputs. */
import { expandText } from './expand.js'
import { ConfigFault } from './fault.js'
import { limits } from './limits.js'
import {
  checkKey,
  type Entry,
  type MapNode,
  makeList,
  makeMap,
  makeScalar,
  type Node,
  quote,
  type Scalar,
  textOf,
} from './node.js'
import { toPlain } from './plain.js'
import type { PlanVariable } from './variables.js'

/** What `$[[ … ]]` can reach in one file. */
export interface InterpolationContext {
  inputs: ReadonlyMap<string, Node>
  /** The fields of the component that the header asked for. */
  component: ReadonlyMap<string, Node>
  /** For `expand_vars`: the variables of configuration time. */
  variable: (name: string) => PlanVariable | undefined
}

/**
 * Replaces the blocks `$[[ ACCESS | FUNCTION ]]` in all texts and keys of a file (lib/gitlab/ci/config/interpolation). A
 * text that is nothing but one block becomes the value with its type; a list alone in an item is spliced into the list
 * around it. Blocks of `matrix` stay for parallel.ts. What a block gives is not looked at again.
 *
 * @throws ConfigFault quoting the first expression that cannot be replaced
 */
export function interpolate(content: MapNode, context: InterpolationContext): MapNode {
  const value = new Interpolator(context).map(content)
  return value
}

class Interpolator {
  readonly #context: InterpolationContext
  readonly #values = new Map<string, Node>()
  /** Nodes are shared by aliases; each is replaced once. */
  readonly #done = new Map<Node, Node>()

  constructor(context: InterpolationContext) {
    this.#context = context
  }

  map(map: MapNode): MapNode {
    const known = this.#done.get(map)
    if (known?.kind === 'map') return known
    const entries = new Map<Scalar, Entry>()
    let changed = false
    for (const [key, entry] of map.entries) {
      const name = typeof key === 'string' ? this.#key(key, entry.at) : key
      checkKey(name, entry.at)
      const value = this.#node(entry.value)
      changed ||= name !== key || value !== entry.value
      entries.set(name, value === entry.value ? entry : { at: entry.at, value })
    }
    const result = changed ? makeMap(entries, map.at) : map
    this.#done.set(map, result)
    return result
  }

  #node(node: Node): Node {
    if (node.kind === 'scalar') return typeof node.value === 'string' ? this.#text(node.value, node.at, node) : node
    if (node.kind === 'map') return this.map(node)
    if (node.kind === 'reference') {
      const path = node.path.map((step) => this.#key(step, node.at))
      return path.some((step, index) => step !== node.path[index]) ? { kind: 'reference', path, at: node.at } : node
    }
    const known = this.#done.get(node)
    if (known !== undefined) return known
    let changed = false
    const items = node.items.flatMap((item) => {
      const value = this.#node(item)
      changed ||= value !== item
      return item.kind === 'scalar' && value.kind === 'list' ? value.items : [value]
    })
    const result = changed ? makeList(items, node.at) : node
    this.#done.set(node, result)
    return result
  }

  #key(key: string, at: number): string {
    const value = this.#text(key, at, undefined)
    return value.kind === 'scalar' ? textOf(value) : key
  }

  /** @param whole the node that the text is all of, handed back when nothing in it changes */
  #text(text: string, at: number, whole: Node | undefined): Node {
    const same = whole ?? makeScalar(text, at)
    let open = text.indexOf('$[[')
    if (open === -1) return same
    if (text.length > limits.interpolation.nodeBytes) {
      throw new ConfigFault(`a text with interpolation may have ${limits.interpolation.nodeBytes} bytes at most`, at)
    }
    let result = ''
    let from = 0
    while (open !== -1) {
      const close = text.indexOf(']]', open + 3)
      if (close === -1) break
      const block = text.slice(open + 3, close)
      const content = block.trim()
      if (content.length < 2 || block.trim().includes('\n') || content.startsWith('matrix.')) {
        open = text.indexOf('$[[', open + 3)
        continue
      }
      const value = this.#block(content, at)
      if (open === 0 && close + 2 === text.length && whole !== undefined) return placed(value, at)
      result += text.slice(from, open) + inText(value)
      from = close + 2
      open = text.indexOf('$[[', from)
    }
    return from === 0 ? same : makeScalar(result + text.slice(from), at)
  }

  #block(content: string, at: number): Node {
    const known = this.#values.get(content)
    if (known !== undefined) return known
    if (this.#values.size >= limits.interpolation.blocks) {
      throw new ConfigFault(`more than ${limits.interpolation.blocks} interpolation blocks`, at)
    }
    const [access = '', ...functions] = splitPipes(content)
    if (functions.length > limits.interpolation.functions) {
      throw new ConfigFault(`too many functions in interpolation block ${quote(content)}`, at)
    }
    let value = this.#access(access, at)
    for (const call of functions) value = this.#call(call, value, at)
    this.#values.set(content, value)
    return value
  }

  #access(access: string, at: number): Node {
    const segments = access.split('.')
    if (segments.length < 2 || segments.some((segment) => !/^[^\s[\]]+(?:\[[^[\]]*\])*$/.test(segment))) {
      throw new ConfigFault(`invalid pattern in interpolation: ${quote(access)}`, at)
    }
    if (Buffer.byteLength(access) > limits.interpolation.bytes || segments.length > limits.interpolation.segments) {
      throw new ConfigFault(`interpolation access ${quote(access)} is too long`, at)
    }
    const [root = '', ...rest] = segments
    const [rootName] = root.split('[')
    let scope: ReadonlyMap<Scalar, { value: Node }> | undefined
    if (root === rootName && (root === 'inputs' || root === 'component')) {
      const values = this.#context[root === 'inputs' ? 'inputs' : 'component']
      scope = new Map(Array.from(values, ([key, value]) => [key, { value }]))
    }
    let node: Node | undefined
    const unknown = (name: string): ConfigFault =>
      new ConfigFault(`unknown interpolation key: ${quote(name)} in ${quote(access)}`, at)
    if (scope === undefined) throw unknown(root)
    for (const segment of rest) {
      const [name = '', ...indexes] = segment.split('[')
      node = scope?.get(name)?.value
      if (node === undefined) throw unknown(name)
      node = itemAt(node, indexes, access, at)
      scope = node.kind === 'map' ? node.entries : undefined
    }
    if (node === undefined) throw unknown(access)
    return node
  }

  #call(call: string, value: Node, at: number): Node {
    const text = value.kind === 'scalar' && typeof value.value === 'string' ? value.value : undefined
    const wantText = (name: string): string => {
      if (text === undefined) throw new ConfigFault(`${name} function: the value must be a string`, at)
      return text
    }
    if (call === 'expand_vars') return makeScalar(this.#expandVars(wantText(call), at), at)
    if (call === 'posix_escape' || call === 'posix_quote') return makeScalar(posixEscape(wantText(call)), at)
    const truncate = /^truncate\(\s*(\d{1,9})\s*,\s*(\d{1,9})\s*\)$/.exec(call)
    if (truncate !== null) {
      const start = Number(truncate[1])
      return makeScalar(
        Array.from(wantText('truncate'))
          .slice(start, start + Number(truncate[2]))
          .join(''),
        at,
      )
    }
    const split = /^split\(\s*'([^']*)'\s*\)$/.exec(call)
    if (split !== null) return splitText(wantText('split'), split[1] ?? '', at)
    const [name = call] = call.split('(')
    if (['expand_vars', 'posix_escape', 'truncate', 'split'].includes(name)) {
      throw new ConfigFault(`${name} function: invalid arguments in ${quote(call)}`, at)
    }
    throw new ConfigFault(
      `no function matching ${quote(call)}: check that the function name, arguments and types are correct`,
      at,
    )
  }

  #expandVars(text: string, at: number): string {
    const lookup = (name: string): string | undefined => {
      const variable = this.#context.variable(name)
      if (variable?.masked === true) {
        throw new ConfigFault(`expand_vars function: the variable ${name} is masked and cannot be expanded`, at)
      }
      return variable?.value
    }
    return expandText(text, lookup, 'existing')
  }
}

/** Splits at `|`, except inside single quotes. */
function splitPipes(content: string): string[] {
  return (content.match(/(?:'[^']*'|[^|'])+|'/g) ?? []).map((part) => part.trim())
}

function itemAt(node: Node, indexes: readonly string[], access: string, at: number): Node {
  if (indexes.length > limits.interpolation.indexes) {
    throw new ConfigFault(`too many indexes in interpolation ${quote(access)}`, at)
  }
  let item = node
  for (const written of indexes) {
    if (!/^\d{1,9}\]$/.test(written)) throw new ConfigFault(`invalid index in interpolation ${quote(access)}`, at)
    if (item.kind !== 'list')
      throw new ConfigFault(`index on a value that is no array in interpolation ${quote(access)}`, at)
    const next: Node | undefined = item.items[Number(written.slice(0, -1))]
    if (next === undefined) throw new ConfigFault(`index out of range in interpolation ${quote(access)}`, at)
    item = next
  }
  return item
}

/** The value as if it had been written at the block. */
function placed(value: Node, at: number): Node {
  return value.kind === 'scalar' ? makeScalar(value.value, at, value.text) : value
}

function inText(value: Node): string {
  return value.kind === 'scalar' ? textOf(value) : JSON.stringify(toPlain(value))
}

/** What Ruby's Shellwords.escape does: for POSIX shells, without quotes. */
function posixEscape(text: string): string {
  if (text === '') return "''"
  return text.replace(/[^A-Za-z0-9_\-.,:+/@\n]/gu, '\\$&').replaceAll('\n', "'\n'")
}

function splitText(text: string, separator: string, at: number): Node {
  if (separator === '') throw new ConfigFault("split function: the separator can't be empty", at)
  const pieces = text
    .split(separator)
    .map((piece) => piece.trim())
    .filter((piece) => piece !== '')
  return makeList(
    pieces.map((piece) => makeScalar(piece, at)),
    at,
  )
}

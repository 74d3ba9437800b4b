import { ConfigFault } from '../fault.js'
import { limits } from '../limits.js'
import { checkKey, type Entry, makeList, makeMap, makeScalar, type Node, quote, type Scalar } from '../node.js'
import { Cursor, isBlankOrEnd, isFlowIndicator } from './cursor.js'
import { resolvePlain } from './scalar.js'
import { tagNode, tagText } from './tags.js'
import { blockText, continuePlain, doubleQuoted, plainLine, singleQuoted } from './text.js'

/**
 * Reads one YAML 1.1 document as libyaml and Psych do, straight into nodes with places. Our own reader because the
 * language leans on what other readers leave out (merge keys at their position, octal and `on`, `!reference`), because
 * every value must know its line, and because a file of 1,000 jobs has to be read in milliseconds: the `yaml` package
 * takes ten times as long and is the oracle of our tests instead.
 *
 * The reader goes down recursively: a block node ends where a line is indented less than it, a flow node at its
 * bracket. It refuses every tag but `!reference` and the plain core ones, keys that reach into JavaScript's prototypes,
 * and anything that grows beyond the limits once aliases are written out.
 *
 * @param base place of the first character of `text`
 * @returns undefined when the document is empty
 * @throws ConfigFault for anything that is not YAML 1.1
 */
export function readYaml(text: string, base: number, onDuplicateKey?: OnDuplicateKey): Node | undefined {
  return new Reader(text, base, onDuplicateKey).document()
}

export type OnDuplicateKey = (key: string, at: number) => void

interface Properties {
  anchor?: string
  tag?: string
  at: number
}

const dash = 0x2d
const question = 0x3f
const colon = 0x3a

class Reader {
  readonly #cursor: Cursor
  readonly #onDuplicateKey: OnDuplicateKey | undefined
  readonly #anchors = new Map<string, Node>()
  #depth = 0
  /** Entries copied by merge keys so far. */
  #merged = 0

  constructor(text: string, base: number, onDuplicateKey: OnDuplicateKey | undefined) {
    this.#cursor = new Cursor(text, base)
    this.#onDuplicateKey = onDuplicateKey
  }

  document(): Node | undefined {
    const cursor = this.#cursor
    cursor.skip()
    while (cursor.char === 0x25 && cursor.column === 0) {
      const end = cursor.text.indexOf('\n', cursor.pos)
      cursor.pos = end === -1 ? cursor.text.length : end
      cursor.skip()
    }
    if (cursor.ended && cursor.char === dash) {
      cursor.pos += 3
      cursor.skip()
    }
    if (cursor.ended) return undefined
    cursor.refuseTabs()
    const node = this.#blockNode(-1, true, false)
    cursor.skip()
    if (!cursor.ended) this.#unexpected()
    return node
  }

  /** The value after `:`, `-` or `?` of a collection at column `indent`. */
  #value(indent: number, inMap: boolean, compact = !inMap): Node {
    const cursor = this.#cursor
    const after = this.#place
    if (cursor.skip()) return this.#freshLine(indent, inMap, after)
    return cursor.atEnd ? makeScalar(null, after) : this.#blockNode(indent, compact, inMap)
  }

  /** A value that begins on a line of its own, or null if that line belongs to somebody else. */
  #freshLine(indent: number, inMap: boolean, after: number): Node {
    const cursor = this.#cursor
    if (cursor.ended) return makeScalar(null, after)
    const { column } = cursor
    if (column > indent || (inMap && column === indent && this.#atIndicator(dash))) {
      cursor.refuseTabs()
      return this.#blockNode(indent, true, inMap)
    }
    return makeScalar(null, after)
  }

  /** `compact`: a block collection may begin at this very place. */
  #blockNode(parent: number, compact: boolean, inMap: boolean): Node {
    const cursor = this.#cursor
    const { pos, lineStart, column } = cursor
    const first = cursor.char
    if (isBlankOrEnd(cursor.text.charCodeAt(pos + 1))) {
      if (first === dash) {
        if (!compact) cursor.fail('a list may not begin on the line of its key')
        return this.#blockList(column)
      }
      if (first === colon) cursor.fail("a key is missing before this ':'")
      if (first === question) {
        if (!compact) cursor.fail('mapping keys are not allowed here')
        return this.#blockMap(column, undefined)
      }
    }
    const properties = first === 0x26 || first === 0x21 ? this.#properties(false) : undefined
    if (properties !== undefined) {
      const after = this.#place
      if (cursor.skip() || cursor.atEnd) {
        return this.#dress(this.#freshLine(parent, inMap, after), properties)
      }
    }
    const c = cursor.char
    if (c === 0x7c || c === 0x3e) return this.#scalar(blockText(cursor, parent), false, properties, pos)
    const isPlain = this.#startsPlain(false)
    const line = isPlain ? plainLine(cursor, false) : ''
    const node = isPlain ? undefined : this.#atom(properties, pos)
    const end = cursor.pos
    cursor.skipSpaces()
    if (cursor.char === colon && isBlankOrEnd(cursor.text.charCodeAt(cursor.pos + 1))) {
      if (!compact || cursor.lineStart !== lineStart) cursor.fail('mapping values are not allowed here')
      return this.#blockMap(column, node ?? this.#scalar(line, true, properties, pos), pos)
    }
    cursor.pos = end
    return node ?? this.#scalar(continuePlain(cursor, line, parent, false), true, properties, pos)
  }

  #blockList(column: number): Node {
    const cursor = this.#cursor
    const at = this.#place
    const items: Node[] = []
    this.#enter()
    do {
      cursor.pos++
      items.push(this.#value(column, false))
    } while (this.#goesOn(column) && this.#atIndicator(dash))
    this.#depth--
    return makeList(items, at)
  }

  /** A block map from its first key on: already read, or at `?`. */
  #blockMap(column: number, firstKey: Node | undefined, firstPos = this.#cursor.pos): Node {
    const cursor = this.#cursor
    const at = cursor.base + firstPos
    const entries = new Map<Scalar, Entry>()
    let key = firstKey
    let keyAt = at
    this.#enter()
    for (;;) {
      let marked = false
      if (key === undefined) {
        keyAt = this.#place
        marked = this.#atIndicator(question)
        key = this.#blockKey(column)
      }
      if (cursor.char === colon && isBlankOrEnd(cursor.text.charCodeAt(cursor.pos + 1))) {
        cursor.pos++
        // After a key of its own line, marked with `?`, a collection may follow the colon at once.
        this.#add(entries, key, keyAt, this.#value(column, true, marked))
      } else {
        this.#add(entries, key, keyAt, makeScalar(null, keyAt))
      }
      if (!this.#goesOn(column)) break
      if (this.#atIndicator(dash)) {
        if (cursor.column === column && firstKey === undefined) break
        cursor.fail('a list item stands where a key is expected')
      }
      key = undefined
    }
    this.#depth--
    return makeMap(entries, at)
  }

  /** Reads a key up to its `:`, which must follow unless the key was marked with `?`. */
  #blockKey(column: number): Node {
    const cursor = this.#cursor
    if (this.#atIndicator(colon)) cursor.fail("a key is missing before this ':'")
    if (this.#atIndicator(question)) {
      cursor.pos++
      const key = this.#value(column, false)
      cursor.skip()
      return key
    }
    const { pos, lineStart } = cursor
    const properties = cursor.char === 0x26 || cursor.char === 0x21 ? this.#properties(false) : undefined
    cursor.skipSpaces()
    const key = this.#startsPlain(false)
      ? this.#scalar(plainLine(cursor, false), true, properties, pos)
      : this.#atom(properties, pos)
    cursor.skipSpaces()
    if (!this.#atIndicator(colon) || cursor.lineStart !== lineStart) {
      cursor.fail("expected ':' after this key", pos)
    }
    return key
  }

  /** After an entry: does the collection at `column` have another one? */
  #goesOn(column: number): boolean {
    const cursor = this.#cursor
    cursor.skip()
    if (cursor.ended) return false
    if (cursor.pos !== cursor.lineContent) this.#unexpected()
    if (cursor.column < column) return false
    if (cursor.column > column) cursor.fail('this line is indented deeper than the entries before it')
    cursor.refuseTabs()
    return true
  }

  #flowNode(): Node {
    const cursor = this.#cursor
    const { pos } = cursor
    const properties = cursor.char === 0x26 || cursor.char === 0x21 ? this.#properties(true) : undefined
    if (properties !== undefined) {
      cursor.skip()
      const c = cursor.char
      if (c === 0x2c || c === 0x5d || c === 0x7d || c === colon) return this.#scalar('', true, properties, pos)
    }
    if (!this.#startsPlain(true)) return this.#atom(properties, pos)
    const text = continuePlain(cursor, plainLine(cursor, true), -1, true)
    return this.#scalar(text, true, properties, pos)
  }

  /** An alias, a quoted text or a flow collection. */
  #atom(properties: Properties | undefined, pos: number): Node {
    const cursor = this.#cursor
    switch (cursor.char) {
      case 0x22:
        return this.#scalar(doubleQuoted(cursor), false, properties, pos)
      case 0x27:
        return this.#scalar(singleQuoted(cursor), false, properties, pos)
      case 0x2a:
        if (properties !== undefined) cursor.fail('an alias may have neither anchor nor tag')
        return this.#alias()
      case 0x5b:
        return this.#dress(this.#flowList(), properties)
      case 0x7b:
        return this.#dress(this.#flowMap(), properties)
      default:
        return this.#unexpected()
    }
  }

  #flowList(): Node {
    const cursor = this.#cursor
    const start = cursor.pos
    const items: Node[] = []
    this.#enter()
    cursor.pos++
    for (;;) {
      this.#skipFlow(start)
      if (cursor.char === 0x5d) break
      const at = this.#place
      const explicit = this.#flowQuestion()
      const item = explicit && this.#atFlowEnd() ? makeScalar(null, at) : this.#flowNode()
      this.#skipFlow(start)
      if (cursor.char === colon) {
        cursor.pos++
        const entries = new Map<Scalar, Entry>()
        this.#add(entries, item, at, this.#flowValue(start))
        items.push(makeMap(entries, at))
      } else {
        items.push(
          explicit ? makeMap(new Map([[this.#keyOf(item, at), { at, value: makeScalar(null, at) }]]), at) : item,
        )
      }
      if (this.#flowSeparator(start, 0x5d, 'list')) break
    }
    cursor.pos++
    this.#depth--
    return makeList(items, cursor.base + start)
  }

  #flowMap(): Node {
    const cursor = this.#cursor
    const start = cursor.pos
    const entries = new Map<Scalar, Entry>()
    this.#enter()
    cursor.pos++
    for (;;) {
      this.#skipFlow(start)
      if (cursor.char === 0x7d) break
      const at = this.#place
      this.#flowQuestion()
      const noKey = this.#atFlowEnd() || (cursor.char === colon && !this.#startsPlain(true))
      const key = noKey ? makeScalar(null, at) : this.#flowNode()
      this.#skipFlow(start)
      let value: Node = makeScalar(null, at)
      if (cursor.char === colon) {
        cursor.pos++
        value = this.#flowValue(start)
      }
      this.#add(entries, key, at, value)
      if (this.#flowSeparator(start, 0x7d, 'map')) break
    }
    cursor.pos++
    this.#depth--
    return makeMap(entries, cursor.base + start)
  }

  #flowValue(start: number): Node {
    const at = this.#place
    this.#skipFlow(start)
    return this.#atFlowEnd() ? makeScalar(null, at) : this.#flowNode()
  }

  #flowQuestion(): boolean {
    if (!this.#atIndicator(question)) return false
    this.#cursor.pos++
    this.#cursor.skip()
    return true
  }

  #atFlowEnd(): boolean {
    const c = this.#cursor.char
    return c === 0x2c || c === 0x5d || c === 0x7d
  }

  #skipFlow(start: number): void {
    this.#cursor.skip()
    if (this.#cursor.ended) this.#cursor.fail('this bracket is never closed', start)
  }

  /** Steps over `,` to the next entry; true at the closing bracket. */
  #flowSeparator(start: number, close: number, what: string): boolean {
    const cursor = this.#cursor
    this.#skipFlow(start)
    if (cursor.char === close) return true
    if (cursor.char !== 0x2c) cursor.fail(`expected ',' or '${String.fromCharCode(close)}' in this ${what}`)
    cursor.pos++
    return false
  }

  /** `&anchor` and `!tag`, in either order, each at most once. */
  #properties(inFlow: boolean): Properties {
    const cursor = this.#cursor
    const properties: Properties = { at: this.#place }
    for (;;) {
      const c = cursor.char
      if (c === 0x26 && properties.anchor === undefined) {
        cursor.pos++
        properties.anchor = this.#name('anchor')
      } else if (c === 0x21 && properties.tag === undefined) {
        properties.tag = this.#word(inFlow)
      } else {
        return properties
      }
      if (!isBlankOrEnd(cursor.char) && !(inFlow && isFlowIndicator(cursor.char))) this.#unexpected()
      cursor.skipSpaces()
    }
  }

  #name(what: string): string {
    const cursor = this.#cursor
    const start = cursor.pos
    while (isNameCharacter(cursor.char)) cursor.pos++
    if (cursor.pos === start) cursor.fail(`this ${what} needs a name of letters, digits, "-" and "_"`)
    return cursor.text.slice(start, cursor.pos)
  }

  #word(stopAtFlow: boolean): string {
    const cursor = this.#cursor
    const start = cursor.pos
    while (!isBlankOrEnd(cursor.char) && !(stopAtFlow && isFlowIndicator(cursor.char))) cursor.pos++
    return cursor.text.slice(start, cursor.pos)
  }

  #alias(): Node {
    const cursor = this.#cursor
    const start = cursor.pos
    cursor.pos++
    const name = this.#name('alias')
    const node = this.#anchors.get(name)
    return node ?? cursor.fail(`unknown alias ${quote(name)}: no anchor of this name ends before it`, start)
  }

  #scalar(text: string, plain: boolean, properties: Properties | undefined, pos: number): Node {
    const at = this.#cursor.base + pos
    if (properties?.tag !== undefined) return this.#named(tagText(properties.tag, at, text), properties)
    return this.#named(plain ? resolvePlain(text, at) : makeScalar(text, at), properties)
  }

  /** Gives a collection, or what stands on the next lines, its tag and anchor. */
  #dress(node: Node, properties: Properties | undefined): Node {
    const tag = properties?.tag
    return this.#named(tag === undefined ? node : tagNode(tag, properties?.at ?? node.at, node), properties)
  }

  #named(node: Node, properties: Properties | undefined): Node {
    if (properties?.anchor !== undefined) this.#anchors.set(properties.anchor, node)
    return node
  }

  /** Adds an entry as Psych does: the last of equal keys wins, `<<` merges at its position. */
  #add(entries: Map<Scalar, Entry>, key: Node, at: number, value: Node): void {
    const name = this.#keyOf(key, at)
    if (name === '<<' && this.#merge(entries, value, at)) return
    if (entries.has(name)) this.#onDuplicateKey?.(String(name), at)
    entries.set(name, { at, value })
  }

  #keyOf(key: Node, at: number): Scalar {
    if (key.kind !== 'scalar') throw new ConfigFault('a key must be a text, not a collection', at)
    checkKey(key.value, at)
    return key.value
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

  #startsPlain(inFlow: boolean): boolean {
    const c = this.#cursor.char
    if (c === dash || c === question || c === colon) {
      const next = this.#cursor.text.charCodeAt(this.#cursor.pos + 1)
      return !isBlankOrEnd(next) && !(inFlow && isFlowIndicator(next))
    }
    return !Number.isNaN(c) && !indicators.has(c)
  }

  #atIndicator(indicator: number): boolean {
    const cursor = this.#cursor
    return cursor.char === indicator && isBlankOrEnd(cursor.text.charCodeAt(cursor.pos + 1))
  }

  get #place(): number {
    return this.#cursor.base + this.#cursor.pos
  }

  #enter(): void {
    this.#depth++
    if (this.#depth > limits.depth) this.#cursor.fail(`nested deeper than ${limits.depth} levels`)
  }

  #unexpected(): never {
    const cursor = this.#cursor
    if (cursor.atEnd) cursor.fail('unexpected end of the file')
    const c = cursor.text.charAt(cursor.pos)
    if (c === '@' || c === '`' || c === '%') cursor.fail(`a text may not begin with ${quote(c)}; put it in quotes`)
    if (c === '\t') cursor.fail('a tab is used for indentation; use spaces')
    if (c === ':') cursor.fail('mapping values are not allowed here')
    return cursor.fail(`unexpected ${quote(c)}`)
  }
}

function isNameCharacter(c: number): boolean {
  return (c >= 0x30 && c <= 0x39) || (c >= 0x41 && c <= 0x5a) || (c >= 0x61 && c <= 0x7a) || c === 0x2d || c === 0x5f
}

/** Characters that no plain text begins with: `,[]{}#&*!|>'"%@` and the backtick. */
const indicators = new Set(Array.from(',[]{}#&*!|>\'"%@`', (c) => c.charCodeAt(0)))

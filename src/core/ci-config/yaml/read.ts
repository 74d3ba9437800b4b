/** The YAML reader, and its blocks. */
import { type Entry, makeList, makeMap, makeScalar, type Node, type Scalar } from '../node.js'
import { atIndicator, Cursor, colon, dash, isBlankOrEnd, question, startsPlain, unexpected } from './cursor.js'
import { EntryWriter, type OnDuplicateKey } from './entries.js'
import { FlowReader } from './flow.js'
import { Names } from './properties.js'
import { blockText, continuePlain, plainLine } from './text.js'

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

/** Documents and what is laid out by indentation; flow.ts reads the rest. */
class Reader {
  readonly #cursor: Cursor
  readonly #names: Names
  readonly #entries: EntryWriter
  readonly #flow: FlowReader

  constructor(text: string, base: number, onDuplicateKey: OnDuplicateKey | undefined) {
    this.#cursor = new Cursor(text, base)
    this.#names = new Names(this.#cursor)
    this.#entries = new EntryWriter(onDuplicateKey)
    this.#flow = new FlowReader(this.#cursor, this.#names, this.#entries)
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
    if (!cursor.ended) unexpected(cursor)
    return node
  }

  /** The value after `:`, `-` or `?` of a collection at column `indent`. */
  #value(indent: number, inMap: boolean, compact = !inMap): Node {
    const cursor = this.#cursor
    const after = cursor.place
    if (cursor.skip()) return this.#freshLine(indent, inMap, after)
    return cursor.atEnd ? makeScalar(null, after) : this.#blockNode(indent, compact, inMap)
  }

  /** A value that begins on a line of its own, or null if that line belongs to somebody else. */
  #freshLine(indent: number, inMap: boolean, after: number): Node {
    const cursor = this.#cursor
    if (cursor.ended) return makeScalar(null, after)
    const { column } = cursor
    if (column > indent || (inMap && column === indent && atIndicator(cursor, dash))) {
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
    const properties = this.#names.properties(false)
    if (properties !== undefined) {
      const after = cursor.place
      if (cursor.skip() || cursor.atEnd) {
        return this.#names.dress(this.#freshLine(parent, inMap, after), properties)
      }
    }
    const c = cursor.char
    if (c === 0x7c || c === 0x3e) return this.#names.scalar(blockText(cursor, parent), false, properties, pos)
    const isPlain = startsPlain(cursor, false)
    const line = isPlain ? plainLine(cursor, false) : ''
    const node = isPlain ? undefined : this.#flow.atom(properties, pos)
    const end = cursor.pos
    cursor.skipSpaces()
    if (cursor.char === colon && isBlankOrEnd(cursor.text.charCodeAt(cursor.pos + 1))) {
      if (!compact || cursor.lineStart !== lineStart) cursor.fail('mapping values are not allowed here')
      return this.#blockMap(column, node ?? this.#names.scalar(line, true, properties, pos), pos)
    }
    cursor.pos = end
    return node ?? this.#names.scalar(continuePlain(cursor, line, parent, false), true, properties, pos)
  }

  #blockList(column: number): Node {
    const cursor = this.#cursor
    const at = cursor.place
    const items: Node[] = []
    cursor.enter()
    do {
      cursor.pos++
      items.push(this.#value(column, false))
    } while (this.#goesOn(column) && atIndicator(cursor, dash))
    cursor.leave()
    return makeList(items, at)
  }

  /** A block map from its first key on: already read, or at `?`. */
  #blockMap(column: number, firstKey: Node | undefined, firstPos = this.#cursor.pos): Node {
    const cursor = this.#cursor
    const at = cursor.base + firstPos
    const entries = new Map<Scalar, Entry>()
    let key = firstKey
    let keyAt = at
    cursor.enter()
    for (;;) {
      let marked = false
      if (key === undefined) {
        keyAt = cursor.place
        marked = atIndicator(cursor, question)
        key = this.#blockKey(column)
      }
      if (cursor.char === colon && isBlankOrEnd(cursor.text.charCodeAt(cursor.pos + 1))) {
        cursor.pos++
        // After a key of its own line, marked with `?`, a collection may follow the colon at once.
        this.#entries.add(entries, key, keyAt, this.#value(column, true, marked))
      } else {
        this.#entries.add(entries, key, keyAt, makeScalar(null, keyAt))
      }
      if (!this.#goesOn(column)) break
      if (atIndicator(cursor, dash)) {
        if (cursor.column === column && firstKey === undefined) break
        cursor.fail('a list item stands where a key is expected')
      }
      key = undefined
    }
    cursor.leave()
    return makeMap(entries, at)
  }

  /** Reads a key up to its `:`, which must follow unless the key was marked with `?`. */
  #blockKey(column: number): Node {
    const cursor = this.#cursor
    if (atIndicator(cursor, colon)) cursor.fail("a key is missing before this ':'")
    if (atIndicator(cursor, question)) {
      cursor.pos++
      const key = this.#value(column, false)
      cursor.skip()
      return key
    }
    const { pos, lineStart } = cursor
    const properties = this.#names.properties(false)
    cursor.skipSpaces()
    const key = startsPlain(cursor, false)
      ? this.#names.scalar(plainLine(cursor, false), true, properties, pos)
      : this.#flow.atom(properties, pos)
    cursor.skipSpaces()
    if (!atIndicator(cursor, colon) || cursor.lineStart !== lineStart) {
      cursor.fail("expected ':' after this key", pos)
    }
    return key
  }

  /** After an entry: does the collection at `column` have another one? */
  #goesOn(column: number): boolean {
    const cursor = this.#cursor
    cursor.skip()
    if (cursor.ended) return false
    if (cursor.pos !== cursor.lineContent) unexpected(cursor)
    if (cursor.column < column) return false
    if (cursor.column > column) cursor.fail('this line is indented deeper than the entries before it')
    cursor.refuseTabs()
    return true
  }
}

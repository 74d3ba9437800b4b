/** YAML in brackets and braces. */
import { type Entry, makeList, makeMap, makeScalar, type Node, type Scalar } from '../node.js'
import { atIndicator, type Cursor, colon, question, startsPlain, unexpected } from './cursor.js'
import { type EntryWriter, keyOf } from './entries.js'
import type { Names, Properties } from './properties.js'
import { continuePlain, doubleQuoted, plainLine, singleQuoted } from './text.js'

const comma = 0x2c
const listEnd = 0x5d
const mapEnd = 0x7d

/** Reads what stands in brackets and braces, and everything else that can stand on a line and is no plain text. */
export class FlowReader {
  readonly #cursor: Cursor
  readonly #names: Names
  readonly #entries: EntryWriter

  constructor(cursor: Cursor, names: Names, entries: EntryWriter) {
    this.#cursor = cursor
    this.#names = names
    this.#entries = entries
  }

  /** An alias, a quoted text or a flow collection. `pos`: where its properties, or it itself, began. */
  atom(properties: Properties | undefined, pos: number): Node {
    const cursor = this.#cursor
    switch (cursor.char) {
      case 0x22:
        return this.#names.scalar(doubleQuoted(cursor), false, properties, pos)
      case 0x27:
        return this.#names.scalar(singleQuoted(cursor), false, properties, pos)
      case 0x2a:
        if (properties !== undefined) cursor.fail('an alias may have neither anchor nor tag')
        return this.#names.alias()
      case 0x5b:
        return this.#names.dress(this.#list(), properties)
      case 0x7b:
        return this.#names.dress(this.#map(), properties)
      default:
        return unexpected(cursor)
    }
  }

  #node(): Node {
    const cursor = this.#cursor
    const { pos } = cursor
    const properties = this.#names.properties(true)
    if (properties !== undefined) {
      cursor.skip()
      if (this.#atEnd() || cursor.char === colon) return this.#names.scalar('', true, properties, pos)
    }
    if (!startsPlain(cursor, true)) return this.atom(properties, pos)
    const text = continuePlain(cursor, plainLine(cursor, true), -1, true)
    return this.#names.scalar(text, true, properties, pos)
  }

  #list(): Node {
    const cursor = this.#cursor
    const start = cursor.pos
    const items: Node[] = []
    cursor.enter()
    cursor.pos++
    for (;;) {
      this.#skip(start)
      if (cursor.char === listEnd) break
      items.push(this.#item(start))
      if (this.#separator(start, listEnd, 'list')) break
    }
    cursor.pos++
    cursor.leave()
    return makeList(items, cursor.base + start)
  }

  /** One of a list: a value, or `key: value`, which is a map of its own. */
  #item(start: number): Node {
    const cursor = this.#cursor
    const at = cursor.place
    const explicit = this.#question()
    const item = explicit && this.#atEnd() ? makeScalar(null, at) : this.#node()
    this.#skip(start)
    if (cursor.char === colon) {
      cursor.pos++
      const entries = new Map<Scalar, Entry>()
      this.#entries.add(entries, item, at, this.#value(start))
      return makeMap(entries, at)
    }
    return explicit ? makeMap(new Map([[keyOf(item, at), { at, value: makeScalar(null, at) }]]), at) : item
  }

  #map(): Node {
    const cursor = this.#cursor
    const start = cursor.pos
    const entries = new Map<Scalar, Entry>()
    cursor.enter()
    cursor.pos++
    for (;;) {
      this.#skip(start)
      if (cursor.char === mapEnd) break
      const at = cursor.place
      this.#question()
      const noKey = this.#atEnd() || (cursor.char === colon && !startsPlain(cursor, true))
      const key = noKey ? makeScalar(null, at) : this.#node()
      this.#skip(start)
      let value: Node = makeScalar(null, at)
      if (cursor.char === colon) {
        cursor.pos++
        value = this.#value(start)
      }
      this.#entries.add(entries, key, at, value)
      if (this.#separator(start, mapEnd, 'map')) break
    }
    cursor.pos++
    cursor.leave()
    return makeMap(entries, cursor.base + start)
  }

  #value(start: number): Node {
    const at = this.#cursor.place
    this.#skip(start)
    return this.#atEnd() ? makeScalar(null, at) : this.#node()
  }

  #question(): boolean {
    if (!atIndicator(this.#cursor, question)) return false
    this.#cursor.pos++
    this.#cursor.skip()
    return true
  }

  #atEnd(): boolean {
    const c = this.#cursor.char
    return c === comma || c === listEnd || c === mapEnd
  }

  #skip(start: number): void {
    this.#cursor.skip()
    if (this.#cursor.ended) this.#cursor.fail('this bracket is never closed', start)
  }

  /** Steps over `,` to the next entry; true at the closing bracket. */
  #separator(start: number, close: number, what: string): boolean {
    const cursor = this.#cursor
    this.#skip(start)
    if (cursor.char === close) return true
    if (cursor.char !== comma) cursor.fail(`expected ',' or '${String.fromCharCode(close)}' in this ${what}`)
    cursor.pos++
    return false
  }
}

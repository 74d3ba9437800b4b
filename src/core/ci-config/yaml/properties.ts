/** Anchors, aliases and tags. */
import { makeScalar, type Node, quote } from '../node.js'
import { type Cursor, isBlankOrEnd, isFlowIndicator, unexpected } from './cursor.js'
import { resolvePlain } from './scalar.js'
import { tagNode, tagText } from './tags.js'

/** What may stand before a value. */
export interface Properties {
  anchor?: string
  tag?: string
  at: number
}

/** Anchors, aliases and tags of one document. */
export class Names {
  readonly #cursor: Cursor
  readonly #anchors = new Map<string, Node>()

  constructor(cursor: Cursor) {
    this.#cursor = cursor
  }

  /** `&anchor` and `!tag`, in either order, each at most once; undefined if there is none. */
  properties(inFlow: boolean): Properties | undefined {
    const cursor = this.#cursor
    if (cursor.char !== ampersand && cursor.char !== exclamation) return undefined
    const properties: Properties = { at: cursor.place }
    for (;;) {
      const c = cursor.char
      if (c === ampersand && properties.anchor === undefined) {
        cursor.pos++
        properties.anchor = this.#name('anchor')
      } else if (c === exclamation && properties.tag === undefined) {
        properties.tag = this.#word(inFlow)
      } else {
        return properties
      }
      if (!isBlankOrEnd(cursor.char) && !(inFlow && isFlowIndicator(cursor.char))) unexpected(cursor)
      cursor.skipSpaces()
    }
  }

  /** The node that the `*alias` here stands for. */
  alias(): Node {
    const cursor = this.#cursor
    const start = cursor.pos
    cursor.pos++
    const name = this.#name('alias')
    const node = this.#anchors.get(name)
    return node ?? cursor.fail(`unknown alias ${quote(name)}: no anchor of this name ends before it`, start)
  }

  /** A text that began at `pos`; a plain one is resolved to its type unless a tag says which it is. */
  scalar(text: string, plain: boolean, properties: Properties | undefined, pos: number): Node {
    const at = this.#cursor.base + pos
    if (properties?.tag !== undefined) return this.#named(tagText(properties.tag, at, text), properties)
    return this.#named(plain ? resolvePlain(text, at) : makeScalar(text, at), properties)
  }

  /** Returns a collection, or what stands on the next lines, its tag and anchor. */
  dress(node: Node, properties: Properties | undefined): Node {
    const tag = properties?.tag
    return this.#named(tag === undefined ? node : tagNode(tag, properties?.at ?? node.at, node), properties)
  }

  #named(node: Node, properties: Properties | undefined): Node {
    if (properties?.anchor !== undefined) this.#anchors.set(properties.anchor, node)
    return node
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
}

const ampersand = 0x26
const exclamation = 0x21

function isNameCharacter(c: number): boolean {
  return (c >= 0x30 && c <= 0x39) || (c >= 0x41 && c <= 0x5a) || (c >= 0x61 && c <= 0x7a) || c === 0x2d || c === 0x5f
}

/** A position in YAML text, and the characters that mean something there. */
import { ConfigFault } from '../fault.js'
import { limits } from '../limits.js'
import { quote } from '../node.js'

export const dash = 0x2d
export const question = 0x3f
export const colon = 0x3a
const tab = 0x09
const newline = 0x0a
const space = 0x20

/**
 * A position in YAML text that knows where its line began. Line ends are `\n` only: load.ts has made them so. Reading
 * past the end gives NaN, which equals no character.
 */
export class Cursor {
  readonly text: string
  /** What to add to an offset to make it a place. */
  readonly base: number
  pos = 0
  lineStart = 0
  /** Where the content of the current line begins, once `skip` has crossed to it. */
  lineContent = 0
  readonly #hasTabs: boolean
  #depth = 0

  constructor(text: string, base: number) {
    this.text = text
    this.base = base
    this.#hasTabs = text.includes('\t')
  }

  get char(): number {
    return this.text.charCodeAt(this.pos)
  }

  /** The position as a place. */
  get place(): number {
    return this.base + this.pos
  }

  get column(): number {
    return this.pos - this.lineStart
  }

  get atEnd(): boolean {
    return this.pos >= this.text.length
  }

  /** The end of text or of the document: `---` and `...` end it at the start of a line. */
  get ended(): boolean {
    if (this.pos >= this.text.length) return true
    if (this.pos !== this.lineStart) return false
    const c = this.char
    return (c === 0x2d || c === 0x2e) && this.#atMarker(c)
  }

  #atMarker(c: number): boolean {
    const { text, pos } = this
    return text.charCodeAt(pos + 1) === c && text.charCodeAt(pos + 2) === c && isBlankOrEnd(text.charCodeAt(pos + 3))
  }

  /** Goes over blanks, comments and line ends to the next content; tells whether that begins a line. */
  skip(): boolean {
    const { text } = this
    let pos = this.pos
    let crossed = pos === this.lineStart
    for (;;) {
      const c = text.charCodeAt(pos)
      if (c === space || c === tab) {
        pos++
      } else if (c === newline) {
        pos++
        this.lineStart = pos
        crossed = true
      } else if (c === 0x23) {
        // libyaml asks for no blank before a comment that follows a token.
        const end = text.indexOf('\n', pos)
        pos = end === -1 ? text.length : end
      } else {
        break
      }
    }
    this.pos = pos
    if (crossed) this.lineContent = pos
    return crossed
  }

  /** Goes over blanks of this line. */
  skipSpaces(): void {
    let c = this.char
    while (c === space || c === tab) c = this.text.charCodeAt(++this.pos)
  }

  /** Steps over a line end that the cursor stands on. */
  nextLine(): void {
    this.pos++
    this.lineStart = this.pos
  }

  /** YAML indents with spaces only; called where the column of fresh content counts. */
  refuseTabs(): void {
    if (!this.#hasTabs) return
    for (let at = this.lineStart; at < this.pos; at++) {
      if (this.text.charCodeAt(at) === tab) this.fail('a tab is used for indentation; use spaces', at)
    }
  }

  /** A collection begins inside of those that have. */
  enter(): void {
    this.#depth++
    if (this.#depth > limits.depth) this.fail(`nested deeper than ${limits.depth} levels`)
  }

  leave(): void {
    this.#depth--
  }

  fail(message: string, pos = this.pos): never {
    throw new ConfigFault(message, this.base + Math.min(pos, this.text.length))
  }
}

export function isBlankOrEnd(c: number): boolean {
  return c === space || c === newline || c === tab || Number.isNaN(c)
}

/** `,` `[` `]` `{` `}`. */
export function isFlowIndicator(c: number): boolean {
  return c === 0x2c || c === 0x5b || c === 0x5d || c === 0x7b || c === 0x7d
}

/** Characters that no plain text begins with: `,[]{}#&*!|>'"%@` and the backtick. */
const indicators = new Set(Array.from(',[]{}#&*!|>\'"%@`', (c) => c.charCodeAt(0)))

/** Whether a plain text begins here. */
export function startsPlain(cursor: Cursor, inFlow: boolean): boolean {
  const c = cursor.char
  if (c === dash || c === question || c === colon) {
    const next = cursor.text.charCodeAt(cursor.pos + 1)
    return !isBlankOrEnd(next) && !(inFlow && isFlowIndicator(next))
  }
  return !Number.isNaN(c) && !indicators.has(c)
}

/** Whether `-`, `?` or `:` stands here with a blank behind it. */
export function atIndicator(cursor: Cursor, indicator: number): boolean {
  return cursor.char === indicator && isBlankOrEnd(cursor.text.charCodeAt(cursor.pos + 1))
}

/** What stands here can begin nothing. */
export function unexpected(cursor: Cursor): never {
  if (cursor.atEnd) cursor.fail('unexpected end of the file')
  const c = cursor.text.charAt(cursor.pos)
  if (c === '@' || c === '`' || c === '%') cursor.fail(`a text may not begin with ${quote(c)}; put it in quotes`)
  if (c === '\t') cursor.fail('a tab is used for indentation; use spaces')
  if (c === ':') cursor.fail('mapping values are not allowed here')
  return cursor.fail(`unexpected ${quote(c)}`)
}

/** The four ways to write a text in YAML. */
import { type Cursor, isBlankOrEnd, isFlowIndicator } from './cursor.js'

/**
 * The four ways to write a text in YAML: plain, single-quoted, double-quoted and as a block. Each function starts at the
 * first character of the text and leaves the cursor after its last.
 */

const newline = 0x0a

/** The part of a plain text on this line: up to a comment, `: `, or in flow an indicator. Blanks at the end are left. */
export function plainLine(cursor: Cursor, inFlow: boolean): string {
  const { text } = cursor
  const start = cursor.pos
  let pos = start
  let end = start
  for (;;) {
    const c = text.charCodeAt(pos)
    if (c === 0x20 || c === 0x09) {
      pos++
      if (text.charCodeAt(pos) === 0x23) break
      continue
    }
    if (c === newline || Number.isNaN(c)) break
    if (c === 0x3a) {
      const next = text.charCodeAt(pos + 1)
      if (isBlankOrEnd(next) || (inFlow && isFlowIndicator(next))) break
    } else if (inFlow && isFlowIndicator(c)) {
      break
    }
    end = ++pos
  }
  cursor.pos = end
  return text.slice(start, end)
}

/** Lines that continue a plain text: deeper than `parent` in block context, any in flow. */
export function continuePlain(cursor: Cursor, first: string, parent: number, inFlow: boolean): string {
  let value = first
  for (;;) {
    const { pos, lineStart, lineContent } = cursor
    cursor.skipSpaces()
    let breaks = 0
    while (cursor.char === newline) {
      cursor.nextLine()
      cursor.skipSpaces()
      breaks++
    }
    const goesOn =
      breaks > 0 &&
      !cursor.ended &&
      cursor.char !== 0x23 &&
      (inFlow ? !endsFlowPlain(cursor) : cursor.column > parent && !startsValue(cursor))
    if (!goesOn) {
      cursor.pos = pos
      cursor.lineStart = lineStart
      cursor.lineContent = lineContent
      return value
    }
    if (!inFlow) cursor.refuseTabs()
    value += (breaks === 1 ? ' ' : '\n'.repeat(breaks - 1)) + plainLine(cursor, inFlow)
  }
}

function endsFlowPlain(cursor: Cursor): boolean {
  return isFlowIndicator(cursor.char) || startsValue(cursor)
}

function startsValue(cursor: Cursor): boolean {
  return cursor.char === 0x3a && isBlankOrEnd(cursor.text.charCodeAt(cursor.pos + 1))
}

export function singleQuoted(cursor: Cursor): string {
  const { text } = cursor
  const start = cursor.pos
  let end = start
  do {
    end = text.indexOf("'", end + 1)
    if (end === -1) cursor.fail('this quote is never closed', start)
  } while (text.charCodeAt(end + 1) === 0x27 && end++ > 0)
  const raw = text.slice(start + 1, end)
  cursor.pos = end + 1
  const folded = raw.includes('\n') ? foldLines(cursor, raw) : raw
  return folded.includes("''") ? folded.replaceAll("''", "'") : folded
}

/** Line ends in a single-quoted text: one becomes a blank, n become n-1 line ends; blanks around them go. */
function foldLines(cursor: Cursor, raw: string): string {
  cursor.lineStart = cursor.text.lastIndexOf('\n', cursor.pos - 1) + 1
  const lines = raw.split('\n')
  let value = ''
  let pending = 0
  lines.forEach((line, index) => {
    let content = line
    if (index > 0) content = trimBlanksStart(content)
    if (index < lines.length - 1) content = trimBlanksEnd(content)
    if (index === 0) {
      value = content
      return
    }
    pending++
    if (content === '' && index < lines.length - 1) return
    value += (pending === 1 ? ' ' : '\n'.repeat(pending - 1)) + content
    pending = 0
  })
  return value
}

export function doubleQuoted(cursor: Cursor): string {
  const { text } = cursor
  const start = cursor.pos
  let value = ''
  let pos = start + 1
  let plainFrom = pos
  for (;;) {
    const c = text.charCodeAt(pos)
    if (c === 0x22) break
    if (Number.isNaN(c)) cursor.fail('this quote is never closed', start)
    if (c === 0x5c) {
      value += text.slice(plainFrom, pos)
      cursor.pos = pos
      value += escaped(cursor)
      pos = cursor.pos
      plainFrom = pos
    } else if (c === newline) {
      value += trimBlanksEnd(text.slice(plainFrom, pos))
      cursor.pos = pos
      value += lineEnds(cursor)
      pos = cursor.pos
      plainFrom = pos
    } else {
      pos++
    }
  }
  cursor.pos = pos + 1
  return value + text.slice(plainFrom, pos)
}

/** Crosses one or more line ends inside a double-quoted text. */
function lineEnds(cursor: Cursor): string {
  let breaks = 0
  while (cursor.char === newline) {
    cursor.nextLine()
    cursor.skipSpaces()
    breaks++
  }
  return breaks === 1 ? ' ' : '\n'.repeat(breaks - 1)
}

const escapes = new Map<string, string>([
  ['0', '\0'],
  ['a', '\x07'],
  ['b', '\b'],
  ['t', '\t'],
  ['\t', '\t'],
  ['n', '\n'],
  ['v', '\v'],
  ['f', '\f'],
  ['r', '\r'],
  ['e', '\x1b'],
  [' ', ' '],
  ['"', '"'],
  ["'", "'"],
  ['/', '/'],
  ['\\', '\\'],
  ['N', '\u0085'],
  ['_', '\u00a0'],
  ['L', '\u2028'],
  ['P', '\u2029'],
])

const hexLengths = new Map([
  ['x', 2],
  ['u', 4],
  ['U', 8],
])

function escaped(cursor: Cursor): string {
  const { text, pos } = cursor
  const letter = text.charAt(pos + 1)
  if (letter === '\n') {
    cursor.pos = pos + 1
    cursor.nextLine()
    cursor.skipSpaces()
    return ''
  }
  const simple = escapes.get(letter)
  if (simple !== undefined) {
    cursor.pos = pos + 2
    return simple
  }
  const length = hexLengths.get(letter)
  const digits = length === undefined ? '' : text.slice(pos + 2, pos + 2 + length)
  const code = /^[0-9a-fA-F]+$/.test(digits) && digits.length === length ? Number.parseInt(digits, 16) : -1
  if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
    cursor.fail(`unknown escape "\\${letter}" in a double-quoted text`)
  }
  cursor.pos = pos + 2 + digits.length
  return String.fromCodePoint(code)
}

/**
 * `|` and `>` texts. The content is indented deeper than `parent`; its first line that is not empty sets the
 * indentation unless the header gives it.
 */
export function blockText(cursor: Cursor, parent: number): string {
  const folded = cursor.char === 0x3e
  const header = blockHeader(cursor)
  let indent = header.indentation === 0 ? 0 : Math.max(parent, 0) + header.indentation
  const { text } = cursor
  const lines: string[] = []
  let endsWithBreak = true
  let widest = 0
  while (!cursor.atEnd) {
    const start = cursor.pos
    const lineEnd = text.indexOf('\n', start)
    const end = lineEnd === -1 ? text.length : lineEnd
    let content = start
    while (content < end && text.charCodeAt(content) === 0x20) content++
    if (content < end) {
      if (indent === 0) {
        if (content - start <= parent || content === start) break
        indent = content - start
        if (widest > indent) cursor.fail('an empty line before this one is indented deeper than it', content)
      } else if (content - start < indent) {
        if (text.charCodeAt(content) === 0x09) cursor.fail('a tab is used for indentation; use spaces', content)
        break
      }
    }
    if (indent === 0) widest = Math.max(widest, content - start)
    lines.push(indent === 0 ? '' : text.slice(start + indent, end))
    endsWithBreak = lineEnd !== -1
    cursor.pos = endsWithBreak ? end + 1 : end
    cursor.lineStart = cursor.pos
  }
  cursor.lineContent = cursor.pos
  let empty = 0
  while (lines.at(-1) === '') {
    lines.pop()
    empty++
  }
  const body = folded ? foldBlock(lines) : lines.join('\n')
  const last = lines.length > 0 && (empty > 0 || endsWithBreak) ? '\n' : ''
  if (header.chomp === '-') return body
  return body + last + (header.chomp === '+' ? '\n'.repeat(empty) : '')
}

function blockHeader(cursor: Cursor): { chomp: string; indentation: number } {
  let chomp = ''
  let indentation = 0
  for (;;) {
    cursor.pos++
    const letter = cursor.text.charAt(cursor.pos)
    if ((letter === '+' || letter === '-') && chomp === '') chomp = letter
    else if (letter >= '1' && letter <= '9' && indentation === 0) indentation = Number(letter)
    else break
  }
  if (!isBlankOrEnd(cursor.char)) cursor.fail('unexpected text after the head of a block text')
  cursor.skipSpaces()
  if (cursor.char === 0x23) {
    const end = cursor.text.indexOf('\n', cursor.pos)
    cursor.pos = end === -1 ? cursor.text.length : end
  }
  if (cursor.char === newline) cursor.nextLine()
  else if (!cursor.atEnd) cursor.fail('a block text begins on the line after its head')
  return { chomp, indentation }
}

/** Joins lines by blanks, except beside empty lines and lines that begin with a blank. */
function foldBlock(lines: string[]): string {
  let value = ''
  let breaks = 0
  let before: string | undefined
  for (const line of lines) {
    if (line === '') {
      breaks++
      continue
    }
    if (before === undefined) value += '\n'.repeat(breaks)
    else if (/^[ \t]/.test(line) || /^[ \t]/.test(before)) value += '\n'.repeat(breaks + 1)
    else value += breaks === 0 ? ' ' : '\n'.repeat(breaks)
    value += line
    before = line
    breaks = 0
  }
  return value
}

function trimBlanksStart(text: string): string {
  let at = 0
  while (text.charCodeAt(at) === 0x20 || text.charCodeAt(at) === 0x09) at++
  return text.slice(at)
}

function trimBlanksEnd(text: string): string {
  let end = text.length
  while (text.charCodeAt(end - 1) === 0x20 || text.charCodeAt(end - 1) === 0x09) end--
  return text.slice(0, end)
}

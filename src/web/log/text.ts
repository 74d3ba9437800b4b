/**
 * A line of a log as pieces of text with looks: colours are kept, everything else that a terminal would obey is dropped, and
 * nothing is ever markup. https://en.wikipedia.org/wiki/ANSI_escape_code#SGR
 */

export interface Piece {
  text: string
  /** Names of classes, with blanks between. */
  look: string
  /** An address to go to: `http` and `https` only. */
  href?: string
}

export interface Style {
  fg: string
  bg: string
  marks: string
}

export const plain: Style = { fg: '', bg: '', marks: '' }

export interface Line {
  pieces: Piece[]
  /** When the runner wrote it, in milliseconds since 1970. */
  time: number | undefined
  /** How the next line begins. */
  after: Style
}

/** What a screen can take in; the rest is in the raw log. */
const longest = 4000

// CSI with its parameters; OSC, DCS, SOS, PM and APC to their end; any other escape; C0 but tab, and C1.
const controls =
  /\x1b\[([0-?]{0,64})[ -/]*([@-~])|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1f\x7f-\x9f]/g
/** Characters that turn the direction of what follows, which can make text read as what it is not: https://trojansource.codes */
const bidi = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g
const stamped = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) [0-9a-f]{2}[OE][ +]/
const marker = /section_(?:start|end):\d+:[\w.-]{1,64}(?:\[[^\]]*\])?\r\x1b\[0K/g

/** A line as it came, without its end. */
export function parseLine(raw: string, before: Style): Line {
  const time = stamped.exec(raw)
  let text = (time ? raw.slice(time[0].length) : raw).replace(marker, '').replace(/\r+$/, '')
  // A progress bar writes over itself: its last state counts.
  text = text.slice(text.lastIndexOf('\r') + 1)
  const cut = text.length > longest ? text.length - longest : 0
  if (cut > 0) text = text.slice(0, longest)
  const pieces: Piece[] = []
  let style = before
  let at = 0
  const add = (piece: string) => {
    if (piece !== '') pieces.push(...linked(piece.replace(bidi, shown), classes(style)))
  }
  for (const found of text.matchAll(controls)) {
    add(text.slice(at, found.index))
    at = found.index + found[0].length
    if (found[2] === 'm') style = restyled(style, found[1] ?? '')
  }
  add(text.slice(at))
  if (cut > 0) pieces.push({ text: ` … ${cut} more characters in the raw log`, look: 'dim' })
  return { pieces, time: time ? Date.parse(time[1]!) : undefined, after: style }
}

/** The text alone, as a search sees it. */
export function textOf(line: Line): string {
  return line.pieces.map((piece) => piece.text).join('')
}

const shown = (character: string) => `<U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}>`

function classes({ fg, bg, marks }: Style): string {
  return [fg, bg, marks].filter((one) => one !== '').join(' ')
}

const address = /https?:\/\/[^\s<>"'`\u0000-\u001f]+[^\s<>"'`.,;:!?)\]}]/g

function linked(text: string, look: string): Piece[] {
  const pieces: Piece[] = []
  let at = 0
  for (const { 0: href, index } of text.matchAll(address)) {
    if (index > at) pieces.push({ text: text.slice(at, index), look })
    pieces.push({ text: href, look, href })
    at = index + href.length
  }
  if (at < text.length) pieces.push({ text: text.slice(at), look })
  return pieces
}

const names = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white']
const markNames: Readonly<Record<number, string>> = { 1: 'bold', 2: 'faint', 3: 'italic', 4: 'underline', 9: 'struck' }

function restyled(style: Style, given: string): Style {
  let { fg, bg, marks } = style
  const codes = given.split(/[;:]/).slice(0, 16).map(Number)
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i] ?? 0
    if (code === 0) [fg, bg, marks] = ['', '', '']
    else if (markNames[code] !== undefined) marks = `${marks} ${markNames[code]}`.trim()
    else if (code >= 22 && code <= 29) marks = ''
    else if (code >= 30 && code <= 37) fg = `fg-${names[code - 30]}`
    else if (code >= 90 && code <= 97) fg = `fg-${names[code - 90]} bright`
    else if (code >= 40 && code <= 47) bg = `bg-${names[code - 40]}`
    else if (code >= 100 && code <= 107) bg = `bg-${names[code - 100]}`
    else if (code === 39) fg = ''
    else if (code === 49) bg = ''
    else if (code === 38 || code === 48) {
      // Of 256 colours and of true colours: the one of the eight that is nearest, which is readable on both themes.
      const [name, used] = nearest(codes.slice(i + 1))
      if (code === 38) fg = `fg-${name}`
      else bg = `bg-${name}`
      i += used
    }
  }
  return { fg, bg, marks }
}

function nearest(codes: readonly number[]): [name: string, used: number] {
  if (codes[0] === 2) return [byLevels(codes[1] ?? 0, codes[2] ?? 0, codes[3] ?? 0), 4]
  const index = codes[1] ?? 0
  if (index < 16) return [names[index % 8]!, 2]
  if (index >= 232) return [index > 243 ? 'white' : 'black', 2]
  const cube = index - 16
  return [byLevels(Math.floor(cube / 36) * 51, (Math.floor(cube / 6) % 6) * 51, (cube % 6) * 51), 2]
}

function byLevels(r: number, g: number, b: number): string {
  const middle = Math.max(r, g, b) / 2
  const bits = (r > middle ? 1 : 0) + (g > middle ? 2 : 0) + (b > middle ? 4 : 0)
  return Math.max(r, g, b) < 40 ? 'black' : names[bits]!
}

/**
 * JSON as a door takes it from strangers (RFC 8259, stricter): bounded depth and keys, no key twice, no NUL in a
 * text, no key that could reach a prototype, maps without a prototype. `JSON.parse` cannot tell any of this.
 */
import { SignalboxError } from '../core/errors.js'

export type Json = string | number | boolean | null | Json[] | JsonMap
export interface JsonMap {
  [key: string]: Json
}

export interface JsonLimits {
  /** Maps and lists inside one another. */
  depth: number
  /** Keys and list items in all. */
  entries: number
}

export const jsonLimits: JsonLimits = { depth: 32, entries: 2000 }

const forbiddenKeys = new Set(['__proto__', 'constructor', 'prototype'])

/** Whether a key from outside may stand in our maps. */
export function isSafeKey(key: string): boolean {
  return !forbiddenKeys.has(key)
}

/** A map without a prototype. */
export function emptyMap(): JsonMap {
  return Object.create(null)
}

/** Throws `invalid`, with what was wrong and where but never the text itself. */
export function parseJson(text: string, limits: JsonLimits = jsonLimits): Json {
  return new JsonReader(text, limits).document()
}

const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
/** U+0000 to U+001F, which JSON wants escaped. */
const lowControl = /[^\P{Cc}\x7f-\x9f]/u
const blanks = /[ \t\n\r]*/y
const words: readonly [string, boolean | null][] = [
  ['true', true],
  ['false', false],
  ['null', null],
]

class JsonReader {
  readonly #text: string
  readonly #limits: JsonLimits
  #at = 0
  #entries = 0

  constructor(text: string, limits: JsonLimits) {
    this.#text = text
    this.#limits = limits
  }

  document(): Json {
    const value = this.#value(0)
    this.#skip()
    if (this.#at < this.#text.length) throw this.#wrong('something follows the value')
    return value
  }

  #value(depth: number): Json {
    if (depth > this.#limits.depth) throw this.#wrong('it is nested too deep')
    this.#skip()
    const first = this.#text[this.#at]
    if (first === '{') return this.#map(depth)
    if (first === '[') return this.#list(depth)
    if (first === '"') return this.#string()
    for (const [word, value] of words) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length
        return value
      }
    }
    return this.#number()
  }

  #map(depth: number): JsonMap {
    const map = emptyMap()
    if (this.#opens('}')) return map
    do {
      this.#count()
      this.#skip()
      if (this.#text[this.#at] !== '"') throw this.#wrong('a key is expected')
      const key = this.#string()
      if (!isSafeKey(key)) throw this.#wrong('a key is not allowed')
      if (key in map) throw this.#wrong('a key is given twice')
      this.#skip()
      if (this.#text[this.#at++] !== ':') throw this.#wrong('a colon is expected')
      map[key] = this.#value(depth + 1)
    } while (this.#continues('}'))
    return map
  }

  #list(depth: number): Json[] {
    const list: Json[] = []
    if (this.#opens(']')) return list
    do {
      this.#count()
      list.push(this.#value(depth + 1))
    } while (this.#continues(']'))
    return list
  }

  #string(): string {
    const start = this.#at + 1
    let end = this.#text.indexOf('"', start)
    while (end !== -1 && this.#isEscaped(end, start)) end = this.#text.indexOf('"', end + 1)
    if (end === -1) throw this.#wrong('a text does not end')
    this.#at = end + 1
    const raw = this.#text.slice(start, end)
    const value = raw.includes('\\') ? this.#unescaped(raw) : raw
    // PostgreSQL cannot store NUL, and raw control characters are no JSON.
    if (lowControl.test(raw) || value.includes('\0')) throw this.#wrong('a text has a control character')
    return value
  }

  #unescaped(raw: string): string {
    try {
      return JSON.parse(`"${raw}"`)
    } catch {
      throw this.#wrong('an escape is not valid')
    }
  }

  #isEscaped(quote: number, start: number): boolean {
    let at = quote - 1
    while (at >= start && this.#text[at] === '\\') at--
    return (quote - 1 - at) % 2 === 1
  }

  #number(): number {
    number.lastIndex = this.#at
    const found = number.exec(this.#text)?.[0]
    if (found === undefined) throw this.#wrong('a value is expected')
    this.#at += found.length
    const value = Number(found)
    if (!Number.isFinite(value)) throw this.#wrong('a number is too large')
    return value
  }

  /** Goes past the opening bracket; gives whether it is closed at once. */
  #opens(close: string): boolean {
    this.#at++
    this.#skip()
    if (this.#text[this.#at] !== close) return false
    this.#at++
    return true
  }

  /** After an entry: gives whether another follows, else goes past the closing bracket. */
  #continues(close: string): boolean {
    this.#skip()
    const next = this.#text[this.#at++]
    if (next === ',') return true
    if (next === close) return false
    this.#at--
    throw this.#wrong(`a comma or ${close} is expected`)
  }

  #count(): void {
    if (++this.#entries > this.#limits.entries) throw this.#wrong('it has too many entries')
  }

  #skip(): void {
    const code = this.#text.charCodeAt(this.#at)
    if (code !== 0x20 && code !== 0x0a && code !== 0x09 && code !== 0x0d) return
    blanks.lastIndex = this.#at
    blanks.exec(this.#text)
    this.#at = blanks.lastIndex
  }

  #wrong(what: string): SignalboxError {
    return new SignalboxError('invalid', `the JSON is not valid: ${what} (character ${this.#at})`)
  }
}

/**
 * The parameters of a request, of one shape whether they came in the query, a form or JSON. Each getter says what it
 * expects; whatever else stands there is refused in GitLab's words, `{"error":"token is missing"}`.
 */
import { SignalboxError } from '../core/errors.js'
import type { Json, JsonMap } from './json.js'

/** A refusal of a parameter: `what` follows its name. */
export function wrongParameter(name: string, what = 'is invalid'): SignalboxError {
  return new SignalboxError('invalid', `${name} ${what}`, { details: { parameter: name } })
}

const longestText = 256 * 1024

/** Parameters by name. A getter gives undefined for one that is absent, and throws `invalid` for one that is not fit. */
export class Params {
  readonly #map: JsonMap
  readonly #asked: Set<string> | undefined

  constructor(map: JsonMap, asked?: Set<string>) {
    this.#map = map
    this.#asked = asked
  }

  /** The same parameters, which note from now on what they are asked for. */
  watched(): Params {
    return new Params(this.#map, new Set())
  }

  /** Names that are there and have not been asked for since they are `watched`. */
  unasked(): string[] {
    return this.keys().filter((name) => this.#asked?.has(name) === false)
  }

  has(name: string): boolean {
    const value = this.#value(name)
    return value !== undefined && value !== null
  }

  raw(name: string): Json | undefined {
    return this.#value(name)
  }

  /** A text. Null counts as absent; numbers and lists are refused, unless `loose` takes numbers and booleans as texts. */
  text(name: string, options: { max?: number; loose?: boolean } = {}): string | undefined {
    const value = this.#value(name)
    if (value === undefined || value === null) return undefined
    if (options.loose && (typeof value === 'number' || typeof value === 'boolean')) return String(value)
    if (typeof value !== 'string') throw wrongParameter(name)
    if (value.length > (options.max ?? longestText)) throw wrongParameter(name, 'is too long')
    return value
  }

  /** The same, and it must be there and not be empty. */
  requiredText(name: string, options: { max?: number } = {}): string {
    const value = this.text(name, options)
    if (value === undefined) throw wrongParameter(name, 'is missing')
    if (value === '') throw wrongParameter(name, 'is empty')
    return value
  }

  /** A whole number, also as a text. */
  integer(name: string, bounds: { min?: number; max?: number } = {}): number | undefined {
    const value = this.#value(name)
    if (value === undefined || value === null || value === '') return undefined
    const number = typeof value === 'string' && /^-?\d{1,16}$/.test(value) ? Number(value) : value
    if (typeof number !== 'number' || !Number.isSafeInteger(number)) throw wrongParameter(name)
    if (number < (bounds.min ?? -Infinity) || number > (bounds.max ?? Infinity)) {
      throw wrongParameter(name, 'does not have a valid value')
    }
    return number
  }

  /** `true`, `false`, and the texts that forms send for them. */
  boolean(name: string): boolean | undefined {
    const value = this.#value(name)
    if (value === undefined || value === null || value === '') return undefined
    const known = typeof value === 'object' ? undefined : booleans.get(String(value).toLowerCase())
    if (known === undefined) throw wrongParameter(name)
    return known
  }

  /** A time in ISO 8601, in milliseconds since 1970; in UTC where it names no zone, wherever the server stands. */
  time(name: string): number | undefined {
    const text = this.text(name, { max: 64 })
    if (text === undefined || text === '') return undefined
    const day = /^\d{4}-\d\d-\d\d/.exec(text)?.[0] ?? ''
    const at = Date.parse(/:\d\d(?:\.\d+)?$/.test(text) && !/[+-]\d\d:\d\d$/.test(text) ? `${text}Z` : text)
    // `Date` takes the 30th of February for the 2nd of March.
    if (Number.isNaN(at) || Number.isNaN(Date.parse(day)) || !new Date(day).toISOString().startsWith(day)) {
      throw wrongParameter(name)
    }
    return at
  }

  choice<Value extends string>(name: string, values: readonly Value[]): Value | undefined {
    const value = this.text(name)
    if (value === undefined || value === '') return undefined
    if (!(values as readonly string[]).includes(value)) throw wrongParameter(name, 'does not have a valid value')
    return value as Value
  }

  /** A list of texts: as such, or one text. With `commas` a text is taken apart at its commas. */
  texts(name: string, options: { commas?: boolean } = {}): string[] | undefined {
    const value = this.#value(name)
    if (value === undefined || value === null) return undefined
    if (typeof value === 'string') return options.commas ? value.split(',').map((one) => one.trim()) : [value]
    const list = listOf(value)
    if (!list?.every((one) => typeof one === 'string')) throw wrongParameter(name)
    return list as string[]
  }

  /** A map of its own, whose faults are named `name[key]`. */
  map(name: string): Params | undefined {
    const value = this.#value(name)
    if (value === undefined || value === null || value === '') return undefined
    if (typeof value !== 'object' || Array.isArray(value)) throw wrongParameter(name)
    return new Params(value)
  }

  /** A list of maps, also where a form has numbered them (`variables[0][key]`). */
  maps(name: string): Params[] | undefined {
    const value = this.#value(name)
    if (value === undefined || value === null || value === '') return undefined
    const list = listOf(value)
    if (!list?.every((one) => typeof one === 'object' && one !== null && !Array.isArray(one)))
      throw wrongParameter(name)
    return list.map((one) => new Params(one as JsonMap))
  }

  #value(name: string): Json | undefined {
    this.#asked?.add(name)
    return this.#map[name]
  }

  keys(): string[] {
    return Object.keys(this.#map)
  }
}

const booleans = new Map([
  ['true', true],
  ['1', true],
  ['t', true],
  ['on', true],
  ['yes', true],
  ['false', false],
  ['0', false],
  ['f', false],
  ['off', false],
  ['no', false],
])

function listOf(value: Json): Json[] | undefined {
  if (Array.isArray(value)) return value
  if (typeof value !== 'object' || value === null) return undefined
  const keys = Object.keys(value)
  return keys.length > 0 && keys.every((key) => /^\d+$/.test(key)) ? Object.values(value) : undefined
}

/** Plain data: what a plugin gives us is copied and checked value by value, so that nothing of it is shared or odd. */
import type { Json } from './sdk.js'

/** A value that is not what it should be. `path` names where, such as `patterns.0`; empty for the value itself. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError'
  constructor(
    readonly path: string,
    message: string,
  ) {
    super(path === '' ? message : `${path}: ${message}`)
  }
}

export interface PlainLimits {
  /** Values in all. */
  values: number
  /** Characters of all texts and keys together. */
  characters: number
}

const depthLimit = 16

/**
 * A deep copy of a JSON value. Throws `ShapeError` for what is none: functions, symbols, bigints, numbers that are not
 * finite, objects that are not plain, the key `__proto__`, circles, and anything larger than `limits`.
 */
export function toPlain(value: unknown, limits: PlainLimits): Json {
  return copy(value, '', 0, { ...limits })
}

/** The same for an object. */
export function toPlainObject(value: unknown, limits: PlainLimits): Record<string, Json> {
  if (!isObject(value)) throw new ShapeError('', `must be a table, not ${nameOf(value)}`)
  return toPlain(value, limits) as Record<string, Json>
}

/** Whether it is an object with keys: neither null nor a list. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What kind of value it is, for a message. */
export function nameOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'an object'
  return typeof value === 'undefined' ? 'nothing' : `a ${typeof value}`
}

/** A text of others for a message or a log: one line without control characters, at most `length` characters. */
export function oneLine(text: string, length: number): string {
  const line = text
    .slice(0, length * 2)
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim()
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`
}

function copy(value: unknown, path: string, depth: number, left: PlainLimits): Json {
  if (--left.values < 0) throw new ShapeError(path, 'too many values')
  if (depth > depthLimit) throw new ShapeError(path, 'too deep')
  switch (typeof value) {
    case 'string':
      return spend(value, path, left)
    case 'boolean':
      return value
    case 'number':
      if (Number.isFinite(value)) return value
      throw new ShapeError(path, `must be a finite number, not ${value}`)
    case 'object':
      if (value === null) return null
      if (Array.isArray(value)) {
        // A list with holes has fewer values than its length says.
        return Array.from(value, (item, at) => copy(item, join(path, String(at)), depth + 1, left))
      }
      return copyObject(value, path, depth, left)
    default:
      throw new ShapeError(path, `must be plain data, not ${nameOf(value)}`)
  }
}

function copyObject(value: object, path: string, depth: number, left: PlainLimits): { [key: string]: Json } {
  const prototype: unknown = Object.getPrototypeOf(value)
  // Plain objects of other realms have another Object.prototype, which itself has none.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    throw new ShapeError(path, 'must be plain data, not an object of a class')
  }
  const result: { [key: string]: Json } = {}
  for (const [key, item] of Object.entries(value)) {
    if (key === '__proto__') throw new ShapeError(join(path, key), 'is not allowed as a key')
    if (item === undefined) continue
    result[spend(key, path, left)] = copy(item, join(path, key), depth + 1, left)
  }
  return result
}

function spend(text: string, path: string, left: PlainLimits): string {
  left.characters -= text.length
  if (left.characters < 0) throw new ShapeError(path, 'too large')
  return text
}

function join(path: string, key: string): string {
  return path === '' ? oneLine(key, 80) : `${path}.${oneLine(key, 80)}`
}

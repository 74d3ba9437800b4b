/** The vocabulary in which keywords are described. */
import type { Node } from './node.js'

/**
 * The vocabulary in which keywords.ts describes the language: shapes are data, read by validate.ts (to check a document
 * and give typed values) and by json-schema.ts (to describe it to editors). `Shape<T>` says what a value becomes.
 */
export type Shape<T> = AnyShape & { readonly valueType?: () => T }

export type ValueOf<S> = S extends { readonly valueType?: () => infer T } ? T : never

export type AnyShape =
  | TextShape
  | BooleanShape
  | NumberShape
  | ChoiceShape
  | ListShape
  | RecordShape
  | EntriesShape
  | EitherShape
  | AnythingShape

interface Common {
  /** One line for editors. */
  about?: string
  /** What the shape is called in messages, where the words made from it would not do. */
  expects?: string
  /** Rules that types cannot tell, and what a value becomes. */
  into?: (value: never, report: Report) => unknown
}

/** Tells of a broken rule; `key` places the finding at that key of the value. */
export type Report = (message: string, key?: string) => void

export interface TextShape extends Common {
  kind: 'text'
  /** May not be empty or only blanks. */
  filled?: boolean
  max?: number
  pattern?: RegExp
  /** What the pattern asks for, in words. */
  says?: string
  /** Numbers and booleans, or integers, are taken too, as their text. */
  scalar?: 'any' | 'integer'
}

export interface BooleanShape extends Common {
  kind: 'boolean'
}

export interface NumberShape extends Common {
  kind: 'number'
  integer: boolean
  min?: number
  max?: number
}

export interface ChoiceShape extends Common {
  kind: 'choice'
  values: readonly string[]
}

export interface ListShape extends Common {
  kind: 'list'
  of: AnyShape
  min?: number
  max?: number
  /** Lists inside the list are flattened; this many levels at most, the list itself counted. */
  nested?: number
  /** `max` counts what stands in the list itself, not what lists inside it hold. */
  maxOfOwn?: boolean
  says?: string
}

export interface Keyword {
  shape: AnyShape
  required?: boolean
  /** Null is a value of its own here; elsewhere it means that the key is absent. */
  nullable?: boolean
}

export interface RecordShape extends Common {
  kind: 'record'
  keys: Readonly<Record<string, Keyword>>
  /** Those of the keys that are. */
  required: readonly string[]
  /** `{}` is a value. */
  mayBeEmpty?: boolean
  /** Pairs of keys that may not stand together. */
  exclusive?: readonly (readonly [string, string])[]
  /** Exactly one of these keys is given. */
  oneOf?: readonly string[]
  /** Keys that ask for others beside them. */
  requires?: Readonly<Record<string, string>>
}

export interface EntriesShape extends Common {
  kind: 'entries'
  of: AnyShape
  max?: number
  /** Null entries are kept as null rather than refused. */
  nullable?: boolean
  /** Null entries are read as `{}` (lib/gitlab/config/entry/composable_hash.rb). */
  nullIsEmpty?: boolean
  /** What an entry that is neither fits is called in the message; default: what `of` expects. */
  says?: string
}

/** The first option that takes a value of this type; the others are alternatives in the message. */
export interface EitherShape extends Common {
  kind: 'either'
  options: readonly AnyShape[]
}

/** Any value, as plain data or as it stands in the document. */
export interface AnythingShape extends Common {
  kind: 'anything'
  asNode?: boolean
}

export function text(options: Omit<TextShape, 'kind' | 'into'> = {}): Shape<string> {
  return { kind: 'text', ...options }
}

export function boolean(): Shape<boolean> {
  return { kind: 'boolean' }
}

export function integer(min?: number, max?: number): Shape<number> {
  return { kind: 'number', integer: true, ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) }
}

export function choice<const T extends string>(...values: readonly T[]): Shape<T> {
  return { kind: 'choice', values }
}

export function list<T>(of: Shape<T>, options: Omit<ListShape, 'kind' | 'of' | 'into'> = {}): Shape<T[]> {
  return { kind: 'list', of, ...options }
}

/** For lists that the original flattens without a limit (lib/gitlab/config/entry/composable_array.rb). */
export const flattened = { nested: Number.POSITIVE_INFINITY }

export function entries<T>(
  of: Shape<T>,
  options: Omit<EntriesShape, 'kind' | 'of' | 'into'> = {},
): Shape<Map<string, T>> {
  return { kind: 'entries', of, ...options }
}

export function either<T extends Shape<unknown>[]>(...options: T): Shape<ValueOf<T[number]>> {
  return { kind: 'either', options }
}

export function anything(): Shape<unknown> {
  return { kind: 'anything' }
}

/** Any value, kept as the document has it: for values whose type depends on something else. */
export function node(): Shape<Node> {
  return { kind: 'anything', asNode: true }
}

type Keywords = Record<string, Keyword>

export type RecordOf<K extends Keywords> = {
  [Name in keyof K as K[Name] extends { required: true } ? Name : never]: ValueOf<K[Name]['shape']>
} & {
  [Name in keyof K as K[Name] extends { required: true } ? never : Name]?:
    | ValueOf<K[Name]['shape']>
    | (K[Name] extends { nullable: true } ? null : undefined)
}

export function record<const K extends Keywords>(
  keys: K,
  options: Omit<RecordShape, 'kind' | 'keys' | 'required' | 'into'> = {},
): Shape<RecordOf<K>> {
  const needed = Object.keys(keys).filter((key) => keys[key]?.required === true)
  return { kind: 'record', keys, required: needed, ...options }
}

/** A keyword with its line for editors. */
export function keyword<T>(shape: Shape<T>, about?: string): { shape: Shape<T> } {
  return { shape: about === undefined ? shape : { ...shape, about } }
}

export function required<T>(shape: Shape<T>, about?: string): { shape: Shape<T>; required: true } {
  return { ...keyword(shape, about), required: true }
}

export function nullable<T>(shape: Shape<T>, about?: string): { shape: Shape<T>; nullable: true } {
  return { ...keyword(shape, about), nullable: true }
}

/** The shape with another value, made from what fits; `report` refuses it. */
export function mapped<T, U>(shape: Shape<T>, into: (value: T, report: Report) => U): Shape<U> {
  const before = (shape as Common).into as ((value: unknown, report: Report) => T) | undefined
  const both = (value: T, report: Report): U => into(before === undefined ? value : before(value, report), report)
  return { ...shape, into: both } as unknown as Shape<U>
}

/** The shape with a rule of its own, told only about values that fit the shape otherwise. */
export function checked<T>(shape: Shape<T>, check: (value: T, report: Report) => void): Shape<T> {
  return mapped(shape, (value, report) => {
    check(value, report)
    return value
  })
}

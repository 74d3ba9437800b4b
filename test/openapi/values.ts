/** What is known of a value without running the program that makes it. */

/** A parameter of a request as the getters of `Params` read it. */
export interface Read {
  kind: 'text' | 'integer' | 'boolean' | 'choice' | 'texts' | 'map' | 'maps' | 'raw'
  required: boolean
  min?: number
  max?: number
  values?: string[]
  /** What is read of a map, or of each map of a list. */
  inner?: Reads
}

export class Reads {
  readonly byName = new Map<string, Read>()
  /** Keys that are not known beforehand are read too. */
  open = false
}

type Literal = string | number | boolean | null | undefined

export type Value =
  | { is: 'any' }
  | { is: 'literal'; value: Literal }
  | { is: 'list'; items: Value[] }
  /** A list of which only the kind of its items is known. */
  | { is: 'many'; of: Value }
  /** `like`: entities whose properties it has too; `open`: it has others that are not known. */
  | { is: 'map'; properties: Map<string, Value>; like: string[]; open?: true }
  | { is: 'entity'; name: string }
  | { is: 'function'; call(args: Value[]): Value; about?: string }
  | { is: 'params'; reads: Reads }
  | { is: 'one'; of: Value[] }

export const any: Value = { is: 'any' }
export const literal = (value: Literal): Value => ({ is: 'literal', value })
export const native = (call: (...args: Value[]) => Value): Value => ({ is: 'function', call: (args) => call(...args) })
export const mapOf = (properties: Record<string, Value>): Value => ({
  is: 'map',
  properties: new Map(Object.entries(properties)),
  like: [],
})

/** What may be either of these. */
export function either(values: readonly Value[]): Value {
  const flat = values.flatMap((value) => (value.is === 'one' ? value.of : [value]))
  const seen = new Map(flat.map((value) => [keyOf(value), value]))
  const of = [...seen.values()]
  return of.length === 1 ? of[0]! : { is: 'one', of }
}

let last = 0
const ids = new WeakMap<object, number>()

function keyOf(value: Value): string {
  if (value.is === 'any') return 'any'
  if (value.is === 'literal') return `literal ${typeof value.value} ${value.value}`
  if (value.is === 'entity') return `entity ${value.name}`
  if (value.is === 'many') return `many ${keyOf(value.of)}`
  if (!ids.has(value)) ids.set(value, ++last)
  return String(ids.get(value))
}

export const variants = (value: Value): Value[] => (value.is === 'one' ? value.of : [value])

/** Data of a module that was really loaded; functions and objects of classes are `any`. */
export function known(data: unknown): Value {
  if (data === null || ['string', 'number', 'boolean', 'undefined'].includes(typeof data))
    return literal(data as Literal)
  if (Array.isArray(data)) return { is: 'list', items: data.map(known) }
  if (typeof data === 'object' && Object.getPrototypeOf(data) === Object.prototype) {
    return mapOf(Object.fromEntries(Object.entries(data).map(([key, value]) => [key, known(value)])))
  }
  return any
}

/** Whether it counts as true; undefined: that is not known. */
export function truth(value: Value): boolean | undefined {
  if (value.is === 'any') return undefined
  if (value.is === 'literal') return Boolean(value.value)
  if (value.is !== 'one') return true
  const all = new Set(value.of.map(truth))
  return all.size === 1 ? [...all][0] : undefined
}

export function textOf(value: Value | undefined): string | undefined {
  return value?.is === 'literal' && typeof value.value === 'string' ? value.value : undefined
}

export function numberOf(value: Value | undefined): number | undefined {
  return value?.is === 'literal' && typeof value.value === 'number' ? value.value : undefined
}

export function propertyOf(value: Value, name: string): Value {
  return either(
    variants(value).map((one): Value => {
      if (one.is === 'map')
        return one.properties.get(name) ?? (one.like.length > 0 || one.open ? any : literal(undefined))
      if (one.is === 'list') return /^\d+$/.test(name) ? (one.items[Number(name)] ?? literal(undefined)) : any
      if (one.is === 'many') return /^\d+$/.test(name) ? one.of : any
      return any
    }),
  )
}

/** What the items of a list are. */
export function itemsOf(value: Value): Value {
  return either(
    variants(value).flatMap((one): Value[] => (one.is === 'list' ? one.items : one.is === 'many' ? [one.of] : [any])),
  )
}

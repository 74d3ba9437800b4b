/**
 * Shapes of configuration: `schema.table({ level: schema.whole({ min: 1, default: 10 }) })` checks a table, fills defaults
 * in, and gives it with its type. Every shape is a Standard Schema, so one of any other library that is can stand in its
 * place (https://standardschema.dev); these are here so that a plugin of three files needs no packages.
 */

/** A schema of any library: what validates a value, at once, and gives it with its type. */
export interface StandardSchema<T> {
  /** What the standard asks for. */
  readonly '~standard': {
    /** Of the standard. */
    readonly version: 1
    /** The name of the library. */
    readonly vendor: string
    /** Checks a value and gives it, or says what is wrong. */
    readonly validate: (value: unknown) => Validated<T> | Promise<Validated<T>>
    /** For the compiler only. */
    readonly types?: { readonly input: unknown; readonly output: T } | undefined
  }
}

/** What validation gives: the value, or everything that is wrong with it. */
export type Validated<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

/** One thing that is wrong. */
export interface SchemaIssue {
  /** What is wrong, such as `must be a text`. */
  readonly message: string
  /** Keys and indexes that lead to the value; absent for the value itself. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** A shape of ours: a schema that may stand for a missing value. */
export interface Shape<T> extends StandardSchema<T> {
  /** What a missing key means: an error, or this value. */
  readonly missing: { readonly value: T } | undefined
}

/** The type of what a schema gives. */
export type Configured<S> = S extends StandardSchema<infer T> ? T : never

type Field = StandardSchema<unknown> & Partial<Pick<Shape<unknown>, 'missing'>>
type Fields = Record<string, Field>
type TableOf<F extends Fields> = { [Key in keyof F]: Configured<F[Key]> }
type Checked<T> = Validated<T>

/** What every shape may be told. */
interface Common<T> {
  /** Stands for a key that is missing. Without it the key must be there. */
  default?: T
}

function shape<T>(validate: (value: unknown) => Checked<T>, common: Common<T> = {}): Shape<T> {
  return {
    '~standard': { version: 1, vendor: 'signalbox', validate },
    missing: common.default === undefined ? undefined : { value: common.default },
  }
}

function wrong(message: string): Checked<never> {
  return { issues: [{ message }] }
}

/** A text; `pattern` must match it, and `hint` says so in words (`must be ${hint}`). At least one character unless `empty`. */
function text(options: Common<string> & { pattern?: RegExp; hint?: string; empty?: boolean } = {}): Shape<string> {
  const { pattern, hint = 'a text', empty = false } = options
  return shape((value) => {
    const right = typeof value === 'string' && (empty || value !== '') && (pattern?.test(value) ?? true)
    return right ? { value } : wrong(`must be ${hint}`)
  }, options)
}

interface Bounds extends Common<number> {
  min?: number
  max?: number
}

function numeric(what: string, isRight: (value: number) => boolean, options: Bounds): Shape<number> {
  const { min = -Infinity, max = Infinity } = options
  const least = min === -Infinity ? '' : ` of at least ${min}`
  const most = max === Infinity ? '' : ` of at most ${max}`
  const range = least && most ? ` from ${min} to ${max}` : least + most
  return shape(
    (value) =>
      typeof value === 'number' && isRight(value) && value >= min && value <= max
        ? { value }
        : wrong(`must be ${what}${range}`),
    options,
  )
}

/** A number; `min` and `max` are allowed themselves. */
function number(options: Bounds = {}): Shape<number> {
  return numeric('a number', Number.isFinite, options)
}

/** A whole number; `min` and `max` are allowed themselves. */
function whole(options: Bounds = {}): Shape<number> {
  return numeric('a whole number', Number.isSafeInteger, options)
}

/** True or false. */
function flag(options: Common<boolean> = {}): Shape<boolean> {
  return shape((value) => (typeof value === 'boolean' ? { value } : wrong('must be true or false')), options)
}

/** One of these words. */
function choice<const Word extends string>(words: readonly Word[], options: Common<NoInfer<Word>> = {}): Shape<Word> {
  return shape((value) => {
    const found = words.find((word) => word === value)
    return found === undefined ? wrong(`must be one of ${words.join(', ')}`) : { value: found }
  }, options)
}

/** A list of at least `min` and at most `max` values of one shape. */
function list<T>(of: StandardSchema<T>, options: Common<T[]> & { min?: number; max?: number } = {}): Shape<T[]> {
  const { min = 0, max = Infinity } = options
  return shape((value) => {
    if (!Array.isArray(value)) return wrong('must be a list')
    if (value.length < min) return wrong(`must have at least ${min}`)
    if (value.length > max) return wrong(`must have at most ${max}`)
    return gather<T[]>(
      value.map((item, at) => [at, check(of, item)]),
      (entries) => entries.map(([, item]) => item as T),
    )
  }, options)
}

/** A table whose keys are the author's of the configuration, and whose values have one shape. */
function map<T>(of: StandardSchema<T>, options: Common<Record<string, T>> = {}): Shape<Record<string, T>> {
  return shape((value) => {
    if (!isTable(value)) return wrong('must be a table')
    return gather<Record<string, T>>(Object.entries(value).map(([key, item]) => [key, check(of, item)]))
  }, options)
}

/** A table of these keys and no others. */
function table<F extends Fields>(fields: F, options: Common<TableOf<F>> = {}): Shape<TableOf<F>> {
  return shape((value) => {
    if (!isTable(value)) return wrong('must be a table')
    const unknown = Object.keys(value).filter((key) => !Object.hasOwn(fields, key))
    return gather<TableOf<F>>([
      ...unknown.map((key) => [key, wrong('unknown key')] as const),
      ...Object.entries(fields).map(
        ([key, of]) => [key, field(of, Object.hasOwn(value, key) ? value[key] : undefined)] as const,
      ),
    ])
  }, options)
}

/** May be missing: then there is nothing. So may the whole table of a plugin, where nobody has written a key of it. */
function optional<T>(of: Shape<T>): Shape<T | undefined> {
  return { '~standard': of['~standard'], missing: { value: undefined } }
}

function field(of: Field, value: unknown): Checked<unknown> {
  return value === undefined && of.missing ? { value: structuredClone(of.missing.value) } : check(of, value)
}

function check<T>(of: StandardSchema<T>, value: unknown): Checked<T> {
  const checked = of['~standard'].validate(value)
  return checked instanceof Promise ? wrong('is checked by a schema that does not answer at once') : checked
}

/** Everything that was found under its key, or all that is wrong. */
function gather<T>(
  found: readonly (readonly [string | number, Checked<unknown>])[],
  make: (entries: [string | number, unknown][]) => T = (entries) => Object.fromEntries(entries) as T,
): Checked<T> {
  const issues = found.flatMap(([key, { issues: inner = [] }]) =>
    inner.map(({ message, path = [] }) => ({ message, path: [key, ...path] })),
  )
  if (issues.length > 0) return { issues }
  return { value: make(found.map(([key, checked]) => [key, 'value' in checked ? checked.value : undefined])) }
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Shapes of configuration for `definePlugin({ config })`. */
export const schema = Object.freeze({ text, number, whole, flag, choice, list, map, table, optional })

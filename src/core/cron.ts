/**
 * Cron expressions with time zones, in the forms that GitLab's parser of them takes (https://github.com/floraison/fugit):
 * five fields, or a macro such as `@daily`. Seconds, modulo (`mon%2`) and `&` are not taken.
 */
import { Cron } from 'croner'
import { wrongField } from './errors.js'
import { railsTimeZones } from './rails-time-zones.js'

export interface CronTimes {
  /** The first matching time after `after`, in milliseconds since 1970; null: there is none. */
  next(after: number): number | null
}

const longestExpression = 255

/**
 * Reads an expression; times are those of the zone (an IANA name, or one of Rails'), across its changes of the clock. Where
 * day of the month and day of the week are both given, either matches. Throws `invalid` with `details.field` (`cron` or
 * `cron_timezone`).
 */
export function parseCron(expression: string, timeZone = 'UTC'): CronTimes {
  const timezone = railsTimeZones.get(timeZone) ?? timeZone
  if (!isTimeZone(timezone)) throw wrongField('cron_timezone', 'syntax is invalid')
  if (expression.length > longestExpression) throw wrongField('cron', 'is too long')
  let cron: Cron
  try {
    cron = new Cron(spelledOut(expression.trim().toLowerCase()), { timezone, mode: '5-part', paused: true })
  } catch {
    throw wrongField('cron', 'syntax is invalid')
  }
  const next = (after: number) => cron.nextRun(new Date(after))?.getTime() ?? null
  return { next }
}

function isTimeZone(name: string): boolean {
  // Of every task, at every start: asking Intl takes milliseconds the first time.
  if (name === 'UTC') return true
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return name !== ''
  } catch {
    return false
  }
}

const macros: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@noon': '0 12 * * *',
  '@hourly': '0 * * * *',
}

interface Field {
  first: number
  last: number
  /** Names of the values from `first` on; of each the first three letters do. */
  names: readonly string[]
  /** A further name of `first`, such as 24 hours and the seventh day. */
  alias?: number
}

const months = ['january', 'february', 'march', 'april', 'may', 'june', 'july', 'august', 'september', 'october']
const days = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']

const fields: readonly Field[] = [
  { first: 0, last: 59, names: [] },
  { first: 0, last: 23, names: [], alias: 24 },
  { first: 1, last: 31, names: [] },
  { first: 1, last: 12, names: [...months, 'november', 'december'] },
  { first: 0, last: 6, names: days, alias: 7 },
]

/** The expression with every value as a number. Throws for one that cannot be read. */
function spelledOut(expression: string): string {
  if (Object.hasOwn(macros, expression)) return macros[expression]!
  const parts = expression.split(/\s+/)
  if (parts.length !== fields.length) throw new Error('five fields are expected')
  return parts
    .map((part, i) =>
      part
        .split(',')
        .map((one) => valuesOf(one, fields[i]!))
        .join(','),
    )
    .join(' ')
}

const dayOfMonth = fields[2]!
const dayOfWeek = fields[4]!
const elementPattern = /^(?:(\*|\?|[^-/]+)(?:-([^-/]+))?)?(?:\/(\d+))?$/

/** One element of a list: `5`, `mon`, `*`, `/15`, `22-2/2`, `last`, `tue#2`. */
function valuesOf(element: string, field: Field): string {
  if (element === '') throw new Error('an element is empty')
  if (field === dayOfMonth && /^(l|last|-1)$/.test(element)) return 'L'
  const nth = field === dayOfWeek ? /^(\w+)#(-1|l|last|[1-5])$/.exec(element) : null
  if (nth) return `${numberOf(nth[1]!, field)}#${/\d$/.test(nth[2]!) && nth[2] !== '-1' ? nth[2] : 'L'}`
  const [whole, from, to, step] = elementPattern.exec(element) ?? []
  if (whole === undefined) throw new Error('an element cannot be read')
  const isAll = from === undefined || from === '*' || from === '?'
  if (isAll && to === undefined && step === undefined) return '*'
  const start = isAll ? field.first : numberOf(from, field)
  if (to === undefined && step === undefined) return String(start)
  // The seventh day, or midnight, as an end is the one behind the last.
  const end = to === undefined ? field.last : isAlias(to, field) ? field.last + 1 : numberOf(to, field)
  return range(start, end, Number(step ?? 1), field).join(',')
}

function isAlias(text: string, { alias }: Field): boolean {
  return alias !== undefined && Number(text) === alias
}

function numberOf(text: string, field: Field): number {
  if (isAlias(text, field)) return field.first
  const named = field.names.findIndex((name) => name === text || name.slice(0, 3) === text)
  if (named >= 0) return field.first + named
  const number = /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN
  if (!(number >= field.first && number <= field.last)) throw new Error('a value cannot be read')
  return number
}

/** Where the end comes before the start, around: `22-2` is the night. */
function range(start: number, end: number, step: number, { first, last }: Field): number[] {
  if (step < 1) throw new Error('a step goes nowhere')
  const length = last - first + 1
  const steps = end >= start ? end - start : end - start + length
  const values: number[] = []
  for (let at = 0; at <= steps; at += step) values.push(((start - first + at) % length) + first)
  return [...new Set(values)]
}

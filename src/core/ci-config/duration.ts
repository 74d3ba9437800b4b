/**
 * Durations as people write them: `1h 30m`, `2 weeks`, `3 mins 4 sec`, `1:30`. The grammar is that of the chronic_duration
 * gem, which GitLab uses (gems/gitlab-chronic-duration).
 */
const minute = 60
const hour = 60 * minute
const day = 24 * hour

/** How many seconds each unit has, as Ruby's chronic_duration counts: a month has 30 days. */
export const seconds = { minute, hour, day, week: 7 * day, month: 30 * day, year: 31_557_600 } as const

const units = new Map<string, number>([
  ...unit(1, 's', 'sec', 'secs', 'second', 'seconds'),
  ...unit(minute, 'm', 'min', 'mins', 'minute', 'minutes'),
  ...unit(hour, 'h', 'hr', 'hrs', 'hour', 'hours'),
  ...unit(day, 'd', 'dy', 'day', 'days'),
  ...unit(seconds.week, 'w', 'wk', 'wks', 'week', 'weeks'),
  ...unit(seconds.month, 'mo', 'mos', 'month', 'months'),
  ...unit(seconds.year, 'y', 'yr', 'yrs', 'year', 'years'),
])

/** What the parts of `1:30:00` count, from the right; weeks have no place. */
const clockUnits = [1, minute, hour, day, seconds.month, seconds.year]

const joinWords = new Set(['and', 'with', 'plus'])

const upToTwenty =
  'one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen ' +
  'nineteen twenty'
const numberWords = new Map<string, number>([
  ['a', 1],
  ['an', 1],
  ...upToTwenty.split(' ').map((word, index): [string, number] => [word, index + 1]),
  ...'thirty forty fifty sixty seventy eighty ninety'
    .split(' ')
    .map((word, index): [string, number] => [word, (index + 3) * 10]),
  ['hundred', 100],
])

/** Nothing is longer: what is added to a date must be a date that every client and database can read. */
const longest = 5_000 * seconds.year

/** Seconds of a duration, at most 5,000 years; undefined if the text is none or the duration is zero. */
export function parseDuration(text: string): number | undefined {
  if (text.length > 200) return undefined
  const lower = text.toLowerCase().trim()
  const total = clock(lower) ?? words(lower)
  return total === undefined || total <= 0 ? undefined : Math.min(total, longest)
}

/** Whether a text stands for no end at all, in place of a duration. */
export function isNever(text: string): boolean {
  return text.toLowerCase() === 'never'
}

function clock(text: string): number | undefined {
  if (!/^\d+(?:\.\d+)?(?:\s*:\s*\d+(?:\.\d+)?)+$/.test(text)) return undefined
  const parts = text.split(':').toReversed()
  if (parts.length > clockUnits.length) return undefined
  return parts.reduce((sum, part, index) => sum + Number(part) * (clockUnits[index] ?? 0), 0)
}

function words(text: string): number | undefined {
  let total = 0
  let pending: number | undefined
  let any = false
  for (const part of text.match(/\d*\.?\d+|[^\d\s,.-]+|\S/g) ?? []) {
    const number = /\d/.test(part) ? Number(part) : numberWords.get(part)
    const unitSeconds = units.get(part)
    if (number !== undefined) {
      if (pending !== undefined && /\d/.test(part)) total += pending
      pending = /\d/.test(part) || pending === undefined ? number : spoken(pending, number)
    } else if (unitSeconds !== undefined) {
      // A unit on its own counts once, but only at the beginning.
      if (pending === undefined && any) return undefined
      total += (pending ?? 1) * unitSeconds
      pending = undefined
    } else if (!joinWords.has(part) && part !== ',' && part !== '-') {
      return undefined
    }
    any = true
  }
  return any ? total + (pending ?? 0) : undefined
}

/** `two hundred`, `twenty one`. */
function spoken(before: number, number: number): number {
  return number === 100 ? before * 100 : before + number
}

function unit(value: number, ...names: string[]): [string, number][] {
  return names.map((name) => [name, value])
}

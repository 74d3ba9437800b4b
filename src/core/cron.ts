/** Cron expressions with time zones: five fields, or a macro such as `@daily`. */
import { Cron } from 'croner'
import { wrongField } from './errors.js'

export interface CronTimes {
  /** The first matching time after `after`, in milliseconds since 1970; null: there is none. */
  next(after: number): number | null
}

const longestExpression = 255

/**
 * Reads an expression; times are those of the zone (an IANA name), across its changes of the clock. Where day of the month
 * and day of the week are both given, either matches. Throws `invalid` with `details.field` (`cron` or `cron_timezone`).
 */
export function parseCron(expression: string, timeZone = 'UTC'): CronTimes {
  if (!isTimeZone(timeZone)) throw wrongField('cron_timezone', 'syntax is invalid')
  if (expression.length > longestExpression) throw wrongField('cron', 'is too long')
  let cron: Cron
  try {
    cron = new Cron(expression.trim(), { timezone: timeZone, mode: '5-part', paused: true })
  } catch {
    throw wrongField('cron', 'syntax is invalid')
  }
  const next = (after: number) => cron.nextRun(new Date(after))?.getTime() ?? null
  return { next }
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return name !== ''
  } catch {
    return false
  }
}

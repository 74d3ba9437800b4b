/** Days that a flag names. */
import { parseDuration } from '../core/ci-config/duration.js'
import { Exit, exitCodes } from './exit.js'

/** A day such as `2027-01-31`, or the one that is so long from now (`30 days`), in UTC. Ends the command (2) for another text. */
export function dateOf(text: string): string {
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return text
  const seconds = parseDuration(text)
  if (seconds === undefined) {
    throw new Exit(exitCodes.usage, '--expires must be a date such as 2027-01-31, or a duration such as "30 days"')
  }
  return new Date(Date.now() + seconds * 1000).toISOString().slice(0, 10)
}

/**
 * The coverage that a job's log tells of, found by the job's regular expression: in the last line that matches, its last
 * match (or that match's last group), and the first number of that. Rule: gitlab lib/gitlab/ci/trace/stream.rb.
 */
import { compileRegex } from './regex.js'

/** Percent, or null when nothing is found. `pattern`: without its slashes. */
export function coverageIn(log: string, pattern: string): number | null {
  const regex = compileRegex(pattern)
  if (regex instanceof Error) return null
  for (const line of log.split('\n').reverse()) {
    const found = regex.lastMatch(line)
    const number = found === undefined ? undefined : /\d+(\.\d+)?/.exec(found)?.[0]
    if (number !== undefined) return Number(number)
  }
  return null
}

/**
 * Whether a job waited longer in the queue than is acceptable, by what GitLab Runner's `config.toml` says under
 * `[[runners.monitoring.job_queuing_durations]]`.
 * Rules: gitlab-runner common/config/runner/monitoring/job_queuing_durations.go, helpers/timeperiod/period.go.
 */
import { Cron } from 'croner'
import { RE2JS } from 're2js'
import { messageOf, RunnerError } from '../runner-error.js'

export interface QueuingDuration {
  /** Cron expressions of five to seven fields: second, minute, hour, day, month, weekday, year. */
  periods: readonly string[]
  /** An IANA name; empty: the zone of this process. */
  timezone?: string
  /** Longer is too long, in milliseconds; zero or less: nothing is. */
  thresholdMs: number
  /** RE2, matched anywhere in the count of the project's other jobs on instance runners. */
  jobsRunningForProject?: string
}

/** Tells for each job that comes in; waits in seconds. */
export type ExceedsAcceptable = (wait: { now: number; waitedS: number; running: string }) => boolean

/** Throws `RunnerError` `usage`, which names the entry and its field. */
export function readQueuingDurations(entries: readonly QueuingDuration[]): ExceedsAcceptable {
  const objectives = entries.map(readEntry)
  return ({ now, waitedS, running }) => {
    // The last that holds now decides, and none before it.
    const active = objectives.findLast((one) => one.isActive(now))
    if (!active || active.thresholdMs <= 0 || waitedS * 1000 <= active.thresholdMs) return false
    return active.running?.matcher(running).find() ?? true
  }
}

function readEntry(
  { periods, timezone = '', thresholdMs, jobsRunningForProject: pattern }: QueuingDuration,
  at: number,
) {
  const wrong = (field: string, message: string) =>
    new RunnerError('usage', `job_queuing_durations[${at}].${field}: ${message}`)
  if (timezone !== '' && !isZone(timezone)) throw wrong('timezone', `there is no time zone ${JSON.stringify(timezone)}`)
  const crons = periods.map((period, i) => {
    const cron = readPeriod(period, timezone)
    if (!cron) throw wrong(`periods[${i}]`, `${JSON.stringify(period)} is not a cron expression`)
    return cron
  })
  let running: RE2JS | undefined
  try {
    running = pattern ? RE2JS.compile(pattern) : undefined
  } catch (error) {
    throw wrong('jobs_running_for_project', messageOf(error))
  }
  // In a period is who has its next second at most one second ahead: the only one that can be is the next whole one.
  const isActive = (now: number) => {
    const next = new Date((Math.floor(now / 1000) + 1) * 1000)
    return crons.some((cron) => cron.match(next))
  }
  return { isActive, thresholdMs, running }
}

const macros: Readonly<Record<string, string>> = {
  '@yearly': '0 0 0 1 1 * *',
  '@annually': '0 0 0 1 1 * *',
  '@monthly': '0 0 0 1 * * *',
  '@weekly': '0 0 0 * * 0 *',
  '@daily': '0 0 0 * * * *',
  '@hourly': '0 0 * * * * *',
}

/** Six fields leave out the second, five the year too; what comes after seven is not looked at. */
function readPeriod(text: string, timezone: string): Cron | undefined {
  const fields = (macros[text.trim()] ?? text).trim().split(/\s+/).slice(0, 7)
  if (fields.length === 5) fields.push('*')
  if (fields.length === 6) fields.unshift('0')
  try {
    return new Cron(fields.join(' '), { ...(timezone === '' ? {} : { timezone }), mode: '7-part', paused: true })
  } catch {
    return undefined
  }
}

function isZone(timezone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: timezone })
    return true
  } catch {
    return false
  }
}

/**
 * Jobs that waited longer in the queue than is acceptable, counted for each runner process that was given one: the service
 * level indicator that GitLab Runner keeps for itself, for runners whose jobs are pushed to them.
 * Rules: gitlab-runner common/config/runner/monitoring/job_queuing_durations.go, helpers/timeperiod/period.go.
 */
import { Cron } from 'croner'
import { compileRegex, type Regex } from './ci-config/regex.js'
import { SignalboxError } from './errors.js'
import type { Gauge } from './gauge.js'

/** What a wait is measured against, while its periods last. */
export interface QueueObjective {
  /** Whether it holds at this time, in milliseconds since 1970. */
  isActive(now: number): boolean
  /** Longer is too long, in seconds; zero or less: nothing is. */
  thresholdS: number
  /** Counts only when the number of the project's other jobs on instance runners, as text, matches. */
  running: Regex | null
}

export interface QueueObjectiveInput {
  /** Cron expressions of five to seven fields: second, minute, hour, day, month, weekday, year. */
  periods: readonly string[]
  /** An IANA name; empty: the zone of this process. */
  timezone: string
  thresholdS: number
  jobsRunningForProject?: string
}

/** Throws `invalid`; `details.field` says which of the input's fields is wrong. */
export function readQueueObjective(input: QueueObjectiveInput): QueueObjective {
  const { timezone, jobsRunningForProject: pattern } = input
  if (timezone !== '') checkZone(timezone)
  const periods = input.periods.map((period, i) => readPeriod(period, timezone, `periods[${i}]`))
  const running = pattern === undefined || pattern === '' ? null : compileRegex(pattern)
  if (running instanceof Error) throw wrong('jobs_running_for_project', running.message)
  // A period's next second is at most one second away: the only whole second that can be is the next one.
  const isActive = (now: number) => {
    const next = new Date((Math.floor(now / 1000) + 1) * 1000)
    return periods.some((period) => period.match(next))
  }
  return { isActive, thresholdS: input.thresholdS, running }
}

const macros: Record<string, string> = {
  '@yearly': '0 0 0 1 1 * *',
  '@annually': '0 0 0 1 1 * *',
  '@monthly': '0 0 0 1 * * *',
  '@weekly': '0 0 0 * * 0 *',
  '@daily': '0 0 0 * * * *',
  '@hourly': '0 0 * * * * *',
}

/** Six fields leave out the second, five the year too; what comes after seven is not looked at. */
function readPeriod(text: string, timezone: string, field: string): Cron {
  const fields = (macros[text.trim()] ?? text).trim().split(/\s+/).slice(0, 7)
  if (fields.length === 5) fields.push('*')
  if (fields.length === 6) fields.unshift('0')
  try {
    return new Cron(fields.join(' '), { ...(timezone === '' ? {} : { timezone }), mode: '7-part', paused: true })
  } catch {
    throw wrong(field, `${JSON.stringify(text)} is not a cron expression`)
  }
}

function checkZone(timezone: string): void {
  try {
    new Intl.DateTimeFormat('en', { timeZone: timezone })
  } catch {
    throw wrong('timezone', `there is no time zone ${JSON.stringify(timezone)}`)
  }
}

function wrong(field: string, message: string): SignalboxError {
  return new SignalboxError('invalid', message, { details: { field } })
}

/** Who was given a job: the labels of its series. */
export interface SliSeries {
  runner: string
  runner_name: string
  system_id: string
}

const metric = 'gitlab_runner_acceptable_job_queuing_duration_exceeded_total'

export class QueueSli {
  readonly #objectives: readonly QueueObjective[]
  readonly #known = new Map<number, SliSeries>()
  readonly #series = new Map<string, { labels: SliSeries; value: number }>()

  constructor(objectives: readonly QueueObjective[]) {
    this.#objectives = objectives
  }

  /** The labels of a runner process that was measured before; there is one of each process that was given a job. */
  labelsOf(managerId: number): SliSeries | undefined {
    return this.#known.get(managerId)
  }

  /**
   * Counts a job that was handed out after whole `waitedS` seconds. `running`: how many others of its project instance
   * runners have, as the payload tells it. The last objective in order that is active now decides.
   */
  observe(managerId: number, labels: SliSeries, now: number, waitedS: number, running: string): void {
    this.#known.set(managerId, labels)
    const key = `${labels.runner} ${labels.system_id}`
    let series = this.#series.get(key)
    if (!series) {
      series = { labels, value: 0 }
      this.#series.set(key, series)
    }
    const objective = this.#objectives.findLast((one) => one.isActive(now))
    if (!objective || objective.thresholdS <= 0 || waitedS <= objective.thresholdS) return
    if (objective.running?.test(running) ?? true) series.value++
  }

  /** The counters, for `/metrics`. */
  gauges(): Gauge[] {
    if (this.#series.size === 0) return []
    const help = 'Jobs that waited longer in the queue than is acceptable.'
    return [{ name: metric, help, type: 'counter', values: [...this.#series.values()].map(asValue) }]
  }
}

const asValue = ({ labels, value }: { labels: SliSeries; value: number }) => ({ labels: { ...labels }, value })

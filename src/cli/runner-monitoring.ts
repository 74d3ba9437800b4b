/**
 * What a GitLab Runner's `config.toml` says of monitoring, for the reference runner: where metrics are served, and how long
 * jobs may wait. https://docs.gitlab.com/runner/configuration/advanced-configuration/
 */
import { readFileSync } from 'node:fs'
import { parse, TomlError } from 'smol-toml'
import type { QueuingDuration } from '../runner/metrics/queuing-durations.js'
import { Exit, exitCodes } from './exit.js'

export interface RunnerMonitoring {
  /** `HOST:PORT`; undefined: it names none. */
  listenAddress: string | undefined
  queuingDurations: QueuingDuration[]
}

type Table = Record<string, unknown>

/**
 * Reads the file. Of several `[[runners]]` the one with this token is meant. Throws `Exit` for what is wrong, naming file and key.
 */
export function readRunnerMonitoring(file: string, token: string): RunnerMonitoring {
  const wrong = (where: string, message: string) => new Exit(exitCodes.usage, `${file}: ${where}: ${message}`)
  let root: Table
  try {
    root = parse(readFileSync(file, 'utf8'))
  } catch (error) {
    const place = error instanceof TomlError ? `:${error.line}:${error.column}` : ''
    throw new Exit(exitCodes.usage, `${file}${place}: ${(error as Error).message.split('\n')[0]}`)
  }
  const address = root.listen_address
  if (address !== undefined && typeof address !== 'string') throw wrong('listen_address', 'must be a text')
  const runners = root.runners ?? []
  if (!Array.isArray(runners)) throw wrong('runners', 'must be [[runners]] tables')
  const at = runners.length === 1 ? 0 : runners.findIndex((one: Table) => one.token === token)
  if (runners.length > 1 && at === -1) throw wrong('runners', 'none of them has this runner’s token')
  const monitoring = tableOf((runners[at] as Table | undefined)?.monitoring)
  const entries = monitoring.job_queuing_durations ?? []
  const key = `runners[${at}].monitoring.job_queuing_durations`
  if (!Array.isArray(entries)) throw wrong(key, 'must be a list of tables')
  return {
    listenAddress: address || undefined,
    queuingDurations: entries.map((entry, i) =>
      readEntry(tableOf(entry), (field, why) => wrong(`${key}[${i}].${field}`, why)),
    ),
  }
}

function readEntry(entry: Table, wrong: (field: string, message: string) => Exit): QueuingDuration {
  const { periods = [], timezone = '', threshold = '0s', jobs_running_for_project: pattern } = entry
  const texts = Array.isArray(periods) ? periods.filter((one): one is string => typeof one === 'string') : []
  if (!Array.isArray(periods) || texts.length !== periods.length) throw wrong('periods', 'must be a list of texts')
  if (typeof timezone !== 'string') throw wrong('timezone', 'must be a text')
  const thresholdMs = typeof threshold === 'string' ? goDuration(threshold) : undefined
  if (thresholdMs === undefined)
    throw wrong('threshold', `${JSON.stringify(threshold)} is not a duration such as "1m30s"`)
  if (pattern !== undefined && typeof pattern !== 'string') throw wrong('jobs_running_for_project', 'must be a text')
  return { periods: texts, timezone, thresholdMs, ...(pattern ? { jobsRunningForProject: pattern } : {}) }
}

const unitsMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}

/** As Go reads it (https://pkg.go.dev/time#ParseDuration): in milliseconds, undefined for what is none. */
export function goDuration(text: string): number | undefined {
  const [, sign = '', rest = ''] = /^([+-]?)(.*)$/s.exec(text) ?? []
  if (rest === '0') return 0
  const parts = [...rest.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)/g)]
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== rest) return undefined
  const ms = parts.reduce((sum, [, number, unit]) => sum + Number(number) * unitsMs[unit!]!, 0)
  return sign === '-' ? -ms : ms
}

function tableOf(value: unknown): Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Table) : {}
}

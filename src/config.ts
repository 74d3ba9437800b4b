/**
 * The settings of a coordinator: flags, then environment, then `signalbox.toml`, then defaults. This is the only module
 * that reads the environment; whatever else needs a setting is given it.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parse, TomlError } from 'smol-toml'
import type { S3Settings } from './core/blobs/s3-blobs.js'
import { parseDuration } from './core/ci-config/duration.js'
import { type CacheSettings, type CoreSettings, defaultCoreSettings } from './core/core.js'
import { parseCron } from './core/cron.js'
import { SignalboxError } from './core/errors.js'
import { defaultLeaseSettings, type LeaseSettings } from './core/lease.js'
import { type QueueObjective, readQueueObjective } from './core/queue-sli.js'
import { defaultTaskTimes, type TaskTimes } from './core/scheduler/task-times.js'
import { type StuckSettings, stuckProfiles, stuckSettings } from './core/stuck.js'

export interface ServerSettings {
  /** Absolute path of the folder with the store, keys, traces, artifacts and repositories. */
  dataDir: string
  /** `HOST:PORT`; port 0 takes a free one. */
  http: string
  grpc: string
  /** `grpc(s)://…` under which runners find GitLab's Job Router; empty: the tunnel below `externalUrl`. */
  grpcExternalUrl: string
  /** `sqlite:PATH` or `postgres://…`. */
  database: string
  /** How long a start waits for a database that is away, in milliseconds. */
  databaseWaitMs: number
  /** Base URL for runners and people; empty: from the HTTP address. */
  externalUrl: string
  /** The administrator's token; empty: kept in, and if need be made in, `DATA/admin-token`. */
  adminToken: string
  keyFile: string
  logLevel: LogLevel
  /** Allows plain text on addresses that are not loopback. */
  insecure: boolean
  core: CoreSettings
  /** Where artifacts and caches are kept; undefined: in the data folder. */
  s3: S3Settings | undefined
  /** What configurations may include from the web; undefined: nothing. */
  includes: { hosts: string[]; templatesUrl?: string } | undefined
  /** What fetches of mirrored repositories may do and take, where it is not the default. */
  mirrors: { trustedHosts?: string[]; timeoutMs?: number; packBytes?: number }
  /** How long a poll is held that has nothing new to learn, in milliseconds; 0: not at all. */
  pollHoldMs: number
  /** How often one runner may poll, in polls a second; 0: as often as it likes. Undefined: the default. */
  pollsPerSecond: number | undefined
  plugins: PluginSetting[]
  /** Where relative paths of plugins start, and their packages are looked for: the settings file's folder. */
  baseFolder: string
}

export interface PluginSetting {
  /** A folder (beginning with `.` or `/`) or the name of a package. */
  use: string
  config: Record<string, unknown>
}

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/** A setting that is not right. `where`: the flag, variable or key at fault. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError'
  constructor(
    readonly where: string,
    message: string,
  ) {
    super(`${where}: ${message}`)
  }
}

/** Settings that have a flag, a variable and a key of one and the same form. */
const texts = {
  dataDir: { flag: '--data-dir', env: 'SIGNALBOX_DATA_DIR', key: 'data_dir', default: './signalbox-data' },
  http: { flag: '--http', env: 'SIGNALBOX_HTTP', key: 'http', default: '127.0.0.1:8080' },
  grpc: { flag: '--grpc', env: 'SIGNALBOX_GRPC', key: 'grpc', default: '127.0.0.1:8081' },
  database: { flag: '--database', env: 'SIGNALBOX_DATABASE', key: 'database', default: '' },
  externalUrl: { flag: '--external-url', env: 'SIGNALBOX_EXTERNAL_URL', key: 'external_url', default: '' },
  adminToken: { flag: '--admin-token', env: 'SIGNALBOX_ADMIN_TOKEN', key: 'admin_token', default: '' },
  keyFile: { flag: '--key-file', env: 'SIGNALBOX_KEY_FILE', key: 'key_file', default: '' },
  logLevel: { flag: '--log-level', env: 'SIGNALBOX_LOG_LEVEL', key: 'log_level', default: 'info' },
} as const

type TextSetting = keyof typeof texts

/** Keys of tables in the file, each a duration or a number. */
const leaseKeys: Record<string, (leases: LeaseSettings, ms: number) => void> = {
  stream_accept_within: (leases, ms) => {
    leases.stream.acceptWithinMs = ms
  },
  stream_held_for: (leases, ms) => {
    leases.stream.heldForMs = ms
  },
  stream_renew_every: (leases, ms) => {
    leases.renewEveryMs = ms
  },
  poll_accept_within: (leases, ms) => {
    leases.twoPhase.acceptWithinMs = ms
  },
  poll_held_for: (leases, ms) => {
    leases.twoPhase.heldForMs = ms
    leases.onePhase.heldForMs = ms
  },
  excluded_for: (leases, ms) => {
    leases.excludedForMs = ms
  },
  report_waits: (leases, ms) => {
    leases.reportWaitsMs = ms
  },
  cancel_grace: (leases, ms) => {
    leases.cancelGraceMs = ms
  },
}

/** Those that may be nothing. */
const optionalWaits = new Set(['excluded_for', 'report_waits', 'cancel_grace'])

type LimitSetting =
  | 'traceLimitBytes'
  | 'artifactLimitBytes'
  | 'dotenvLimitBytes'
  | 'dotenvLimitVariables'
  | 'pipelineJobLimit'
  | 'gitDepth'

/** Each with the least that makes sense; a depth of 0 is all of the history. */
const limitKeys: Record<string, { setting: LimitSetting; from: number; to?: number }> = {
  trace_bytes: { setting: 'traceLimitBytes', from: 1 },
  artifact_bytes: { setting: 'artifactLimitBytes', from: 1 },
  dotenv_bytes: { setting: 'dotenvLimitBytes', from: 0 },
  dotenv_variables: { setting: 'dotenvLimitVariables', from: 0 },
  jobs_per_pipeline: { setting: 'pipelineJobLimit', from: 1, to: 1_000_000 },
  git_depth: { setting: 'gitDepth', from: 0, to: 2 ** 31 - 1 },
}

export interface SettingsSources {
  /** Flags as the command line gave them. */
  flags: Partial<Record<TextSetting, string>> & { insecure?: boolean; config?: string }
  env: NodeJS.ProcessEnv
  cwd: string
}

/** Reads, merges and checks. Throws `SettingsError` for an unknown key, a wrong value, or a file that is not TOML. */
export function readSettings({ flags, env, cwd }: SettingsSources): ServerSettings {
  const file = readFile(flags.config, cwd)
  const text = (name: TextSetting): { value: string; where: string } => {
    const { flag, env: variable, key, default: fallback } = texts[name]
    const given = flags[name]
    if (given !== undefined) return { value: given, where: flag }
    const fromEnv = env[variable]
    if (fromEnv !== undefined && fromEnv !== '') return { value: fromEnv, where: variable }
    const fromFile = name === 'grpc' ? grpcTable(file.table).address : file.table[key]
    if (fromFile !== undefined) {
      if (typeof fromFile !== 'string') throw new SettingsError(key, 'must be a text')
      return { value: fromFile, where: key }
    }
    return { value: fallback, where: `default of ${key}` }
  }
  const dataDir = path.resolve(cwd, text('dataDir').value)
  const insecure = flags.insecure ?? bool(file.table, 'insecure') ?? false
  return {
    dataDir,
    http: address(text('http'), insecure),
    grpc: address(text('grpc'), insecure),
    grpcExternalUrl: grpcUrl(grpcTable(file.table).external_url),
    database: database(text('database'), dataDir, cwd),
    databaseWaitMs: duration(file.table.database_wait, 'database_wait') ?? defaultDatabaseWaitMs,
    externalUrl: url(text('externalUrl')),
    adminToken: adminToken(text('adminToken')),
    keyFile: text('keyFile').value === '' ? path.join(dataDir, 'key') : path.resolve(cwd, text('keyFile').value),
    logLevel: oneOf(text('logLevel'), logLevels),
    insecure,
    core: coreSettings(file.table),
    s3: s3(file.table, env),
    includes: includes(file.table),
    mirrors: mirrors(file.table),
    ...pollSettings(file.table),
    plugins: plugins(file.table.plugins),
    baseFolder: file.folder,
  }
}

const defaultDatabaseWaitMs = 60_000

const knownKeys = [
  ...Object.values(texts).map(({ key }) => key),
  'insecure',
  'database_wait',
  'leases',
  'limits',
  'poll',
  'artifacts',
  'caches',
  's3',
  'stuck',
  'tasks',
  'includes',
  'mirrors',
  'webhooks',
  'monitoring',
  'plugins',
  'cell',
]

function readFile(given: string | undefined, cwd: string): { table: Record<string, unknown>; folder: string } {
  const file = path.resolve(cwd, given ?? 'signalbox.toml')
  let source: string
  try {
    source = readFileSync(file, 'utf8')
  } catch (error) {
    if (given === undefined && (error as NodeJS.ErrnoException).code === 'ENOENT') return { table: {}, folder: cwd }
    throw new SettingsError('--config', `cannot read ${file}: ${(error as Error).message}`)
  }
  let table: Record<string, unknown>
  try {
    table = parse(source)
  } catch (error) {
    if (error instanceof TomlError) throw new SettingsError(`${file}:${error.line}:${error.column}`, error.message)
    throw error
  }
  refuseUnknown(table, knownKeys, file)
  return { table, folder: path.dirname(file) }
}

function coreSettings(table: Record<string, unknown>): CoreSettings {
  const leases = structuredClone(defaultLeaseSettings)
  for (const [key, value] of Object.entries(tableOf(table, 'leases', Object.keys(leaseKeys)))) {
    leaseKeys[key]!(leases, duration(value, `leases.${key}`, { zero: optionalWaits.has(key), most: longestTimerMs })!)
  }
  if (leases.renewEveryMs >= leases.stream.heldForMs) {
    throw new SettingsError(
      'leases.stream_renew_every',
      'must be shorter than stream_held_for, or every lease would end',
    )
  }
  const stuck = stuckTable(table)
  // A request made by hand is given up by the sweep over running jobs, and by nothing else.
  leases.byHand.heldForMs = stuck.runningMs
  const settings: CoreSettings = {
    ...defaultCoreSettings,
    webhookHosts: webhookHosts(table),
    leases,
    stuck,
    taskTimes: taskTimes(table),
    queueObjectives: queueObjectives(table),
    ...cellSettings(table),
  }
  for (const [key, value] of Object.entries(tableOf(table, 'limits', Object.keys(limitKeys)))) {
    const { setting, ...range } = limitKeys[key]!
    settings[setting] = wholeNumber(value, `limits.${key}`, range)!
  }
  const { expire_in: expireIn, archive_logs_after: after } = tableOf(table, 'artifacts', [
    'expire_in',
    'archive_logs_after',
  ])
  settings.archiveTracesAfterMs =
    duration(after, 'artifacts.archive_logs_after', { zero: true }) ?? settings.archiveTracesAfterMs
  if (expireIn === 'never') settings.artifactExpiryMs = null
  else settings.artifactExpiryMs = duration(expireIn, 'artifacts.expire_in') ?? settings.artifactExpiryMs
  settings.caches = caches(table)
  return settings
}

function caches(table: Record<string, unknown>): CacheSettings {
  const { entry_bytes, project_bytes, keep_for } = tableOf(table, 'caches', [
    'entry_bytes',
    'project_bytes',
    'keep_for',
  ])
  const given = defaultCoreSettings.caches
  return {
    entryBytes: wholeNumber(entry_bytes, 'caches.entry_bytes') ?? given.entryBytes,
    projectBytes: wholeNumber(project_bytes, 'caches.project_bytes') ?? given.projectBytes,
    keepMs: duration(keep_for, 'caches.keep_for') ?? given.keepMs,
  }
}

const mostCells = 1_000_000

/** The number of this coordinator among those behind one address, and whether runners keep to one top-level group. */
function cellSettings(table: Record<string, unknown>): Partial<Pick<CoreSettings, 'cell' | 'isolateRunners'>> {
  const cell = tableOf(table, 'cell', ['id', 'isolate_runners'])
  const { id } = cell
  if (id !== undefined && (typeof id !== 'number' || !Number.isSafeInteger(id) || id < 1 || id > mostCells)) {
    throw new SettingsError('cell.id', `must be a whole number from 1 to ${mostCells}`)
  }
  const isolateRunners = bool(cell, 'isolate_runners', 'cell.')
  return { ...(id === undefined ? {} : { cell: id }), ...(isolateRunners === undefined ? {} : { isolateRunners }) }
}

const stuckKeys: Record<string, Exclude<keyof StuckSettings, 'profile'>> = {
  pending: 'pendingMs',
  unmatched: 'unmatchedMs',
  running: 'runningMs',
  canceling: 'cancelingMs',
  scheduled: 'scheduledMs',
  over_timeout: 'overTimeoutMs',
  spacing: 'spacingMs',
}

function stuckTable(table: Record<string, unknown>): StuckSettings {
  const { profile = 'classic', ...rest } = tableOf(table, 'stuck', ['profile', ...Object.keys(stuckKeys)])
  if (typeof profile !== 'string') throw new SettingsError('stuck.profile', 'must be a text')
  const settings = stuckSettings(oneOf({ value: profile, where: 'stuck.profile' }, stuckProfiles))
  for (const [key, value] of Object.entries(rest)) settings[stuckKeys[key]!] = duration(value, `stuck.${key}`)!
  return settings
}

/** Each a duration, or a cron expression in UTC. */
function taskTimes(table: Record<string, unknown>): TaskTimes {
  const given = Object.fromEntries(
    Object.entries(tableOf(table, 'tasks', Object.keys(defaultTaskTimes))).map(([name, value]) => {
      const ms = typeof value === 'string' ? millisecondsOf(value) : undefined
      if (ms !== undefined && ms > 0 && ms <= longestTimerMs) return [name, ms]
      try {
        parseCron(String(value))
      } catch {
        throw new SettingsError(
          `tasks.${name}`,
          'must be a duration such as "10s", at most 24 days, or a cron expression',
        )
      }
      return [name, String(value)]
    }),
  )
  return { ...defaultTaskTimes, ...given }
}

/** As GitLab Runner has them: `[[monitoring.job_queuing_durations]]`, the last one that is active decides. */
function queueObjectives(table: Record<string, unknown>): QueueObjective[] {
  const list = tableOf(table, 'monitoring', ['job_queuing_durations']).job_queuing_durations ?? []
  if (!Array.isArray(list)) throw new SettingsError('monitoring.job_queuing_durations', 'must be a list of tables')
  return list.map((entry, i) => {
    const where = `monitoring.job_queuing_durations[${i}]`
    const known = ['periods', 'timezone', 'threshold', 'jobs_running_for_project']
    const { periods, timezone = '', threshold, ...rest } = tableOf({ [where]: entry }, where, known)
    const { jobs_running_for_project: pattern } = rest
    if (!Array.isArray(periods) || !periods.every((period) => typeof period === 'string')) {
      throw new SettingsError(`${where}.periods`, 'must be a list of cron expressions')
    }
    if (typeof timezone !== 'string') throw new SettingsError(`${where}.timezone`, 'must be a text')
    if (pattern !== undefined && typeof pattern !== 'string') {
      throw new SettingsError(`${where}.jobs_running_for_project`, 'must be a text')
    }
    const thresholdS = (duration(threshold, `${where}.threshold`, { zero: true }) ?? 0) / 1000
    try {
      return readQueueObjective({
        periods,
        timezone,
        thresholdS,
        ...(pattern === undefined ? {} : { jobsRunningForProject: pattern }),
      })
    } catch (error) {
      const { details, message } = SignalboxError.from(error)
      throw new SettingsError(`${where}.${String(details.field)}`, message)
    }
  })
}

function pollSettings(table: Record<string, unknown>): Pick<ServerSettings, 'pollHoldMs' | 'pollsPerSecond'> {
  const { hold, rate } = tableOf(table, 'poll', ['hold', 'rate'])
  if (rate !== undefined && (typeof rate !== 'number' || !Number.isFinite(rate) || rate < 0)) {
    throw new SettingsError('poll.rate', 'must be a number of polls a second, not negative')
  }
  return { pollHoldMs: duration(hold, 'poll.hold', { zero: true, most: 3_600_000 }) ?? 50_000, pollsPerSecond: rate }
}

/** `grpc = "HOST:PORT"`, or a table with the address and more. */
function grpcTable(table: Record<string, unknown>): Record<string, unknown> {
  if (typeof table.grpc === 'string') return { address: table.grpc }
  return tableOf(table, 'grpc', ['address', 'external_url'])
}

/** What GitLab's runner takes: a host, perhaps a port, and nothing after it. */
function grpcUrl(value: unknown): string {
  if (value === undefined) return ''
  if (typeof value !== 'string' || !/^grpcs?:\/\/[^/?#@\s]+\/?$/.test(value) || !URL.canParse(value)) {
    throw new SettingsError('grpc.external_url', 'must be grpc://HOST[:PORT] or grpcs://HOST[:PORT]')
  }
  return value.replace(/\/$/, '')
}

const s3Keys = [
  'bucket',
  'endpoint',
  'region',
  'prefix',
  'path_style',
  'access_key_id',
  'secret_access_key',
  'direct_download',
  'request_checksum',
]

/** A secret is better kept in `SIGNALBOX_S3_SECRET_ACCESS_KEY` than in the file. */
function s3(table: Record<string, unknown>, env: NodeJS.ProcessEnv): S3Settings | undefined {
  if (table.s3 === undefined) return undefined
  const given = tableOf(table, 's3', s3Keys)
  const text = (key: string, absent: string) => {
    const value = given[key] ?? absent
    if (typeof value !== 'string') throw new SettingsError(`s3.${key}`, 'must be a text')
    return value
  }
  const bucket = text('bucket', '')
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket))
    throw new SettingsError('s3.bucket', 'must name a bucket: 3 to 63 of a-z, 0-9, "." and "-"')
  const prefix = text('prefix', '').replace(/^\/+|\/+$/g, '')
  const endpoint = url({ value: text('endpoint', ''), where: 's3.endpoint' })
  const accessKeyId = text('access_key_id', env.SIGNALBOX_S3_ACCESS_KEY_ID ?? '')
  const secretAccessKey = text('secret_access_key', env.SIGNALBOX_S3_SECRET_ACCESS_KEY ?? '')
  if ((accessKeyId === '') !== (secretAccessKey === '')) {
    throw new SettingsError('s3.access_key_id', 'and s3.secret_access_key need one another')
  }
  return {
    bucket,
    endpoint,
    region: text('region', 'us-east-1'),
    prefix: prefix === '' ? '' : `${prefix}/`,
    pathStyle: bool(given, 'path_style', 's3.') ?? endpoint !== '',
    credentials: accessKeyId === '' ? undefined : { accessKeyId, secretAccessKey },
    directDownload: bool(given, 'direct_download', 's3.') ?? true,
    requestChecksum: oneOf({ value: text('request_checksum', 'when_supported'), where: 's3.request_checksum' }, [
      'when_supported',
      'when_required',
    ]),
  }
}

/** `include:remote` is off until hosts are named: https://docs.gitlab.com/ci/yaml/#includeremote */
function includes(table: Record<string, unknown>): ServerSettings['includes'] {
  const { remote_hosts: hosts = [], templates_url: templates } = tableOf(table, 'includes', [
    'remote_hosts',
    'templates_url',
  ])
  if (!Array.isArray(hosts) || !hosts.every((host) => typeof host === 'string' && isHost(host))) {
    throw new SettingsError('includes.remote_hosts', 'must be a list of HOST or HOST:PORT')
  }
  if (templates === undefined) return hosts.length === 0 ? undefined : { hosts }
  if (typeof templates !== 'string' || !URL.canParse(templates) || new URL(templates).protocol !== 'https:') {
    throw new SettingsError('includes.templates_url', 'must be an https URL')
  }
  return { hosts, templatesUrl: templates }
}

/** Mirrored repositories come from public addresses over https, unless their host is named here. */
function mirrors(table: Record<string, unknown>): ServerSettings['mirrors'] {
  const known = ['trusted_hosts', 'timeout', 'pack_bytes']
  const { trusted_hosts: hosts = [], timeout, pack_bytes: bytes } = tableOf(table, 'mirrors', known)
  if (!Array.isArray(hosts) || !hosts.every((host) => typeof host === 'string' && isHost(host))) {
    throw new SettingsError('mirrors.trusted_hosts', 'must be a list of HOST or HOST:PORT')
  }
  const timeoutMs = duration(timeout, 'mirrors.timeout', { most: longestTimerMs })
  const packBytes = wholeNumber(bytes, 'mirrors.pack_bytes', { from: 1 })
  return {
    trustedHosts: hosts.map((host: string) => host.toLowerCase()),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(packBytes === undefined ? {} : { packBytes }),
  }
}

/** Addresses of a private network are told nothing unless the operator names them. */
function webhookHosts(table: Record<string, unknown>): string[] {
  const { trusted_hosts: hosts = [] } = tableOf(table, 'webhooks', ['trusted_hosts'])
  if (!Array.isArray(hosts) || !hosts.every((host) => typeof host === 'string' && isHost(host))) {
    throw new SettingsError('webhooks.trusted_hosts', 'must be a list of HOST or HOST:PORT')
  }
  return hosts
}

function isHost(text: string): boolean {
  return URL.canParse(`https://${text}/`) && new URL(`https://${text}/`).host === text.toLowerCase()
}

function plugins(value: unknown): PluginSetting[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) throw new SettingsError('plugins', 'must be [[plugins]] tables')
  return value.map((entry, i) => {
    const where = `plugins[${i}]`
    refuseUnknown(entry, ['use', 'config'], where)
    if (typeof entry.use !== 'string' || entry.use === '') throw new SettingsError(`${where}.use`, 'must be a text')
    const config = entry.config ?? {}
    if (typeof config !== 'object' || Array.isArray(config))
      throw new SettingsError(`${where}.config`, 'must be a table')
    return { use: entry.use, config }
  })
}

function tableOf(table: Record<string, unknown>, key: string, known: string[]): Record<string, unknown> {
  const value = table[key]
  if (value === undefined) return {}
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new SettingsError(key, 'must be a table')
  refuseUnknown(value as Record<string, unknown>, known, key)
  return value as Record<string, unknown>
}

function refuseUnknown(table: Record<string, unknown>, known: readonly string[], where: string): void {
  for (const key of Object.keys(table)) {
    if (!known.includes(key)) throw new SettingsError(where, `unknown key ${key}; known are ${known.join(', ')}`)
  }
}

function wholeNumber(
  value: unknown,
  where: string,
  { from = 0, to = Number.MAX_SAFE_INTEGER }: { from?: number; to?: number } = {},
): number | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < from || value > to) {
    const least = from === 0 ? 'not negative' : `${from} or more`
    const most = to === Number.MAX_SAFE_INTEGER ? '' : `, at most ${to}`
    throw new SettingsError(where, `must be a whole number, ${least}${most}`)
  }
  return value
}

/** No timer can be set for longer: it would fire at once, again and again. */
const longestTimerMs = 24 * 24 * 3_600_000
/** Far beyond what anybody waits for, and a number of milliseconds that can still be added to a time. */
const longestMs = 100 * 365 * 24 * 3_600_000

/** A duration in milliseconds: at least one, or with `zero` none; at most `most`. */
function duration(
  value: unknown,
  where: string,
  { zero = false, most = longestMs }: { zero?: boolean; most?: number } = {},
): number | undefined {
  if (value === undefined) return undefined
  const ms = typeof value === 'string' ? millisecondsOf(value) : value === 0 ? 0 : undefined
  if (ms === undefined) throw new SettingsError(where, 'must be a duration such as "90s" or "10 minutes"')
  if (ms === 0 && !zero) throw new SettingsError(where, 'must be a duration that is longer than none')
  if (ms > most)
    throw new SettingsError(
      where,
      `must be a duration of at most ${most >= 86_400_000 ? `${most / 86_400_000} days` : `${most / 3_600_000} h`}`,
    )
  return ms
}

/** Undefined for what is no duration. In a configuration a sign is a blank, as GitLab reads it; a setting has none. */
function millisecondsOf(text: string): number | undefined {
  if (/[-+]/.test(text)) return undefined
  if (/^[\s0.:]*0[\s0.:]*[a-z]*\s*$/i.test(text)) return 0
  const seconds = parseDuration(text)
  return seconds === undefined ? undefined : Math.ceil(seconds * 1000)
}

function bool(table: Record<string, unknown>, key: string, above = ''): boolean | undefined {
  const value = table[key]
  if (value !== undefined && typeof value !== 'boolean') throw new SettingsError(above + key, 'must be true or false')
  return value
}

function oneOf<T extends string>({ value, where }: { value: string; where: string }, allowed: readonly T[]): T {
  if (!allowed.includes(value as T)) throw new SettingsError(where, `must be one of ${allowed.join(', ')}`)
  return value as T
}

function url({ value, where }: { value: string; where: string }): string {
  if (value === '') return ''
  if (!URL.canParse(value) || !/^https?:$/.test(new URL(value).protocol)) {
    throw new SettingsError(where, `${value} is not an http or https URL`)
  }
  return value.replace(/\/+$/, '')
}

function database({ value, where }: { value: string; where: string }, dataDir: string, cwd: string): string {
  if (value === '') return `sqlite:${path.join(dataDir, 'signalbox.db')}`
  if (/^postgres(ql)?:\/\//.test(value)) return value
  if (!value.startsWith('sqlite:')) throw new SettingsError(where, 'must be sqlite:PATH or postgres://…')
  return `sqlite:${path.resolve(cwd, value.slice('sqlite:'.length))}`
}

const shortestToken = 20

function adminToken({ value, where }: { value: string; where: string }): string {
  if (value !== '' && (value.length < shortestToken || /[^\x21-\x7e]/.test(value))) {
    throw new SettingsError(where, `must have ${shortestToken} or more characters, without blanks`)
  }
  return value
}

/** `HOST:PORT`. Plain text leaves the machine only when that is asked for. */
function address({ value, where }: { value: string; where: string }, insecure: boolean): string {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]*):(\d{1,5})$/.exec(value)
  if (!match || Number(match[2]) > 65_535) throw new SettingsError(where, `${value} is not HOST:PORT`)
  const host = match[1]!.replace(/^\[|\]$/g, '')
  const loopback = host === 'localhost' || host === '::1' || /^127\./.test(host)
  if (!loopback && !insecure) {
    throw new SettingsError(where, `${value} is not a loopback address: plain text there needs --insecure`)
  }
  return value
}

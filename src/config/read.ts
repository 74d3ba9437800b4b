/**
 * Reads the settings of a coordinator: flags beat the environment, which beats `signalbox.toml`, which beats the defaults.
 * This is the only module that reads the environment; whatever else needs a setting is given it.
 */
import path from 'node:path'
import * as z from 'zod/mini'
import type { S3Settings } from '../core/blobs/s3-blobs.js'
import { type CoreSettings, defaultCoreSettings } from '../core/core.js'
import { defaultLeaseSettings, type LeaseSettings } from '../core/lease.js'
import { type StuckSettings, stuckSettings } from '../core/stuck.js'
import { readSettingsFile } from './file.js'
import { settingNotes } from './kinds.js'
import { openIdOf } from './openid-table.js'
import { type ServerSettings, SettingsError, type TlsSettings } from './settings.js'
import { type GivenSettings, settingsTable } from './table.js'

export interface SettingsSources {
  /** Flags as the command line gave them. */
  flags: Partial<Record<'dataDir' | 'http' | 'grpc' | 'database' | 'externalUrl' | 'logLevel' | 'config', string>> & {
    insecure?: boolean
  }
  env: NodeJS.ProcessEnv
  cwd: string
}

type Table = Record<string, unknown>

/** Reads, merges and checks. Throws `SettingsError` for an unknown key, a wrong value, or a file that is not TOML. */
export function readSettings(sources: SettingsSources): ServerSettings {
  const file = readSettingsFile(sources.flags.config, sources.cwd)
  const { values, origins } = merge(file.table, sources)
  const read = settingsTable.safeParse(values, { jitless: true })
  if (read.success) return settingsOf(read.data, sources, file.folder)
  const { path: place, message } = read.error.issues[0]!
  const where = dotted(place)
  throw new SettingsError(origins.get(where) ?? (where === '' ? file.path : where), message)
}

/** The file's values below those of flags and environment, and where the latter came from by key. */
function merge(file: Table, { flags, env }: SettingsSources): { values: Table; origins: Map<string, string> } {
  const values: Table = { ...file }
  const origins = new Map<string, string>()
  if (typeof file.grpc === 'string') {
    values.grpc = { address: file.grpc }
    origins.set('grpc.address', 'grpc')
  }
  for (const { place, flag, variable } of outsideSources(settingsTable)) {
    const given = flag === undefined ? undefined : (flags as Table)[propertyOf(flag)]
    const fromEnv = variable === undefined ? undefined : env[variable] || undefined
    const value = given ?? fromEnv
    if (value === undefined) continue
    if (put(values, place, value)) origins.set(dotted(place), given === undefined ? variable! : flag!)
  }
  return { values, origins }
}

/** Whether the value was put: nothing is into what should be a table and is none, or into a table that is not wanted. */
function put(values: Table, place: readonly string[], value: unknown): boolean {
  const [key, ...below] = place as [string, ...string[]]
  if (below.length === 0) {
    values[key] = value
    return true
  }
  const inner = values[key] ?? (isOptional(key) ? undefined : {})
  if (typeof inner !== 'object' || inner === null) return false
  const copy = { ...inner }
  values[key] = copy
  return put(copy, below, value)
}

const isOptional = (key: string) => (settingsTable.shape as Shape)[key] instanceof z.ZodMiniOptional

type Shape = Record<string, z.core.$ZodType>

interface OutsideSource {
  place: string[]
  flag: string | undefined
  variable: string | undefined
}

/** The settings that a flag or a variable can give. */
function outsideSources(table: z.ZodMiniObject, above: string[] = []): OutsideSource[] {
  return Object.entries(table.shape as Shape).flatMap(([key, kind]) => {
    const place = [...above, key]
    const { 'x-flag': flag, 'x-environment': variable } = settingNotes.get(kind) ?? {}
    if (flag !== undefined || variable !== undefined) return [{ place, flag, variable }]
    const inner =
      kind instanceof z.ZodMiniPrefault || kind instanceof z.ZodMiniOptional ? kind._zod.def.innerType : kind
    return inner instanceof z.ZodMiniObject ? outsideSources(inner, place) : []
  })
}

/** `--data-dir` as the command line's parser names it. */
function propertyOf(flag: string): string {
  return flag.slice(2).replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
}

/** `plugins[0].use`. */
function dotted(place: readonly PropertyKey[]): string {
  return place
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '')
}

function settingsOf(given: GivenSettings, { cwd, env }: SettingsSources, baseFolder: string): ServerSettings {
  const dataDir = path.resolve(cwd, given.data_dir)
  const { includes, mirrors, poll } = given
  const { remote_hosts: remoteHosts, templates_url: templatesUrl } = includes
  return {
    dataDir,
    repositories:
      given.repositories === '' ? path.join(dataDir, 'repositories') : path.resolve(cwd, given.repositories),
    http: given.http,
    grpc: given.grpc.address,
    grpcExternalUrl: given.grpc.external_url,
    database: databaseOf(given.database, dataDir, cwd),
    databaseWaitMs: given.database_wait,
    externalUrl: given.external_url,
    adminToken: given.admin_token,
    keyFile: given.key_file === '' ? path.join(dataDir, 'key') : path.resolve(cwd, given.key_file),
    logLevel: given.log_level,
    insecure: given.insecure,
    tls: tlsOf(given.tls, baseFolder),
    core: coreOf(given),
    s3: s3Of(given.s3),
    includes:
      remoteHosts.length === 0 && templatesUrl === undefined
        ? undefined
        : { hosts: remoteHosts, ...(templatesUrl === undefined ? {} : { templatesUrl }) },
    mirrors: {
      trustedHosts: mirrors.trusted_hosts.map((host) => host.toLowerCase()),
      ...(mirrors.timeout === undefined ? {} : { timeoutMs: mirrors.timeout }),
      ...(mirrors.pack_bytes === undefined ? {} : { packBytes: mirrors.pack_bytes }),
    },
    pollHoldMs: poll.hold,
    pollsPerSecond: poll.rate,
    openid: openIdOf(given.openid, env),
    plugins: given.plugins.map(({ memory_mb: memoryMb, dry_run: dryRun, ...plugin }) => ({
      ...plugin,
      dryRun,
      ...(memoryMb === undefined ? {} : { memoryMb }),
    })),
    classification: given.classification,
    baseFolder,
  }
}

function coreOf(given: GivenSettings): CoreSettings {
  const { limits, artifacts, caches } = given
  const stuck = stuckOf(given.stuck)
  return {
    ...defaultCoreSettings,
    sharedRepositories: given.repositories !== '',
    traceLimitBytes: limits.trace_bytes,
    artifactLimitBytes: limits.artifact_bytes,
    dotenvLimitBytes: limits.dotenv_bytes,
    dotenvLimitVariables: limits.dotenv_variables,
    pipelineJobLimit: limits.jobs_per_pipeline,
    gitDepth: limits.git_depth,
    artifactExpiryMs: artifacts.expire_in === 'never' ? null : artifacts.expire_in,
    archiveTracesAfterMs: artifacts.archive_logs_after,
    retention: { pipelinesMs: termOf(given.retention.pipelines), eventsMs: termOf(given.retention.events) },
    caches: { entryBytes: caches.entry_bytes, projectBytes: caches.project_bytes, keepMs: caches.keep_for },
    leases: leasesOf(given.leases, stuck),
    stuck,
    taskTimes: given.tasks,
    webhookHosts: given.webhooks.trusted_hosts,
    queueObjectives: given.monitoring.job_queuing_durations,
    cell: given.cell.id ?? null,
    isolateRunners: given.cell.isolate_runners,
    matchImages: given.matching.images,
  }
}

function tlsOf(given: GivenSettings['tls'], folder: string): TlsSettings | undefined {
  if (given === undefined) return undefined
  const { cert, key, client_ca: clientCa } = given
  const from = (file: string) => path.resolve(folder, file)
  return { cert: from(cert), key: from(key), clientCa: clientCa === undefined ? undefined : from(clientCa) }
}

const termOf = (term: number | 'never') => (term === 'never' ? null : term)

function leasesOf(given: GivenSettings['leases'], stuck: StuckSettings): LeaseSettings {
  return {
    ...defaultLeaseSettings,
    stream: { acceptWithinMs: given.stream_accept_within, heldForMs: given.stream_held_for },
    twoPhase: { acceptWithinMs: given.poll_accept_within, heldForMs: given.poll_held_for },
    onePhase: { acceptWithinMs: null, heldForMs: given.poll_held_for },
    // A request made by hand is given up by the sweep over running jobs, and by nothing else.
    byHand: { acceptWithinMs: null, heldForMs: stuck.runningMs },
    renewEveryMs: given.stream_renew_every,
    excludedForMs: given.excluded_for,
    reportWaitsMs: given.report_waits,
    cancelGraceMs: given.cancel_grace,
  }
}

function stuckOf({ profile, ...given }: GivenSettings['stuck']): StuckSettings {
  const usual = stuckSettings(profile)
  return {
    profile,
    pendingMs: given.pending ?? usual.pendingMs,
    unmatchedMs: given.unmatched ?? usual.unmatchedMs,
    runningMs: given.running ?? usual.runningMs,
    cancelingMs: given.canceling ?? usual.cancelingMs,
    scheduledMs: given.scheduled ?? usual.scheduledMs,
    overTimeoutMs: given.over_timeout ?? usual.overTimeoutMs,
    spacingMs: given.spacing ?? usual.spacingMs,
  }
}

function s3Of(given: GivenSettings['s3']): S3Settings | undefined {
  if (given === undefined) return undefined
  const { access_key_id: accessKeyId, secret_access_key: secretAccessKey } = given
  const prefix = given.prefix.replace(/^\/+|\/+$/g, '')
  return {
    bucket: given.bucket,
    endpoint: given.endpoint,
    region: given.region,
    prefix: prefix === '' ? '' : `${prefix}/`,
    pathStyle: given.path_style ?? given.endpoint !== '',
    credentials: accessKeyId === '' ? undefined : { accessKeyId, secretAccessKey },
    directDownload: given.direct_download,
    requestChecksum: given.request_checksum,
  }
}

function databaseOf(given: string, dataDir: string, cwd: string): string {
  if (given === '') return `sqlite:${path.join(dataDir, 'signalbox.db')}`
  return given.startsWith('sqlite:') ? `sqlite:${path.resolve(cwd, given.slice('sqlite:'.length))}` : given
}

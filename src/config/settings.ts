/** The settings of a coordinator as the program takes them, and what they are where nobody says anything. */
import path from 'node:path'
import type { S3Settings } from '../core/blobs/s3-blobs.js'
import { type CoreSettings, defaultCoreSettings } from '../core/core.js'
import { defaultLeaseSettings } from '../core/lease.js'
import type { OpenIdSettings } from '../core/openid.js'

export interface ServerSettings {
  /** Absolute path of the folder with the store, keys, traces, artifacts and repositories. */
  dataDir: string
  /** Absolute path of the folder of hosted repositories. */
  repositories: string
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
  /** TLS of both ports; undefined: plain text. */
  tls: TlsSettings | undefined
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
  /** Who vouches for people that sign in. */
  openid: OpenIdSettings[]
  plugins: PluginSetting[]
  /** How classifiers are asked why a job failed. */
  classification: { order: string[]; threshold: number }
  /** Where relative paths of plugins start, and their packages are looked for: the settings file's folder. */
  baseFolder: string
}

/** Paths of files in PEM. */
export interface TlsSettings {
  /** The certificate, followed by those between it and its CA. */
  cert: string
  key: string
  /** Whose certificates clients must show; undefined: they need none. */
  clientCa: string | undefined
}

export interface PluginSetting {
  /** A folder (beginning with `.` or `/`) or the name of a package. */
  use: string
  config: Record<string, unknown>
  /** Names of variables of our environment that its process gets. */
  env: string[]
  /** Memory that its process may use, in MiB. */
  memoryMb?: number
  fail: 'open' | 'closed'
  dryRun: boolean
}

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const
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

/**
 * What a coordinator is without flags, environment and file. `run` starts on this, and so loads no schema: reading the
 * table of `table.ts` takes longer than all of its own work before the pipeline.
 */
export function defaultSettings(dataDir: string): ServerSettings {
  return {
    dataDir,
    repositories: path.join(dataDir, 'repositories'),
    http: '127.0.0.1:8080',
    grpc: '127.0.0.1:8081',
    grpcExternalUrl: '',
    database: `sqlite:${path.join(dataDir, 'signalbox.db')}`,
    databaseWaitMs: 60_000,
    externalUrl: '',
    adminToken: '',
    keyFile: path.join(dataDir, 'key'),
    logLevel: 'info',
    insecure: false,
    tls: undefined,
    core: { ...defaultCoreSettings, leases: structuredClone(defaultLeaseSettings) },
    s3: undefined,
    includes: undefined,
    mirrors: { trustedHosts: [] },
    pollHoldMs: 50_000,
    pollsPerSecond: undefined,
    openid: [],
    plugins: [],
    classification: { order: [], threshold: 0.5 },
    baseFolder: path.dirname(dataDir),
  }
}

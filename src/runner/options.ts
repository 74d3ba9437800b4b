/** What a runner is started with. */
import type { Executor } from '../plugins/sdk.js'
import type { ClientTls } from './client-tls.js'
import type { RunnerEvent, RunnerLog, RunnerRequest } from './events.js'
import type { Places } from './places.js'
import { RunnerError } from './runner-error.js'
import type { TransportName } from './transports/transport.js'

export interface RunnerOptions {
  /** `http(s)://` or `ws(s)://` for WebSocket and polling, `grpc(s)://host:port` for gRPC. */
  url: string
  /** The runner's authentication token (`glrt-…`). */
  token: string
  transport: TransportName
  tls?: ClientTls | undefined
  executor: {
    name: string
    executor: Executor
    /** Runs our own commands on this host for an executor whose scripts see another file system. */
    host?: Executor
  }
  /** How many jobs may run at once; at least 1. */
  concurrency: number
  /** Shared with other runners of this process: a job of any takes one. */
  places?: Places
  /** Builds, spool and identity live here. One runner process a folder. */
  workDir: string
  /** Shown at the top of each log; the host's name if it is missing. */
  name?: string
  /** Names this manager; by default it is drawn once and kept in the work folder. */
  systemId?: string
  /** Facts about the host: at most 32. */
  labels?: Record<string, string>
  log: RunnerLog
  onEvent?: (event: RunnerEvent) => void
  /** The same for each request of the polling API. */
  onRequest?: (request: RunnerRequest) => void
  /** Where sources are fetched in place of addresses, for repositories that lie on this machine too. */
  insteadOf?: readonly InsteadOf[]
  /** Caches are kept in this folder, and not by the coordinator. */
  cacheDir?: string
  /** Take one job, see it through, and end. */
  once?: boolean
  /** WebSocket only: text frames, for people who look at the wire. */
  json?: boolean
  /** How much of a job's log may wait on disk before its output is held back; 64 MiB if it is missing. */
  spoolCapBytes?: number
  /** Between polls that brought nothing, for the polling transport; 3,000 if it is missing. */
  pollIntervalMs?: number
  /** How often the polling transport sends pieces of a log unless the server names an interval; 3,000 if it is missing. */
  traceIntervalMs?: number
  /** How long a canceled script may take to end where the coordinator names no time; 30,000 if it is missing. */
  cancelGraceMs?: number
  /** Between attempts of a stage; 5 s and 5 min if it is missing. */
  retryWaitMs?: { first: number; longest: number }
  /** How long a stage waits for a coordinator that does not answer; 5 min if it is missing. */
  awayMs?: number
}

/** As git's setting `url.<base>.insteadOf`; jobs still see the address. */
export interface InsteadOf {
  url: string
  base: string
}

const schemes: Record<TransportName, readonly string[]> = {
  websocket: ['http:', 'https:', 'ws:', 'wss:'],
  grpc: ['grpc:', 'grpcs:'],
  poll: ['http:', 'https:'],
}

/**
 * Checks what the compiler cannot.
 * @returns the coordinator's address.
 * @throws RunnerError with code `usage`.
 */
export function checkOptions(options: RunnerOptions): URL {
  const url = parseUrl(options.url)
  const allowed = schemes[options.transport]
  if (allowed === undefined) throw new RunnerError('usage', `unknown transport ${JSON.stringify(options.transport)}`)
  if (!allowed.includes(url.protocol)) {
    const forms = allowed.map((scheme) => `${scheme}//`).join(', ')
    throw new RunnerError(
      'usage',
      `the transport ${options.transport} needs an address with ${forms}, not ${options.url}`,
    )
  }
  if (url.hostname === '') throw new RunnerError('usage', `the address ${options.url} names no host`)
  if (options.token === '' || /[^\x21-\x7e]/.test(options.token)) throw new RunnerError('usage', 'the token is not one')
  if (!Number.isInteger(options.concurrency) || options.concurrency < 1) {
    throw new RunnerError('usage', `concurrency must be a whole number from 1 on, not ${options.concurrency}`)
  }
  if (options.executor.executor.runner === undefined) {
    throw new RunnerError('usage', `the executor ${options.executor.name} cannot run jobs here`)
  }
  if (options.executor.executor.runner.place !== undefined && options.executor.host?.runner === undefined) {
    throw new RunnerError('usage', `the executor ${options.executor.name} needs one for this host beside it`)
  }
  if (options.systemId !== undefined && !/^[\x21-\x7e]{1,64}$/.test(options.systemId)) {
    throw new RunnerError('usage', 'a system id has 1 to 64 printable characters')
  }
  if (Object.keys(options.labels ?? {}).length > 32) throw new RunnerError('usage', 'at most 32 labels are possible')
  return url
}

function parseUrl(text: string): URL {
  try {
    return new URL(text)
  } catch (error) {
    throw new RunnerError('usage', `${JSON.stringify(text)} is not an address`, { cause: error })
  }
}

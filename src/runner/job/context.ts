/** What every stage of a job works with. */
import type { ExecutorRunner } from '../../plugins/sdk.js'
import type { HttpClient } from '../http.js'
import type { InsteadOf } from '../options.js'
import type { JobFolders } from './folders.js'
import type { JobLog } from './log.js'
import type { JobPayload } from './payload.js'
import type { JobSettings } from './settings.js'
import type { StopLever } from './stop.js'
import type { Variables } from './variables.js'

/** What every stage of a job works with. */
export interface JobContext {
  payload: JobPayload
  session: string
  /** What tells jobs of this runner apart. */
  place: { shortToken: string; slot: number }
  executor: {
    name: string
    runner: ExecutorRunner
    /** What runs our own commands on this host: the same one, unless its scripts see another file system. */
    host: ExecutorRunner
    /** Scripts of the job see another file system than this process. */
    apart: boolean
    /** Its jobs share the host, rather than each having an environment of its own. */
    shared: boolean
  }
  folders: JobFolders
  settings: JobSettings
  variables: Variables
  log: JobLog
  stop: StopLever
  http: HttpClient
  /** The coordinator's HTTP address at this moment, for git and artifacts. */
  httpUrl: () => string
  /** Between attempts of a stage: the first wait and the longest, in milliseconds. */
  retryWaitMs: { first: number; longest: number }
  /** How long a stage waits for a coordinator that does not answer, in milliseconds. */
  awayMs: number
  /** Where sources are fetched in place of an address. */
  insteadOf: readonly InsteadOf[]
  /** A folder of this machine for caches; absent: the coordinator keeps them. */
  cacheDir: string | undefined
}

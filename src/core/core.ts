/** What every operation works with: the parts of one node, put together by `server.ts`, and nothing global. */

import type { Absence } from './absence.js'
import type { ArchiveReader } from './blobs/archive-reader.js'
import type { BlobStore } from './blobs/blob-store.js'
import type { TraceFiles } from './blobs/trace-files.js'
import type { CapabilityChanges } from './capability-changes.js'
import type { CiLanguage } from './ci-config/language.js'
import type { Clock, Random } from './clock.js'
import type { ConfigCache } from './config/config-cache.js'
import type { EventHub } from './events.js'
import type { Evidence, Judgment } from './evidence.js'
import type { FollowUps } from './follow-ups.js'
import type { Forges } from './forge.js'
import type { LeaseSettings } from './lease.js'
import type { LeaseSignals } from './lease-signals.js'
import type { Log } from './log.js'
import type { Memory } from './memory.js'
import type { NodeState } from './node.js'
import type { NodeCounts } from './node-counts.js'
import type { PipelineTurns } from './pipeline-turns.js'
import type { Repositories } from './project.js'
import type { QueueObjective, QueueSli } from './queue-sli.js'
import type { ReportReader } from './reports/report-reader.js'
import type { Asides } from './scheduler/asides.js'
import type { Dispatcher } from './scheduler/dispatcher.js'
import { defaultTaskTimes, type TaskTimes } from './scheduler/task-times.js'
import type { DemandCache } from './store/queue.js'
import type { User } from './store/users.js'
import type { Store } from './store/write.js'
import { type StuckSettings, stuckSettings } from './stuck.js'
import type { JobTokenClaims } from './tokens/job-token.js'
import type { Keys } from './tokens/keys.js'

export interface CoreSettings {
  leases: LeaseSettings
  /** Largest log of a job, in bytes; one more ends the job. */
  traceLimitBytes: number
  /** Largest artifact, in bytes. */
  artifactLimitBytes: number
  /** A dotenv report must have less, in bytes as it is stored. */
  dotenvLimitBytes: number
  /** Variables in one dotenv report. */
  dotenvLimitVariables: number
  /** Depth of a job's git fetch when `GIT_DEPTH` says nothing. */
  gitDepth: number
  /** Jobs in one pipeline. */
  pipelineJobLimit: number
  /** Jobs of a pipeline that one transaction takes on: the rest come in the next, with others between. */
  jobsAtOnce: number
  /** Pipelines that one may start, directly or through others, itself counted. */
  pipelineTreeLimit: number
  /** Milliseconds that artifacts without `expire_in` live; null: for ever. */
  artifactExpiryMs: number | null
  caches: CacheSettings
  /** Milliseconds from a job's end until its log becomes an artifact. */
  archiveTracesAfterMs: number
  retention: RetentionSettings
  /** When jobs count as stuck. */
  stuck: StuckSettings
  taskTimes: TaskTimes
  /** `HOST` or `HOST:PORT` that webhooks may tell whatever their address; others must have public ones. */
  webhookHosts: readonly string[]
  /** How long jobs may wait for a runner that is pushed to, for `/metrics`; none: it is not measured. */
  queueObjectives: readonly QueueObjective[]
  /** This coordinator's number among the cells behind one address; null: there are none. */
  cell: number | null
  /** A project's runner may serve projects of one top-level group only. */
  isolateRunners: boolean
  /** Jobs with `image` or `services` go only to runners whose executor has them. */
  matchImages: boolean
  /** Other nodes see the same hosted repositories. */
  sharedRepositories: boolean
}

/** How long history is kept. */
export interface RetentionSettings {
  /** Pipelines that were made longer ago are deleted, unless their project says otherwise; null: none is. */
  pipelinesMs: number | null
  /** Events that are older are deleted, once all have read them; null: none is. */
  eventsMs: number | null
}

/** What the coordinator keeps for `cache:` of jobs. */
export interface CacheSettings {
  /** Largest archive, in bytes. */
  entryBytes: number
  /** Of one project together; the least recently used go first. */
  projectBytes: number
  /** Milliseconds after which one that no job has used is deleted. */
  keepMs: number
}

export const defaultCoreSettings: Omit<CoreSettings, 'leases'> = {
  traceLimitBytes: 100 * 1024 * 1024,
  artifactLimitBytes: 100 * 1024 * 1024,
  dotenvLimitBytes: 5 * 1024,
  dotenvLimitVariables: 20,
  gitDepth: 20,
  pipelineJobLimit: 2000,
  jobsAtOnce: 50,
  pipelineTreeLimit: 1000,
  artifactExpiryMs: 30 * 24 * 3_600_000,
  caches: { entryBytes: 2 * 1024 ** 3, projectBytes: 10 * 1024 ** 3, keepMs: 14 * 24 * 3_600_000 },
  archiveTracesAfterMs: 2 * 60_000,
  retention: { pipelinesMs: null, eventsMs: 90 * 24 * 3_600_000 },
  stuck: stuckSettings('classic'),
  taskTimes: defaultTaskTimes,
  webhookHosts: [],
  queueObjectives: [],
  cell: null,
  isolateRunners: false,
  matchImages: false,
  sharedRepositories: false,
}

export interface Core {
  /** For whom operations are done, on a core that a door has made for a call (`actingFor`); absent: the server does them itself. */
  readonly by?: Pick<User, 'id' | 'username'>
  /** Name of this process among the nodes. */
  readonly node: string
  /** Whether it takes new work. */
  readonly nodeState: NodeState
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly keys: Keys
  readonly readJobToken: (token: string, now: number) => JobTokenClaims | undefined
  readonly settings: CoreSettings
  readonly demands: DemandCache
  /** What operations remember from one to the next. */
  readonly memory: Memory
  readonly dispatcher: Dispatcher
  /** Admission rules, and the jobs that they are asked about. */
  readonly asides: Asides
  readonly absence: Absence
  readonly pipelineTurns: PipelineTurns
  readonly traces: TraceFiles
  readonly artifacts: BlobStore
  readonly caches: BlobStore
  readonly archives: ArchiveReader
  readonly reports: ReportReader
  readonly repositories: Repositories
  readonly language: CiLanguage
  readonly configs: ConfigCache
  readonly events: EventHub
  readonly followUps: FollowUps
  readonly forges: Forges
  readonly leaseSignals: LeaseSignals
  readonly queueSli: QueueSli
  readonly counts: NodeCounts
  readonly log: Log
  /** The base of every URL that leaves the node, without a slash at the end. */
  readonly externalUrl: () => string
  /** Goes on with pushes whose pipelines a stop or a fault has left to be made. Returns how many there were. */
  readonly followPushesLeft: () => Promise<number>
  /** Built-in classifiers, in order: pure and quick. */
  readonly classify: (evidence: Evidence) => Judgment | undefined
  /** Configured classifiers, which may take seconds; absent: there are none. Must not reject. */
  readonly classifyLater?: ((evidence: Evidence) => Promise<Judgment | undefined>) | undefined
  /** Features that an executor adds to those that its manager reports. */
  readonly capabilitiesOf: (facts: {
    executor: string
    platform: string
    architecture: string
    features: string[]
  }) => string[] | Promise<string[]>
  /** When those that keep these are to ask anew. */
  readonly capabilityChanges: CapabilityChanges
  /** Whether an inline step of the product is paused by `task pause`. */
  readonly isPaused: (task: string) => boolean
}

/** The core, for what a door does for a person: the audit log names who. */
export function actingFor(core: Core, user: Pick<User, 'id' | 'username'>): Core {
  return Object.create(core, { by: { value: user } })
}

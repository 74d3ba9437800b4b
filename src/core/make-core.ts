/** Puts the parts of a node's core together. What they need of one another is tied here and nowhere else. */

import { buffer } from 'node:stream/consumers'
import { Absence } from './absence.js'
import type { AdmissionRules } from './admission.js'
import { readableProject } from './authorize.js'
import { ArchiveReader } from './blobs/archive-reader.js'
import type { BlobRooms } from './blobs/blob-store.js'
import type { Disk } from './blobs/disk.js'
import { TraceFiles } from './blobs/trace-files.js'
import { CapabilityChanges } from './capability-changes.js'
import type { CiLanguage } from './ci-config/language.js'
import { type Clock, type Random, systemRandom } from './clock.js'
import { ConfigCache } from './config/config-cache.js'
import type { ConfigWorld } from './config/config-files.js'
import type { RemoteFiles } from './config/remote-files.js'
import { type Core, type CoreSettings, defaultCoreSettings } from './core.js'
import { EventHub } from './events.js'
import { FollowUps } from './follow-ups.js'
import { type Forges, noForges } from './forge.js'
import { defaultLeaseSettings } from './lease.js'
import { LeaseSignals } from './lease-signals.js'
import type { Log } from './log.js'
import { makeMemory } from './memory.js'
import { NodeState } from './node.js'
import { NodeCounts } from './node-counts.js'
import { commitTraces } from './operations/append-trace.js'
import { continuePipeline } from './operations/continue-pipeline.js'
import { extendLeases } from './operations/extend-leases.js'
import { followUpTable } from './operations/follow-up-table.js'
import { leaseToWaiter } from './operations/lease-job.js'
import { voidOffer } from './operations/void-offer.js'
import { PipelineTurns } from './pipeline-turns.js'
import type { Repositories } from './project.js'
import { QueueSli } from './queue-sli.js'
import { ReportReader } from './reports/report-reader.js'
import { Asides } from './scheduler/asides.js'
import { Dispatcher } from './scheduler/dispatcher.js'
import { Tasks } from './scheduler/tasks.js'
import { findArtifact } from './store/artifacts.js'
import { DemandCache } from './store/queue.js'
import { deleteTracePieces, readTracePieces } from './store/trace-pieces.js'
import type { Store } from './store/write.js'
import { jobTokenReader } from './tokens/job-token.js'
import type { Keys } from './tokens/keys.js'

export interface CoreParts {
  node: string
  store: Store
  clock: Clock
  random?: Random
  keys: Keys
  /** Folder of the trace files. */
  traces: string
  blobs: BlobRooms
  repositories: Repositories
  /** Compiles configurations and plans pipelines. */
  language: CiLanguage
  /** Files of the web for `include:remote` and `include:template`; absent: they are switched off. */
  remoteFiles?: RemoteFiles
  /** What stands in for other projects and the web: for a coordinator that lives for one command. */
  elsewhere?: ConfigWorld['elsewhere']
  /** Speaks to forges; absent: nobody does. */
  forges?: Forges
  log: Log
  externalUrl: () => string
  followPushesLeft?: Core['followPushesLeft']
  classify?: Core['classify']
  classifyLater?: Core['classifyLater']
  capabilitiesOf?: Core['capabilitiesOf']
  capabilityChanges?: Core['capabilityChanges']
  admission?: AdmissionRules
  settings?: Partial<CoreSettings>
  /** Storage can no longer be trusted: the process must end. */
  fatal: (error: unknown) => void
  /** Logs are synced before they count (default true); off for a coordinator that lives for one command. */
  durable?: boolean
  /** Where logs are kept, if not on this machine's file system. */
  disk?: Disk
}

/** The core and its background tasks, not started. */
export function makeCore(parts: CoreParts): { core: Core; tasks: Tasks } {
  const { store, clock, log } = parts
  const demands = new DemandCache()
  const asides = new Asides(clock, parts.admission)
  const dispatcher: Dispatcher = new Dispatcher({
    store,
    clock,
    demands,
    asides,
    log,
    claim: (waiter) => leaseToWaiter(core, waiter),
    takeBack: async (offer) => {
      await voidOffer(core, offer, 'undeliverable')
    },
  })
  const traces: TraceFiles = new TraceFiles({
    folder: parts.traces,
    commit: (progress) => commitTraces(core, progress),
    fatal: parts.fatal,
    durable: parts.durable ?? true,
    archived: async (jobId) => {
      const artifact = await findArtifact(store.read, jobId, 'trace')
      return artifact && ((from, to) => buffer(core.artifacts.open(artifact.location, { start: from, end: to - 1 })))
    },
    ...(parts.disk ? { disk: parts.disk } : {}),
    ...(store.engine === 'postgres'
      ? {
          shared: {
            read: (jobId, from, to) => readTracePieces(store.read, jobId, from, to),
            remove: (jobId) => store.write((tx) => deleteTracePieces(tx, jobId)),
          },
        }
      : {}),
  })
  const core: Core = {
    node: parts.node,
    nodeState: new NodeState(),
    store,
    clock,
    random: parts.random ?? systemRandom,
    keys: parts.keys,
    readJobToken: jobTokenReader(parts.keys),
    settings: { ...defaultCoreSettings, leases: defaultLeaseSettings, ...parts.settings },
    demands,
    memory: makeMemory(),
    dispatcher,
    asides,
    absence: new Absence({ clock, log, giveBack: (awayMs) => extendLeases(core, awayMs) }),
    pipelineTurns: new PipelineTurns((id) => continuePipeline(core, id)),
    traces,
    ...parts.blobs,
    archives: new ArchiveReader(parts.blobs.artifacts),
    reports: new ReportReader(parts.blobs.artifacts),
    repositories: parts.repositories,
    language: parts.language,
    configs: new ConfigCache({
      repositories: parts.repositories,
      language: parts.language,
      findProject: (path, user) => readableProject(core, path, user),
      remote: parts.remoteFiles,
      elsewhere: parts.elsewhere,
      externalUrl: parts.externalUrl,
    }),
    events: new EventHub(),
    followUps: new FollowUps(
      followUpTable(() => core),
      log,
    ),
    forges: parts.forges ?? noForges,
    leaseSignals: new LeaseSignals(),
    counts: new NodeCounts(),
    queueSli: new QueueSli(parts.settings?.queueObjectives ?? []),
    log,
    externalUrl: parts.externalUrl,
    followPushesLeft: parts.followPushesLeft ?? (async () => 0),
    classify: parts.classify ?? (() => undefined),
    classifyLater: parts.classifyLater,
    capabilitiesOf: parts.capabilitiesOf ?? (() => []),
    capabilityChanges: parts.capabilityChanges ?? new CapabilityChanges(),
    isPaused: (task) => tasks.isPaused(task),
  }
  core.events.listen((event) => core.counts.hear(event))
  const tasks: Tasks = new Tasks(core)
  return { core, tasks }
}

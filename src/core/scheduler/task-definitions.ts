/**
 * The background tasks: sweeps (`task-times.ts` says when), work that another task puts off, and inline work that can be
 * paused: running that does what was left meanwhile.
 */
import type { Core } from '../core.js'
import { archiveTraces } from '../operations/archive-trace.js'
import { assignResources } from '../operations/assign-resource.js'
import { continuePipelines } from '../operations/continue-pipeline.js'
import { countUsage } from '../operations/count-usage.js'
import { deleteExpiredArtifacts } from '../operations/delete-expired-artifacts.js'
import { deleteOldEvents } from '../operations/delete-old-events.js'
import { deleteOldPipelines } from '../operations/delete-old-pipelines.js'
import {
  dropCancelingJobs,
  dropPendingJobs,
  dropRunningJobs,
  dropScheduledJobs,
  dropTimedOutJobs,
} from '../operations/drop-stuck-jobs.js'
import { enqueueDueJobs } from '../operations/enqueue-due-jobs.js'
import { evictCaches } from '../operations/evict-caches.js'
import { expireLeases } from '../operations/expire-leases.js'
import { finishWorkLeft } from '../operations/finish-work.js'
import { settleBridges } from '../operations/follow-downstream.js'
import { noteAttached } from '../operations/note-contact.js'
import { prepareJobsLeft } from '../operations/prepare-job.js'
import { processNewPipelines } from '../operations/prepare-node.js'
import { workOnDeliveriesLeft } from '../operations/receive-delivery.js'
import { removeDeleted } from '../operations/remove-deleted.js'
import { removeOrphans } from '../operations/remove-orphans.js'
import { runMergeTrains } from '../operations/run-merge-train.js'
import { runSchedules } from '../operations/run-schedules.js'
import { stopExpiredEnvironments } from '../operations/stop-environment.js'
import { runSubscribers } from '../operations/subscribe-project.js'
import { removeIdleLanes } from '../store/queue.js'
import type { StuckSettings } from '../stuck.js'

/** What a task may ask of those who run it. */
export interface TaskRunner {
  /** Has another task run once, `ms` milliseconds from now. Kept over a restart. */
  later(name: string, ms: number): Promise<void>
}

/** A background task, and how a run of it may go. */
export interface Task {
  name: string
  /** Says in a sentence what it does. */
  what: string
  /** Too frequent to be written down each time: only a run that did something is. */
  quiet?: boolean
  /**
   * Ends jobs that were silent for longer than this, in milliseconds: not by itself before this node has listened for as
   * long, or for a stream's term.
   */
  silence?: (stuck: StuckSettings) => number
  /** Looks after what this node alone has or knows: each node does it, where others are done by one node for all. */
  everywhere?: boolean
  /** Returns a short result for people; an empty one means that there was nothing to do. */
  run: (core: Core, tasks: TaskRunner) => Promise<string>
}

const counted = (counts: Record<string, number>) =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ')

const idleLaneMs = 10 * 60_000

/** The parts of `stuck_ci_jobs` that follow it, in order: gitlab app/workers/stuck_ci_jobs_worker.rb. */
const stuckParts = ['drop_running', 'drop_scheduled', 'drop_canceling']

/** All background tasks. */
export const taskDefinitions: readonly Task[] = [
  {
    name: 'initial_pipeline_process',
    what: 'starts the jobs of a new pipeline; while it is paused they stay created',
    run: async (core) => counted({ pipelines: (await processNewPipelines(core)) + (await continuePipelines(core)) }),
  },
  {
    name: 'expire_leases',
    what: 'voids offers nobody answered and ends jobs whose runner is gone',
    everywhere: true,
    quiet: true,
    run: async (core) => counted({ ...(await expireLeases(core)) }),
  },
  {
    name: 'wake_runners',
    what: 'finds jobs and idle runners that a lost wake-up has left side by side',
    everywhere: true,
    quiet: true,
    run: async (core) => {
      await core.dispatcher.sweep()
      return ''
    },
  },
  {
    name: 'enqueue_due_jobs',
    what: 'queues delayed jobs whose time has come',
    quiet: true,
    run: async (core) => counted({ jobs: await enqueueDueJobs(core) }),
  },
  {
    name: 'stuck_ci_jobs',
    what: 'fails jobs that are pending for too long, and has drop_running, drop_scheduled and drop_canceling follow',
    run: async (core, tasks) => {
      const jobs = await dropPendingJobs(core)
      for (const [i, name] of stuckParts.entries()) await tasks.later(name, (i + 1) * core.settings.stuck.spacingMs)
      return counted({ jobs })
    },
  },
  {
    name: 'drop_running',
    silence: (stuck) => stuck.runningMs,
    what: 'fails running jobs that nothing was heard of for too long',
    run: async (core) => counted({ jobs: await dropRunningJobs(core) }),
  },
  {
    name: 'drop_scheduled',
    what: 'fails delayed jobs whose time passed long ago',
    run: async (core) => counted({ jobs: await dropScheduledJobs(core) }),
  },
  {
    name: 'drop_canceling',
    silence: (stuck) => stuck.cancelingMs,
    what: 'cancels jobs whose runner does not answer the cancel',
    run: async (core) => counted({ jobs: await dropCancelingJobs(core) }),
  },
  {
    name: 'drop_timed_out',
    silence: (stuck) => stuck.overTimeoutMs,
    what: 'ends jobs that ran past their timeout and that their runner did not end',
    run: async (core) => counted({ jobs: await dropTimedOutJobs(core) }),
  },
  {
    name: 'assign_resources',
    what: 'gives free resources to jobs that wait for them, and takes back what lost jobs have kept',
    quiet: true,
    run: async (core) => counted({ ...(await assignResources(core)) }),
  },
  {
    name: 'finish_work',
    what: 'finds the coverage in the logs of jobs that have ended, and reads their reports',
    quiet: true,
    run: async (core) => counted({ jobs: await finishWorkLeft(core) }),
  },
  {
    name: 'archive_traces',
    what: 'makes artifacts of the logs of jobs that ended a while ago',
    quiet: true,
    run: async (core) => counted({ logs: await archiveTraces(core) }),
  },
  {
    name: 'prepare_jobs',
    what: 'fetches mirrored repositories for jobs that a stop or a fault has left preparing',
    quiet: true,
    run: async (core) => counted({ jobs: await prepareJobsLeft(core) }),
  },
  {
    name: 'count_usage',
    what: 'charges the time of instance runners to namespaces, and applies their limits',
    quiet: true,
    run: async (core) => counted({ ...(await countUsage(core)) }),
  },
  {
    name: 'receive_hooks',
    what: 'works on deliveries that a stop has left, or whose repository could not be fetched',
    quiet: true,
    run: async (core) => counted({ deliveries: await workOnDeliveriesLeft(core) }),
  },
  {
    name: 'follow_pushes',
    what: 'makes the pipelines of pushes that a stop or a fault has left without',
    everywhere: true,
    quiet: true,
    run: async (core) => counted({ pushes: await core.followPushesLeft() }),
  },
  {
    name: 'run_subscribers',
    what: 'makes the pipelines of subscribed projects that a stop has left out',
    quiet: true,
    run: async (core) => counted({ pipelines: await runSubscribers(core) }),
  },
  {
    name: 'run_merge_trains',
    what: 'takes merge trains on that a stop or a fault has left standing',
    quiet: true,
    run: async (core) => counted({ merged: await runMergeTrains(core) }),
  },
  {
    name: 'settle_bridges',
    what: 'brings trigger jobs up to date with their pipelines, where a crash came between',
    quiet: true,
    run: async (core) => counted({ jobs: await settleBridges(core) }),
  },
  {
    name: 'run_schedules',
    what: 'makes the pipelines of schedules whose time has come',
    run: async (core) => counted({ pipelines: await runSchedules(core) }),
  },
  {
    name: 'stop_environments',
    what: 'stops environments whose time is over',
    run: async (core) => counted({ environments: await stopExpiredEnvironments(core) }),
  },
  {
    name: 'note_contacts',
    what: 'writes down that the runners of open streams are there',
    everywhere: true,
    quiet: true,
    run: async (core) => counted({ runners: await noteAttached(core) }),
  },
  {
    name: 'delete_expired_artifacts',
    what: 'deletes artifacts past their expiry',
    run: async (core) => counted({ artifacts: await deleteExpiredArtifacts(core) }),
  },
  {
    name: 'evict_caches',
    what: 'deletes caches that no job has used for long',
    run: async (core) => counted({ caches: await evictCaches(core) }),
  },
  {
    name: 'delete_old_pipelines',
    what: 'deletes pipelines that were made longer ago than their project keeps them',
    quiet: true,
    run: async (core) => counted({ pipelines: await deleteOldPipelines(core) }),
  },
  {
    name: 'delete_old_events',
    what: 'deletes events that are old and that all have read',
    quiet: true,
    run: async (core) => counted({ events: await deleteOldEvents(core) }),
  },
  {
    name: 'remove_deleted',
    what: 'takes away what deletions have left on the disk, where a crash or a fault came between',
    quiet: true,
    run: async (core) => counted({ removals: await removeDeleted(core) }),
  },
  {
    name: 'remove_orphans',
    what: 'takes away files of artifacts and caches that no row names',
    quiet: true,
    run: async (core) => counted({ ...(await removeOrphans(core)) }),
  },
  {
    name: 'remove_idle_lanes',
    what: 'forgets lanes of the queue that have been empty for a while',
    quiet: true,
    run: async (core) => counted({ lanes: await core.store.write((tx) => removeIdleLanes(tx, tx.now - idleLaneMs)) }),
  },
]

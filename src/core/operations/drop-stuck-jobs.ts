/**
 * The sweeps over stuck jobs, one for each status, as GitLab's workers are: each looks again inside the transaction that
 * drops, so a job that has moved on meanwhile is left alone, and running one twice does no harm.
 */
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import { dropLocked } from '../steps/drop-locked.js'
import { lockJob } from '../store/jobs.js'
import { projectFacts } from '../store/projects.js'
import {
  listLateScheduled,
  listOldPending,
  listOldPendingLanes,
  listOverTimeout,
  listSilentByHand,
  type SweptJob,
  sweepBatch,
  sweepStart,
} from '../store/sweeps.js'
import { type StuckCase, stuckReasons } from '../stuck.js'
import { doomJob } from './doom-job.js'
import { anyFits, listOnlineRunners } from './find-fitting-runners.js'

/** Jobs that waited a day, and those that waited an hour although no runner that is online could take them. */
export async function dropPendingJobs(core: Core): Promise<number> {
  const { pendingMs, unmatchedMs } = core.settings.stuck
  const old = core.clock.now() - pendingMs
  const dropped = await eachBatch(
    (after) => listOldPending(core.store.read, old, after),
    (id) => drop(core, id, 'pending', (job, now) => isQueued(job) && job.updatedAt <= now - pendingMs),
  )
  return dropped + (await dropUnmatchedJobs(core, core.clock.now() - unmatchedMs))
}

async function dropUnmatchedJobs(core: Core, before: number): Promise<number> {
  const { read } = core.store
  let online: Awaited<ReturnType<typeof listOnlineRunners>> | undefined
  const fits = new Map<string, boolean>()
  let dropped = 0
  let after = sweepStart
  for (;;) {
    const jobs = await listOldPendingLanes(read, before, after)
    for (const { id, projectId, demandId } of jobs) {
      const key = `${projectId} ${demandId}`
      if (!fits.has(key)) {
        online ??= await listOnlineRunners(core)
        if (!core.demands.get(demandId)) await core.demands.refresh(read)
        const project = await projectFacts(read, projectId)
        const demand = core.demands.get(demandId)
        fits.set(key, project !== undefined && demand !== undefined && anyFits(online, project, demand))
      }
      if (fits.get(key)) continue
      if (await drop(core, id, 'unmatched', (job) => isQueued(job) && job.updatedAt <= before)) dropped++
    }
    if (jobs.length < sweepBatch) return dropped
    after = jobs.at(-1)!
  }
}

/** Running jobs of requests made by hand that were silent for too long. */
export function dropRunningJobs(core: Core): Promise<number> {
  return dropSilent(core, 'running', core.settings.stuck.runningMs)
}

/** The same for jobs that are being canceled: these end canceled. */
export function dropCancelingJobs(core: Core): Promise<number> {
  return dropSilent(core, 'canceling', core.settings.stuck.cancelingMs)
}

function dropSilent(core: Core, status: 'running' | 'canceling', silentMs: number): Promise<number> {
  const before = core.clock.now() - silentMs
  return eachBatch(
    (after) => listSilentByHand(core.store.read, status, before, after),
    (id) => drop(core, id, status, (job) => job.status === status),
  )
}

/** Delayed jobs that are more than an hour late. */
export function dropScheduledJobs(core: Core): Promise<number> {
  const { scheduledMs } = core.settings.stuck
  const before = core.clock.now() - scheduledMs
  return eachBatch(
    (after) => listLateScheduled(core.store.read, before, after),
    (id) => drop(core, id, 'scheduled', (job) => job.status === 'scheduled' && (job.scheduledAt ?? before) < before),
  )
}

/** Jobs whose runner should have ended them a quarter of an hour ago, whatever it still says. */
export async function dropTimedOutJobs(core: Core): Promise<number> {
  const before = core.clock.now() - core.settings.stuck.overTimeoutMs
  let dropped = 0
  for (const status of ['running', 'canceling'] as const) {
    dropped += await eachBatch(
      (after) => listOverTimeout(core.store.read, status, before, after),
      (id) => drop(core, id, `${status}_over_timeout`, (job) => job.status === status),
    )
  }
  return dropped
}

const isQueued = (job: Job) => job.status === 'pending' && job.inQueue === 1

async function eachBatch(
  list: (after: SweptJob) => Promise<SweptJob[]>,
  one: (id: number) => Promise<boolean>,
): Promise<number> {
  let dropped = 0
  let after = sweepStart
  for (;;) {
    const jobs = await list(after)
    for (const { id } of jobs) if (await one(id)) dropped++
    if (jobs.length < sweepBatch) return dropped
    after = jobs.at(-1)!
  }
}

/** One whose drop throws is doomed, so that it does not hold up the others for ever. */
async function drop(
  core: Core,
  id: number,
  stuck: StuckCase,
  isStuck: (job: Job, now: number) => boolean,
): Promise<boolean> {
  try {
    return await core.store.write(async (tx) => {
      const job = await lockJob(tx, id)
      if (!job || !isStuck(job, tx.now)) return false
      const reason = stuckReasons[core.settings.stuck.profile][stuck]
      return dropLocked(core, tx, job, { reason, class: classes[stuck], message: sentences[stuck] })
    })
  } catch (error) {
    core.log.error({ err: error, job: id }, 'a stuck job could not be dropped')
    return doomJob(core, id)
  }
}

const classes: Record<StuckCase, string> = {
  pending: 'capacity',
  unmatched: 'capacity',
  running: 'runner_lost',
  canceling: 'canceled',
  scheduled: 'capacity',
  running_over_timeout: 'timeout_job',
  canceling_over_timeout: 'canceled',
}

const sentences: Record<StuckCase, string> = {
  pending: 'The job waited too long for a runner.',
  unmatched: 'The job waited for a runner, and none that is online could take it.',
  running: 'Nothing was heard of the running job for too long.',
  canceling: 'Nothing was heard of the job while it was being canceled.',
  scheduled: 'The time for which the job was delayed passed long ago.',
  running_over_timeout: 'The job ran past its timeout, and its runner did not end it.',
  canceling_over_timeout: 'The job ran past its timeout while it was being canceled.',
}

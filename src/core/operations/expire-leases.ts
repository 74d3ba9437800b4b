/**
 * The sweep over leases, each second: offers that nobody answered are void, leases whose holder was silent for its whole
 * term end their jobs (those of requests made by hand end with the sweeps over stuck jobs), reports that have waited a minute for their log are applied without it, and cancels that no runner
 * has acknowledged end without it. Expiry counts when it is committed here: a renewal that comes before revives the lease.
 */
import type { Core } from '../core.js'
import { isStream, type Lease } from '../lease.js'
import { demandOf } from '../scheduler/demand.js'
import { cancelLocked } from '../steps/cancel-locked.js'
import { dropLocked } from '../steps/drop-locked.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { findJob, getDefinition, lockJob } from '../store/jobs.js'
import { listUnackedCancels } from '../store/lease-cancels.js'
import { listOverdueLeases } from '../store/lease-terms.js'
import { findLease, listWaitingReports } from '../store/leases.js'
import { getPipeline } from '../store/pipelines.js'
import { projectFacts } from '../store/projects.js'
import { anyFits, listOnlineRunners, type OnlineRunner } from './find-fitting-runners.js'
import { finishReported } from './finish-job.js'
import { voidLease } from './void-offer.js'

/** How many leases a run has dealt with, by what it did: the result that tasks show. */
export interface ExpireResult {
  void: number
  lost: number
  reported: number
  unconfirmed: number
}

const batch = 500

/** Sweeps once. Returns how many offers were voided, jobs ended for a lost runner, and reports applied. */
export async function expireLeases(core: Core): Promise<ExpireResult> {
  const result: ExpireResult = { void: 0, lost: 0, reported: 0, unconfirmed: 0 }
  const { store, settings } = core
  await core.absence.madeGood()
  // One moment for all: if the process is stopped from here on, what follows judges by the time before.
  const now = core.clock.now()
  for (const lease of await listWaitingReports(store.read, now - settings.leases.reportWaitsMs)) {
    await finishReported(core, lease, { force: true })
    result.reported++
  }
  const { stream, cancelGraceMs } = settings.leases
  for (const lease of await listUnackedCancels(store.read, now - stream.heldForMs - cancelGraceMs)) {
    if (await cancelUnconfirmed(core, lease)) result.unconfirmed++
  }
  const overdue = await listOverdueLeases(store.read, core.node, now, batch)
  const others = otherRunners(core)
  const ended = await Promise.all(
    overdue.map(async (lease) =>
      expireLease(core, lease, now, lease.status === 'offered' && !(await others.couldTake(lease))),
    ),
  )
  for (const kind of ended) if (kind) result[kind]++
  return result
}

/** The runner renews, but has not answered the cancel: the job ends all the same, and its lease with it. */
function cancelUnconfirmed(core: Core, unanswered: Lease): Promise<boolean> {
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, unanswered.jobId)
    if (job?.status !== 'canceling' || job.fence !== unanswered.fence) return false
    await cancelLocked(core, tx, job)
    await processPipeline(core, tx, job.pipelineId)
    return true
  })
}

/** Who else is online, asked for once a sweep, and only if an offer is overdue. */
function otherRunners(core: Core): { couldTake(lease: Lease): Promise<boolean> } {
  const { read } = core.store
  let online: Promise<OnlineRunner[]> | undefined
  return {
    async couldTake({ jobId, projectId, managerId }) {
      const job = await findJob(read, jobId)
      const project = job && (await projectFacts(read, projectId))
      if (!job || !project) return false
      const pipeline = await getPipeline(read, job.pipelineId)
      const demand = demandOf(await getDefinition(read, job.definitionId), pipeline.protected === 1, core.settings)
      online ??= listOnlineRunners(core)
      const others = (await online).filter(({ manager }) => manager.managerId !== managerId)
      return anyFits(others, project, demand)
    },
  }
}

/**
 * Each in a body of its own, so that one that fails does not hold up the others; they share a commit all the same.
 * `onlyOne`: nobody else could take the job that was offered.
 */
function expireLease(core: Core, overdue: Lease, now: number, onlyOne: boolean): Promise<'void' | 'lost' | undefined> {
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, overdue.jobId)
    const lease = job && (await findLease(tx, overdue.jobId, overdue.fence))
    if (!job || !lease) return undefined
    if (lease.status === 'offered' && lease.acceptBy! <= now) {
      // A stream that has gone since has not heard of it, or its answer was lost.
      const cut = isStream(lease.door) && lease.node === core.node && !core.leaseSignals.of(lease.managerId)
      await voidLease(core, tx, lease, job, cut ? 'undeliverable' : 'not_accepted', { onlyOne })
      return 'void'
    }
    if (lease.status === 'held' && lease.expiresAt! <= now) {
      const message = 'The runner was not heard from for the whole term of its lease.'
      const failure = { reason: 'runner_system_failure', class: 'runner_lost', message } as const
      await dropLocked(core, tx, job, failure, { lease: 'expire' })
      return 'lost'
    }
    return undefined
  })
}

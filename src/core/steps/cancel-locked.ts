/** Step: cancels jobs whose pipeline is locked. */
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import { is } from '../lifecycle/job-machine.js'
import { tellOfLease } from '../node-signals.js'
import { findDownstream } from '../store/downstream.js'
import { findJob, listCurrentJobs } from '../store/jobs.js'
import { saveCancel } from '../store/lease-cancels.js'
import { findOpenLease } from '../store/leases.js'
import { findManagerById } from '../store/runners.js'
import type { Tx } from '../store/write.js'
import { applyJobEvent } from './apply-job-event.js'
import { endOpenLease } from './end-lease.js'

/** Cancels one job. Returns false if its status does not allow it. */
export async function cancelLocked(core: Core, tx: Tx, job: Job, by?: number | null): Promise<boolean> {
  if (job.kind === 'bridge' && job.status === 'running') return cancelFollowing(core, tx, job, by)
  const event = job.status === 'canceling' ? 'force_cancel' : 'cancel'
  const graceful = job.status === 'running' && (await cancelsGracefully(tx, job))
  if (!(await applyJobEvent(core, tx, job, event, { by, facts: { cancel_gracefully: graceful } }))) return false
  if (job.status !== 'canceling') {
    await endOpenLease(core, tx, job, { event: 'release', reason: 'canceled' })
    return true
  }
  const lease = await findOpenLease(tx, job.id)
  if (lease) {
    const revision = lease.cancelRevision + 1
    await saveCancel(tx, lease.id, revision, 'graceful')
    const wanted = { ...lease, cancelRevision: revision, cancelMode: 'graceful' as const }
    tx.afterCommit(() => core.leaseSignals.of(lease.managerId)?.cancelWanted(wanted))
    await tellOfLease(core, tx, lease)
  }
  return true
}

/** A trigger job that follows a child pipeline ends with it; one that follows another project's is canceled alone. */
async function cancelFollowing(core: Core, tx: Tx, job: Job, by?: number | null): Promise<boolean> {
  const downstream = await findDownstream(tx, job.id)
  if (downstream?.source !== 'parent_pipeline') return applyJobEvent(core, tx, job, 'cancel', { by })
  await applyJobEvent(core, tx, job, 'start_cancel', { by })
  const child = { pipelineId: downstream.id, jobId: job.id, ...(by === undefined ? {} : { userId: by }) }
  tx.afterCommit(() => core.followUps.soon('cancel_child', child))
  return true
}

async function cancelsGracefully(tx: Tx, job: Job): Promise<boolean> {
  const manager = job.managerId === null ? undefined : await findManagerById(tx, job.managerId)
  return manager !== undefined && (JSON.parse(manager.features) as string[]).includes('cancel_gracefully')
}

/** Cancels every job of the pipeline that can be. Returns their number. */
export async function cancelLivingJobs(core: Core, tx: Tx, pipelineId: number, by?: number | null): Promise<number> {
  let canceled = 0
  for (const { id, status } of await listCurrentJobs(tx, pipelineId)) {
    if (!is('cancelable', status)) continue
    const job = await findJob(tx, id)
    if (job && (await cancelLocked(core, tx, job, by))) canceled++
  }
  return canceled
}

/** A person cancels one job. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import { is } from '../lifecycle/job-machine.js'
import { findDownstream } from '../store/downstream.js'
import { lockJob } from '../store/jobs.js'
import { findOpenLease, saveCancel } from '../store/leases.js'
import { findManagerById } from '../store/runners.js'
import type { Tx } from '../store/write.js'
import { applyJobEvent } from './apply-job-event.js'
import { cancelChild } from './cancel-pipeline.js'
import { endOpenLease } from './end-lease.js'
import { followDownstream } from './follow-downstream.js'
import { processPipeline } from './process-pipeline.js'

/**
 * Cancels a job: what has not started is canceled at once; a running one is stopped gracefully (status `canceling`) if its
 * manager can, else at once. `force` ends a `canceling` job without waiting for its runner.
 * Throws `not_found`; `invalid` when the job's status does not allow it.
 */
export function cancelJob(core: Core, input: { jobId: number; force?: boolean; userId?: number | null }): Promise<Job> {
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, input.jobId)
    if (!job) throw new SignalboxError('not_found', `no job ${input.jobId}`)
    const possible = job.status === 'canceling' ? input.force === true : is('alive', job.status)
    if (!possible) throw new SignalboxError('invalid', `job ${job.id} is ${job.status} and cannot be canceled`)
    await cancelLocked(core, tx, job, input.userId)
    await processPipeline(core, tx, job.pipelineId)
    return job
  })
}

/** Step: cancels a job that is locked. Gives false if its status does not allow it. */
export async function cancelLocked(core: Core, tx: Tx, job: Job, by?: number | null): Promise<boolean> {
  if (job.kind === 'bridge' && job.status === 'running') return cancelFollowing(core, tx, job, by)
  const event = job.status === 'canceling' ? 'force_cancel' : 'cancel'
  const graceful = job.status === 'running' && (await cancelsGracefully(tx, job))
  if (!(await applyJobEvent(core, tx, job, event, { by, facts: { cancel_gracefully: graceful } }))) return false
  if (job.status !== 'canceling') {
    await endOpenLease(core, tx, job, 'released', 'canceled')
    return true
  }
  const lease = await findOpenLease(tx, job.id)
  if (lease) {
    const revision = lease.cancelRevision + 1
    await saveCancel(tx, lease.id, revision, 'graceful')
    const wanted = { ...lease, cancelRevision: revision, cancelMode: 'graceful' as const }
    tx.afterCommit(() => core.leaseSignals.of(lease.managerId)?.cancelWanted(wanted))
  }
  return true
}

/** A trigger job that follows a child pipeline ends with it; one that follows another project's is canceled alone. */
async function cancelFollowing(core: Core, tx: Tx, job: Job, by?: number | null): Promise<boolean> {
  const downstream = await findDownstream(tx, job.id)
  if (downstream?.source !== 'parent_pipeline') return applyJobEvent(core, tx, job, 'cancel', { by })
  await applyJobEvent(core, tx, job, 'start_cancel', { by })
  tx.afterCommit(() => {
    void cancelChild(core, { pipelineId: downstream.id, ...(by === undefined ? {} : { userId: by }) })
      .then(() => followDownstream(core, job.id))
      .catch((error) => core.log.error({ err: error, job: job.id }, 'a child pipeline could not be canceled'))
  })
  return true
}

async function cancelsGracefully(tx: Tx, job: Job): Promise<boolean> {
  const manager = job.managerId === null ? undefined : await findManagerById(tx, job.managerId)
  return manager !== undefined && (JSON.parse(manager.features) as string[]).includes('cancel_gracefully')
}

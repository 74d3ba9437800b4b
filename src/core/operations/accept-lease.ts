/** A runner takes the job that it was offered: the lease becomes held and, in the same transaction, the job running. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import type { Lease } from '../lease.js'
import { lockJob } from '../store/jobs.js'
import { findLease, holdLease } from '../store/leases.js'
import { ensureTrace } from '../store/traces.js'
import type { Tx } from '../store/write.js'
import { mustApplyJobEvent } from './apply-job-event.js'
import { processAfter } from './process-pipeline.js'

/**
 * Accepts an offer. Gives the lease as it is now; accepting twice gives the same.
 * Throws `fenced` when the offer is void or another manager's: nothing changes.
 */
export function acceptLease(core: Core, offer: { jobId: number; fence: number; managerId: number }): Promise<Lease> {
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, offer.jobId)
    const lease = job && (await findLease(tx, offer.jobId, offer.fence))
    if (!job || !lease || lease.managerId !== offer.managerId) throw fenced(job)
    if (lease.status === 'held') return lease
    if (lease.status !== 'offered') throw fenced(job)
    await acceptOffer(core, tx, lease, job)
    await processAfter(core, tx, job)
    return lease
  })
}

/** Step: offered → held, pending → running. The pipeline's status is the caller's to bring up to date. */
export async function acceptOffer(core: Core, tx: Tx, lease: Lease, job: Job): Promise<void> {
  Object.assign(lease, { status: 'held', acceptedAt: tx.now, expiresAt: tx.now + lease.termMs, acceptBy: null })
  await holdLease(tx, lease, lease.expiresAt!)
  await ensureTrace(tx, job.id, core.node)
  await mustApplyJobEvent(core, tx, job, 'run', {
    set: { runnerId: lease.runnerId, managerId: lease.managerId, voidOffers: 0 },
  })
}

/** The refusal of whoever does not hold the job's open lease; tells the status that the job has. */
export function fenced(job: Job | undefined): SignalboxError {
  return new SignalboxError('fenced', 'this lease is not open', { details: { jobStatus: job?.status ?? null } })
}

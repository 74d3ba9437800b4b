/** A runner on a polling door says that it is there: its first word accepts what it was offered, each moves the lease's end. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { acceptOffer, fenced } from '../steps/accept-offer.js'
import { processAfter } from '../steps/process-pipeline.js'
import { lockJob } from '../store/jobs.js'
import { moveAcceptBy } from '../store/lease-terms.js'
import { findLease, touchLeaseOf } from '../store/leases.js'
import { noteContact } from './note-contact.js'

/** The lease that a runner proves to be alive under. */
export interface TouchInput {
  jobId: number
  fence: number
  /** `pending`: the runner is still getting ready, and only the time for its acceptance moves. */
  phase: 'running' | 'pending'
}

/**
 * Returns the status that the job has now. Throws `fenced` when the lease is not open; `conflict` for `pending` under a
 * lease that is accepted already.
 */
export function touchLease(core: Core, input: TouchInput): Promise<{ jobStatus: string }> {
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, input.jobId)
    const lease = job && (await findLease(tx, input.jobId, input.fence))
    if (!job || !lease || (lease.status !== 'offered' && lease.status !== 'held')) throw fenced(job)
    if (input.phase === 'pending') {
      if (lease.status === 'held') throw new SignalboxError('conflict', `job ${job.id} is accepted already`)
      await moveAcceptBy(tx, lease.id, tx.now + core.settings.leases.pendingExtendsMs)
      await touchLeaseOf(tx, lease, null)
      return { jobStatus: job.status }
    }
    if (lease.status === 'offered') {
      await acceptOffer(core, tx, lease, job)
      await processAfter(core, tx, job)
    }
    await touchLeaseOf(tx, lease, tx.now + lease.termMs)
    await noteContact(tx, lease)
    return { jobStatus: job.status }
  })
}

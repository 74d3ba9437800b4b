/** A runner takes the job that it was offered: the lease becomes held and, in the same transaction, the job running. */
import type { Core } from '../core.js'
import type { Lease } from '../lease.js'
import { acceptOffer, fenced } from '../steps/accept-offer.js'
import { processAfter } from '../steps/process-pipeline.js'
import { lookAround } from '../store/jobs.js'
import { lockLease } from '../store/leases.js'
import { listStagesAround } from '../store/pipelines.js'

/**
 * Accepts an offer. Returns the lease as it is now; accepting twice gives the same.
 * Throws `fenced` when the offer is void or another manager's: nothing changes.
 */
export function acceptLease(core: Core, offer: { jobId: number; fence: number; managerId: number }): Promise<Lease> {
  return core.store.write(async (tx) => {
    const { jobId, fence } = offer
    const { job, lease } = await lockLease(tx, jobId, fence, [
      () => listStagesAround(tx, jobId),
      () => lookAround(tx, jobId),
    ])
    if (!job || !lease || lease.managerId !== offer.managerId) throw fenced(job)
    if (lease.status === 'held') return lease
    if (lease.status !== 'offered') throw fenced(job)
    await acceptOffer(core, tx, lease, job)
    await processAfter(core, tx, job)
    return lease
  })
}

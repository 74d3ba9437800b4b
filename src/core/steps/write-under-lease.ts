/** Step: a runner writes for its job. What it writes counts only while its lease is open, in the same transaction. */
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import { isStream } from '../lease.js'
import { lockJob } from '../store/jobs.js'
import { findLease, touchLeaseOf } from '../store/leases.js'
import type { Tx } from '../store/write.js'
import { acceptOffer, fenced } from './accept-offer.js'
import { processPipeline } from './process-pipeline.js'

/**
 * Returns the job, locked; the write counts as a contact, and of one who polls as the acceptance of an offer. Throws
 * `fenced` when the lease is not open.
 */
export async function writeUnderLease(
  core: Core,
  tx: Tx,
  { jobId, fence }: { jobId: number; fence: number },
): Promise<Job> {
  const job = await lockJob(tx, jobId)
  const lease = job && (await findLease(tx, jobId, fence))
  if (!job || !lease) throw fenced(job)
  if (lease.status === 'offered' && !isStream(lease.door)) {
    await acceptOffer(core, tx, lease, job)
    await processPipeline(core, tx, job.pipelineId)
  }
  if (lease.status !== 'held') throw fenced(job)
  await touchLeaseOf(tx, lease, isStream(lease.door) ? null : tx.now + lease.termMs)
  return job
}

/** Step: ends a job's open lease, if it has one, when the job itself has ended or is about to. */
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import type { Lease } from '../lease.js'
import { tellOfLease } from '../node-signals.js'
import { endLease, findOpenLease, type LeaseEnd } from '../store/leases.js'
import { uncountInstanceJob } from '../store/project-counts.js'
import type { Tx } from '../store/write.js'
import { record } from './record.js'

/** Ends the lease and tells its runner; does nothing if none is open. */
export async function endOpenLease(core: Core, tx: Tx, job: Job, end: LeaseEnd): Promise<void> {
  const lease = await findOpenLease(tx, job.id)
  if (!lease) return
  await closeLease(core, tx, lease, job, end)
  tx.afterCommit(() => core.leaseSignals.of(lease.managerId)?.leaseEnded(lease, end.reason))
  await tellOfLease(core, tx, lease, end.reason)
}

/** Step: the rows and the log of a lease that ends; whoever holds it knows already. */
export async function closeLease(core: Core, tx: Tx, lease: Lease, job: Job, end: LeaseEnd): Promise<void> {
  const status = await endLease(tx, lease, end)
  if (lease.instanceRunner === 1) uncountInstanceJob(tx, job.projectId)
  await record(core, tx, {
    kind: 'lease.ended',
    projectId: job.projectId,
    pipelineId: job.pipelineId,
    jobId: job.id,
    runnerId: lease.runnerId,
    data: { fence: lease.fence, status, reason: end.reason },
  })
  tx.afterCommit(() => closeTrace(core, lease))
}

/** Closes the log of a lease that has ended. Called after the commit that ended it. */
function closeTrace(core: Core, lease: { jobId: number; fence: number }): void {
  core.traces
    .closeSession(lease.jobId, lease.fence)
    .catch((error) => core.log.error({ err: error, job: lease.jobId }, 'closing a log failed'))
}

/** Step: an offer is accepted: the lease is held and, in the same transaction, the job running; and the refusal of others. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import type { Lease } from '../lease.js'
import { holdLease } from '../store/leases.js'
import { ensureTrace } from '../store/traces.js'
import type { Tx } from '../store/write.js'
import { changeStatus, statusAfter } from './change-status.js'

/** Changes `lease` and `job` in place. The pipeline's status is the caller's to bring up to date. */
export async function acceptOffer(core: Core, tx: Tx, lease: Lease, job: Job): Promise<void> {
  Object.assign(lease, await holdLease(tx, lease))
  await ensureTrace(tx, job.id, core.node)
  const to = statusAfter(job, 'run')
  if (to === undefined) throw new SignalboxError('conflict', `job ${job.id} is ${job.status}: it cannot be run`)
  const set = { runnerId: lease.runnerId, managerId: lease.managerId, voidOffers: 0 }
  await changeStatus(core, tx, job, { event: 'run', to, set })
}

/** The refusal of whoever does not hold the job's open lease; tells the status that the job has. */
export function fenced(job: Job | undefined): SignalboxError {
  return new SignalboxError('fenced', 'this lease is not open', { details: { jobStatus: job?.status ?? null } })
}

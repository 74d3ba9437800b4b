/** A runner is known not to have a job that it was given: the process that held it is gone, or has forgotten it. */
import type { Core } from '../core.js'
import { dropLocked } from '../steps/drop-locked.js'
import { lockJob } from '../store/jobs.js'
import { findLease } from '../store/leases.js'
import { voidLease } from './void-offer.js'

/** A held lease ends its job (class `runner_lost`), an offer is void. Returns false if the lease was not open. */
export function loseLease(core: Core, lost: { jobId: number; fence: number }, message: string): Promise<boolean> {
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, lost.jobId)
    const lease = job && (await findLease(tx, lost.jobId, lost.fence))
    if (!job || !lease) return false
    if (lease.status === 'offered') {
      await voidLease(core, tx, lease, job, 'undeliverable', { detail: message })
      return true
    }
    if (lease.status !== 'held') return false
    return dropLocked(core, tx, job, { reason: 'runner_system_failure', class: 'runner_lost', message })
  })
}

/** A runner asks for work: the best job that it may take becomes a lease, in one durable commit. */
import type { Core } from '../core.js'
import { isStream } from '../lease.js'
import type { Offer } from '../payload/offer.js'
import type { Claimant, Waiter } from '../scheduler/dispatcher.js'
import { claimLocked, isAtLimit, unlessUnreadable } from '../steps/claim-job.js'
import { repeatOffer } from '../steps/offer-job.js'
import { lockJob } from '../store/jobs.js'
import { findRepeatedRequest } from '../store/leases.js'
import { findCandidate } from '../store/queue.js'
import { countCandidates } from '../store/queue-size.js'
import { holdManager } from '../store/runners.js'
import type { Tx } from '../store/write.js'
import { admitToWaiter, leaseAdmitted } from './admit-job.js'

/** The outcome of asking for work. `conflict`: the last candidate was lost to another claim. */
export type LeaseOutcome = { offer: Offer } | { offer?: undefined; conflict: boolean }

/**
 * Leases the best job for the claimant. A request repeated under the same id gets the same lease and payload again while
 * nothing has been written under it.
 */
export async function leaseJob(core: Core, claimant: Claimant): Promise<LeaseOutcome> {
  const { rules } = core.asides
  if (!rules) {
    return core.store.write(async (tx) => (await repeated(core, tx, claimant)) ?? (await claimBest(core, tx, claimant)))
  }
  const before = await core.store.write((tx) => repeated(core, tx, claimant))
  return before ?? leaseAdmitted(core, rules, claimant)
}

/** Leases a job for a waiter and hands it over. Returns whether it got one. */
export async function leaseToWaiter(core: Core, waiter: Waiter): Promise<boolean> {
  const { rules } = core.asides
  if (rules) return admitToWaiter(core, rules, waiter)
  const outcome = await core.store.write<LeaseOutcome>(async (tx) => {
    if (waiter.free() <= 0 || !core.dispatcher.has(waiter)) return { conflict: false }
    core.dispatcher.reserve(tx, waiter)
    const claimed = await claimBest(core, tx, waiter)
    const { offer } = claimed
    if (offer) tx.afterCommit(() => core.dispatcher.deliver(waiter, offer))
    else tx.afterCommit(() => waiter.unreserve())
    return claimed
  })
  // What was given back may be wanted by a job that came meanwhile.
  if (!outcome.offer) core.dispatcher.seek(waiter)
  return outcome.offer !== undefined
}

async function repeated(core: Core, tx: Tx, claimant: Claimant): Promise<LeaseOutcome | undefined> {
  if (claimant.requestId === null) return undefined
  // The first may be under way: each of the two would find none of the other's.
  await holdManager(tx, claimant.managerId)
  const lease = await findRepeatedRequest(tx, claimant.managerId, claimant.requestId)
  if (!lease) return undefined
  const job = await lockJob(tx, lease.jobId)
  const offer = job && (await unlessUnreadable(core, tx, job, () => repeatOffer(core, tx, lease, job, claimant)))
  return offer && { offer }
}

/** Candidates lost in a row to other claims before the runner is asked to come again. */
const attempts = 10

async function claimBest(core: Core, tx: Tx, claimant: Claimant): Promise<LeaseOutcome> {
  if (await isAtLimit(tx, claimant)) return { conflict: false }
  const seeker = core.dispatcher.seekerOf(claimant)
  let conflict = false
  for (let attempt = 0; attempt < attempts; attempt++) {
    const head = await findCandidate(tx, seeker, tx.now)
    if (!head) return { conflict }
    const job = await lockJob(tx, head.jobId)
    if (job?.inQueue !== 1) {
      conflict = true
      continue
    }
    // Who takes its jobs by a stream makes no metrics of it, and need not wait for the count.
    const size = isStream(claimant.door) ? 1 : await countCandidates(tx, seeker)
    const queue = { size, depth: attempt + 1 }
    const offer = await claimLocked(core, tx, job, claimant, queue)
    if (offer) return { offer }
  }
  return { conflict }
}

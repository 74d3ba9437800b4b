/** A poll for work. Thousands of idle runners ask all the time, so one that will find nothing costs no transaction. */
import type { Core } from '../core.js'
import type { Claimant } from '../scheduler/dispatcher.js'
import { findRepeatedRequest } from '../store/leases.js'
import { findCandidate } from '../store/queue.js'
import { type LeaseOutcome, leaseJob } from './lease-job.js'

/**
 * The same as `leaseJob`, after a look at committed rows. A job that is being queued at this moment may be missed, as if
 * the poll had come a moment earlier: its commit wakes whoever waits.
 */
export async function requestJob(core: Core, claimant: Claimant): Promise<LeaseOutcome> {
  const { read } = core.store
  const seeker = core.dispatcher.seekerOf(claimant)
  const hopeful =
    (await findCandidate(read, seeker, core.clock.now())) ??
    (claimant.requestId === null ? undefined : await findRepeatedRequest(read, claimant.managerId, claimant.requestId))
  const outcome: LeaseOutcome = hopeful === undefined ? { conflict: false } : await leaseJob(core, claimant)
  core.counts.polled(outcome.offer !== undefined)
  if (!outcome.offer && outcome.conflict) core.counts.queue('queue_conflict')
  return outcome
}

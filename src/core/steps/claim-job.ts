/** Step: a job of the queue, which is locked, becomes a claimant's. */
import type { Core } from '../core.js'
import { unreadable } from '../failure.js'
import type { Job } from '../job.js'
import type { QueueFigures } from '../payload/hand-out.js'
import type { Offer } from '../payload/offer.js'
import type { Claimant } from '../scheduler/dispatcher.js'
import { lowerHead } from '../store/queue.js'
import { isFull } from '../store/runners.js'
import type { Tx } from '../store/write.js'
import { SealError } from '../tokens/keys.js'
import { dropLocked } from './drop-locked.js'
import { offerJob } from './offer-job.js'
import { processAfter } from './process-pipeline.js'

/** Step: the job of the queue, which is locked, becomes the claimant's; undefined if it cannot have it. */
export async function claimJob(core: Core, tx: Tx, job: Job, claimant: Claimant): Promise<Offer | undefined> {
  return (await isAtLimit(tx, claimant)) ? undefined : claimLocked(core, tx, job, claimant, { size: 1, depth: 1 })
}

/** The same where the limit of its runner was looked at. `queue`: what the claim has looked at. */
export async function claimLocked(
  core: Core,
  tx: Tx,
  job: Job,
  claimant: Claimant,
  queue: QueueFigures,
): Promise<Offer | undefined> {
  const offer = await unlessUnreadable(core, tx, job, () => offerJob(core, tx, job, claimant, { queue }))
  if (!offer) return undefined
  await lowerHead(tx, { id: job.id, laneId: job.laneId! })
  if (offer.acceptWithinMs === null) await processAfter(core, tx, job)
  return offer
}

/** Whether its runner has as many jobs as it may have. */
export async function isAtLimit(tx: Tx, { runner }: Claimant): Promise<boolean> {
  return runner.jobLimit !== null && (await isFull(tx, runner.id, runner.jobLimit))
}

/** Step: the offer of the job; undefined if its payload cannot be opened: that ends the job, and nobody else's. */
export async function unlessUnreadable(
  core: Core,
  tx: Tx,
  job: Job,
  offer: () => Promise<Offer>,
): Promise<Offer | undefined> {
  try {
    return await offer()
  } catch (error) {
    if (!(error instanceof SealError)) throw error
    await dropLocked(core, tx, job, unreadable)
    return undefined
  }
}

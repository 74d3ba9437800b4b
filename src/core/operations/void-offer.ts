/**
 * An offer that came to nothing. The job stays pending and keeps its place, and is offered again.
 *
 * | why           | the manager is passed over for a while | counts towards the limit that drops the job |
 * | ------------- | -------------------------------------- | ------------------------------------------- |
 * | refused       | yes                                    | yes                                         |
 * | full          | for a second                           | no: its places were taken meanwhile         |
 * | not accepted  | if somebody else could take the job    | yes                                         |
 * | undeliverable | no: the way there failed, not it       | no                                          |
 */
import type { Core } from '../core.js'
import { unreadable } from '../failure.js'
import type { Job } from '../job.js'
import type { Lease } from '../lease.js'
import { demandOf } from '../scheduler/demand.js'
import { applyJobEvent } from '../steps/apply-job-event.js'
import { dropLocked } from '../steps/drop-locked.js'
import { placeInLane } from '../steps/enqueue-job.js'
import { gatherPayload, keepPayload } from '../steps/gather-payload.js'
import { offerJob } from '../steps/offer-job.js'
import { contextOf } from '../steps/pipeline-context.js'
import { processAfter, processPipeline } from '../steps/process-pipeline.js'
import { record } from '../steps/record.js'
import { getDefinition, lockJob } from '../store/jobs.js'
import { excludedManagers } from '../store/lease-refusals.js'
import { endLease, findLease } from '../store/leases.js'
import { uncountInstanceJob } from '../store/project-counts.js'
import { demandId } from '../store/queue.js'
import type { Tx } from '../store/write.js'
import { SealError } from '../tokens/keys.js'

/**
 * Why an offer came to nothing: the runner said no, or that it has no place any more, nobody answered in time, or it could not
 * be handed over.
 */
export type VoidReason = 'refused' | 'full' | 'not_accepted' | 'undeliverable'

/** A runner that had no place says so itself when it has one again; until then it is not asked on and on. */
const fullForMs = 1_000

/**
 * Voids the offer. Returns false if it was not open any more, or if what is said to be undeliverable has arrived: something
 * was written under it. `managerId`: only if it was made to this manager.
 */
export function voidOffer(
  core: Core,
  offer: { jobId: number; fence: number; managerId?: number },
  reason: VoidReason,
  detail?: string,
): Promise<boolean> {
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, offer.jobId)
    const lease = job && (await findLease(tx, offer.jobId, offer.fence))
    if (!job || lease?.status !== 'offered') return false
    if (offer.managerId !== undefined && lease.managerId !== offer.managerId) return false
    if (reason === 'undeliverable' && lease.written === 1) return false
    await voidLease(core, tx, lease, job, reason, { detail })
    return true
  })
}

/** Step: the same for a lease that is known to be offered. `onlyOne`: nobody else who is online could take the job. */
export async function voidLease(
  core: Core,
  tx: Tx,
  lease: Lease,
  job: Job,
  reason: VoidReason,
  { detail, onlyOne = false }: { detail?: string | undefined; onlyOne?: boolean } = {},
): Promise<void> {
  const { excludedForMs, voidOfferLimit } = core.settings.leases
  const counts = reason === 'refused' || reason === 'not_accepted'
  const passedOver = reason === 'refused' || reason === 'full' || (reason === 'not_accepted' && !onlyOne)
  await endLease(tx, lease, {
    event: reason === 'not_accepted' ? 'expire' : 'refuse',
    reason: detail ?? reason,
    ...(passedOver ? { excludedUntil: tx.now + (reason === 'full' ? fullForMs : excludedForMs) } : {}),
  })
  if (lease.instanceRunner === 1) uncountInstanceJob(tx, job.projectId)
  if (counts) job.voidOffers += 1
  await record(core, tx, {
    kind: 'job.offer_void',
    projectId: job.projectId,
    pipelineId: job.pipelineId,
    jobId: job.id,
    runnerId: lease.runnerId,
    data: { fence: lease.fence, reason, ...(detail === undefined ? {} : { detail }), times: job.voidOffers },
  })
  if (reason !== 'refused' && reason !== 'full') {
    tx.afterCommit(() => core.leaseSignals.of(lease.managerId)?.leaseEnded(lease, 'expired'))
  }
  if (counts && job.voidOffers >= voidOfferLimit) {
    await applyJobEvent(core, tx, job, 'drop', {
      failure: { reason: 'runner_provisioning_timeout', class: 'capacity' },
    })
    await processPipeline(core, tx, job.pipelineId)
    return
  }
  await offerAgain(core, tx, job)
}

/**
 * Offers the job to another runner that waits, or puts it back at its old place. Drops it if its payload was not kept, and
 * cannot be gathered any more.
 */
async function offerAgain(core: Core, tx: Tx, job: Job): Promise<void> {
  const context = await contextOf(tx, job.pipelineId)
  const plan = await getDefinition(tx, job.definitionId)
  const facts = job.payloadKept === 1 ? undefined : await gatherPayload(core, tx, job, plan)
  if (facts && 'reason' in facts) {
    await dropLocked(core, tx, job, facts)
    return
  }
  const demand = demandOf(plan, context.pipeline.protected === 1, core.settings)
  const key = await demandId(tx, core.demands, demand)
  const excluded = await excludedManagers(tx, job.id, tx.now)
  const waiter = core.dispatcher.take(tx, { project: context.facts, demandId: key, demand }, excluded)
  if (!waiter) {
    if (facts) await keepPayload(core, tx, job, facts)
    await placeInLane(core, tx, job, key, context)
    return
  }
  const offer = await offerJob(core, tx, job, waiter, facts ? { facts } : {}).catch((error: unknown) => {
    if (error instanceof SealError) return undefined
    throw error
  })
  if (!offer) {
    await dropLocked(core, tx, job, unreadable)
    tx.afterCommit(() => {
      waiter.unreserve()
      core.dispatcher.seek(waiter)
    })
    return
  }
  // A door without a second phase has accepted it, so the job runs.
  if (offer.acceptWithinMs === null) await processAfter(core, tx, job)
  tx.afterCommit(() => core.dispatcher.deliver(waiter, offer))
}

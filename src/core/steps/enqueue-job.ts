/**
 * Step: a job that has become pending gets its payload and its place. If a fitting runner waits, the job is offered to it
 * in this very transaction and never enters the queue; otherwise it joins its lane, and a runner is woken after the commit.
 */
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import { tellNodes } from '../node-signals.js'
import { demandOf } from '../scheduler/demand.js'
import { getDefinition, saveJob } from '../store/jobs.js'
import { demandId, enterLane } from '../store/queue.js'
import type { Tx } from '../store/write.js'
import type { JobEventOptions } from './apply-job-event.js'
import type { Failure } from './change-status.js'
import { gatherPayload, keepPayload } from './gather-payload.js'
import { offerJob } from './offer-job.js'
import { contextOf, type PipelineContext } from './pipeline-context.js'

/**
 * Writes the job's row too: `job.status` is `pending` already. `known`: what the job does, if it has been read. Returns a
 * failure, and writes nothing, if the job needs what is not there.
 */
export async function enqueueJob(
  core: Core,
  tx: Tx,
  job: Job,
  known: Pick<JobEventOptions, 'plan' | 'givers'> = {},
): Promise<Failure | undefined> {
  const context = await contextOf(tx, job.pipelineId)
  const plan = known.plan ?? (await getDefinition(tx, job.definitionId))
  const facts = await gatherPayload(core, tx, job, plan, known.givers)
  if ('reason' in facts) return facts
  const demand = demandOf(plan, context.pipeline.protected === 1, core.settings)
  const demandKey = await demandId(tx, core.demands, demand)
  const waiter = core.dispatcher.take(tx, { project: context.facts, demandId: demandKey, demand })
  if (waiter) {
    const timeouts = { job: plan.timeoutSeconds ?? null, project: context.project.timeoutS }
    const offer = await offerJob(core, tx, job, waiter, { facts, timeouts })
    tx.afterCommit(() => core.dispatcher.deliver(waiter, offer))
    return undefined
  }
  await keepPayload(core, tx, job, facts)
  await placeInLane(core, tx, job, demandKey, context)
  return undefined
}

/** Puts a pending job, whose payload is kept, at its place in its lane. */
export async function placeInLane(
  core: Core,
  tx: Tx,
  job: Job,
  demandKey: number,
  context: Pick<PipelineContext, 'facts'>,
): Promise<void> {
  job.laneId = await enterLane(tx, job, demandKey)
  job.inQueue = 1
  await saveJob(tx, job)
  tx.afterCommit(() => core.dispatcher.jobQueued(context.facts, demandKey))
  await tellNodes(core, tx, { kind: 'queued', projectId: job.projectId, demandId: demandKey })
}

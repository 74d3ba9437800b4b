/** A person, or a failed job, cancels what is left of a pipeline. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { is } from '../lifecycle/job-machine.js'
import type { Pipeline } from '../pipeline.js'
import { listChildren } from '../store/downstream.js'
import { findJob, listCurrentJobs } from '../store/jobs.js'
import { findPipeline, getPipeline, lockPipeline } from '../store/pipelines.js'
import type { Tx } from '../store/write.js'
import { cancelLocked } from './cancel-job.js'
import { processPipeline } from './process-pipeline.js'

/** Cancels every cancelable job, and those of child pipelines. Throws `not_found`; `invalid` when there is nothing to cancel. */
export function cancelPipeline(core: Core, input: { pipelineId: number; userId?: number | null }): Promise<Pipeline> {
  return core.store.write(async (tx) => {
    if (!(await findPipeline(tx, input.pipelineId))) {
      throw new SignalboxError('not_found', `no pipeline ${input.pipelineId}`)
    }
    if ((await cancelPipelineIn(core, tx, input)) === 0) {
      throw new SignalboxError('invalid', `pipeline ${input.pipelineId} has no job that can be canceled`)
    }
    return getPipeline(tx, input.pipelineId)
  })
}

/** Step: the same for a pipeline that may have nothing left to cancel. Gives how many of its own jobs were canceled. */
export async function cancelPipelineIn(
  core: Core,
  tx: Tx,
  input: { pipelineId: number; userId?: number | null },
): Promise<number> {
  await lockPipeline(tx, input.pipelineId)
  const children = await listChildren(tx, input.pipelineId)
  tx.afterCommit(() => {
    for (const pipelineId of children) cancelSoon(core, { ...input, pipelineId })
  })
  const canceled = await cancelLivingJobs(core, tx, input.pipelineId, input.userId)
  if (canceled > 0) await processPipeline(core, tx, input.pipelineId)
  return canceled
}

/** Cancels a pipeline that another one has made; one that has nothing left to cancel is as good. */
export async function cancelChild(core: Core, input: { pipelineId: number; userId?: number | null }): Promise<void> {
  try {
    await cancelPipeline(core, input)
  } catch (error) {
    if (!(error instanceof SignalboxError) || error.code !== 'invalid') throw error
  }
}

function cancelSoon(core: Core, input: { pipelineId: number; userId?: number | null }): void {
  void cancelChild(core, input).catch((error) =>
    core.log.error({ err: error, pipeline: input.pipelineId }, 'a child pipeline could not be canceled'),
  )
}

/** Step: cancels the jobs of a locked pipeline that can be. Gives their number. */
export async function cancelLivingJobs(core: Core, tx: Tx, pipelineId: number, by?: number | null): Promise<number> {
  let canceled = 0
  for (const { id, status } of await listCurrentJobs(tx, pipelineId)) {
    if (!is('cancelable', status)) continue
    const job = await findJob(tx, id)
    if (job && (await cancelLocked(core, tx, job, by))) canceled++
  }
  return canceled
}

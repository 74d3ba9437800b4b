/** Step: cancels what is left of a pipeline; its child pipelines are canceled after the commit. */
import type { Core } from '../core.js'
import { listChildren } from '../store/downstream.js'
import { lockPipeline } from '../store/pipelines.js'
import type { Tx } from '../store/write.js'
import { cancelLivingJobs } from './cancel-locked.js'
import { processPipeline } from './process-pipeline.js'

/** The pipeline may have nothing left to cancel. Returns how many of its own jobs were canceled. */
export async function cancelPipelineIn(
  core: Core,
  tx: Tx,
  input: { pipelineId: number; userId?: number | null },
): Promise<number> {
  await lockPipeline(tx, input.pipelineId)
  const children = await listChildren(tx, input.pipelineId)
  tx.afterCommit(() => {
    for (const pipelineId of children) core.followUps.soon('cancel_child', { ...input, pipelineId })
  })
  const canceled = await cancelLivingJobs(core, tx, input.pipelineId, input.userId)
  if (canceled > 0) await processPipeline(core, tx, input.pipelineId)
  return canceled
}

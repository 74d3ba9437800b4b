/** A person, or a failed job, cancels what is left of a pipeline. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Pipeline } from '../pipeline.js'
import { cancelPipelineIn } from '../steps/cancel-pipeline-in.js'
import { findPipeline, getPipeline } from '../store/pipelines.js'
import { writeForAll } from './one-at-a-time.js'

/** Cancels every cancelable job, and those of child pipelines. Throws `not_found`; `invalid` when there is nothing to cancel. */
export function cancelPipeline(core: Core, input: { pipelineId: number; userId?: number | null }): Promise<Pipeline> {
  return writeForAll(core, input.pipelineId, async (tx) => {
    if (!(await findPipeline(tx, input.pipelineId))) {
      throw new SignalboxError('not_found', `no pipeline ${input.pipelineId}`)
    }
    if ((await cancelPipelineIn(core, tx, input)) === 0) {
      throw new SignalboxError('invalid', `pipeline ${input.pipelineId} has no job that can be canceled`)
    }
    return getPipeline(tx, input.pipelineId)
  })
}

/** Cancels a pipeline that another one has made; one that has nothing left to cancel is as good. */
export async function cancelChild(core: Core, input: { pipelineId: number; userId?: number | null }): Promise<void> {
  try {
    await cancelPipeline(core, input)
  } catch (error) {
    if (!(error instanceof SignalboxError) || error.code !== 'invalid') throw error
  }
}

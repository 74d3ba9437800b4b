/** A user, or a job by its token, gives a pipeline another name. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Pipeline } from '../pipeline.js'
import { getPipeline, setPipelineName } from '../store/pipelines.js'

const longest = 255

/** Jobs that are queued from now on see it as `CI_PIPELINE_NAME`. Throws `not_found`; `invalid` with `details.field`. */
export function renamePipeline(core: Core, input: { pipelineId: number; name: string }): Promise<Pipeline> {
  const { pipelineId, name } = input
  if (name.length > longest) {
    const message = `is too long (maximum is ${longest} characters)`
    throw new SignalboxError('invalid', `name ${message}`, { details: { field: 'name', message } })
  }
  return core.store.write(async (tx) => {
    await setPipelineName(tx, pipelineId, name === '' ? null : name)
    return getPipeline(tx, pipelineId)
  })
}

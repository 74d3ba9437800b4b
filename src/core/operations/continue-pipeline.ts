/** The next pass over a pipeline of which more was to be queued than one transaction should. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { deleteUnfinishedPass, listUnfinishedPasses } from '../store/unfinished-passes.js'

/** What fails for the moment is left to the task `initial_pipeline_process`. */
export async function continuePipeline(core: Core, pipelineId: number): Promise<void> {
  try {
    await core.store.write(async (tx) => {
      if (await processPipeline(core, tx, pipelineId)) await deleteUnfinishedPass(tx, pipelineId)
    })
  } catch (error) {
    const { code } = SignalboxError.from(error)
    if (code === 'not_found')
      await core.store.write((tx) => deleteUnfinishedPass(tx, pipelineId)).catch(() => undefined)
    else if (code === 'unavailable') core.log.info({ pipeline: pipelineId }, 'a pipeline is processed further later')
    else core.log.error({ err: error, pipeline: pipelineId }, 'a pipeline could not be processed further')
  }
}

/** Goes on with what a stop, or a fault, has left. Returns the number of pipelines. */
export async function continuePipelines(core: Core): Promise<number> {
  const ids = await listUnfinishedPasses(core.store.read)
  for (const id of ids) core.pipelineTurns.add(id)
  return ids.length
}

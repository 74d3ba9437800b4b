/** The variables that a pipeline was started with. */
import type { PlanVariable } from '../ci-config/variables.js'
import type { Core } from '../core.js'
import { userVariables } from '../payload/predefined-variables.js'
import type { PipelineVariables } from '../pipeline.js'
import { findPipelineVariables, getPipeline } from '../store/pipelines.js'

/** Only those that came with the event, not what the server adds by itself. Throws `not_found`. */
export async function showPipelineVariables(core: Core, pipelineId: number): Promise<PlanVariable[]> {
  await getPipeline(core.store.read, pipelineId)
  const sealed = await findPipelineVariables(core.store.read, pipelineId)
  if (!sealed) return []
  const { strong }: PipelineVariables = JSON.parse(core.keys.open(sealed).toString('utf8'))
  return strong.filter((one, at) => at >= addedBefore.length || one.key !== addedBefore[at])
}

/** A pipeline's strong variables begin with its user's. */
const addedBefore = userVariables({ id: 0, username: '', name: '', email: '' }).map((one) => one.key)

/** What the steps of one transaction need of a pipeline besides its jobs, read once. */
import type { Core } from '../core.js'
import type { Pipeline, PipelineVariables } from '../pipeline.js'
import type { Project } from '../project.js'
import type { ProjectFacts } from '../scheduler/match.js'
import { findPipelineVariables, getPipeline } from '../store/pipelines.js'
import { getProject, projectFacts } from '../store/projects.js'
import type { Tx } from '../store/write.js'

/** A pipeline, its project, and what scheduling asks of that. */
export interface PipelineContext {
  pipeline: Pipeline
  project: Project
  facts: ProjectFacts
}

/** The context of a pipeline in this transaction. Throws `not_found`. */
export function contextOf(tx: Tx, pipelineId: number): Promise<PipelineContext> {
  return tx.once(`context of pipeline ${pipelineId}`, () => readContext(tx, pipelineId))
}

async function readContext(tx: Tx, pipelineId: number): Promise<PipelineContext> {
  const pipeline = await getPipeline(tx, pipelineId)
  const project = await getProject(tx, pipeline.projectId)
  const facts = await projectFacts(tx, project.id)
  return { pipeline, project, facts: facts! }
}

/**
 * The variables of a pipeline; the same object as long as it is kept: every job needs them, and they never change.
 * Throws `SealError`.
 */
export async function variablesOf(core: Core, tx: Tx, pipelineId: number): Promise<PipelineVariables> {
  const kept = core.memory.pipelineVariables.get(pipelineId)
  return kept ?? tx.once(keyOf(pipelineId), () => openVariables(core, tx, pipelineId))
}

/** The variables of a pipeline that this transaction has made. */
export async function noteVariables(
  core: Core,
  tx: Tx,
  pipelineId: number,
  variables: PipelineVariables,
): Promise<void> {
  await tx.once(keyOf(pipelineId), async () => keep(core, tx, pipelineId, variables))
}

const keyOf = (pipelineId: number) => `variables of pipeline ${pipelineId}`

async function openVariables(core: Core, tx: Tx, pipelineId: number): Promise<PipelineVariables> {
  const sealed = await findPipelineVariables(tx, pipelineId)
  const variables: PipelineVariables = sealed
    ? JSON.parse(core.keys.open(sealed).toString('utf8'))
    : { predefined: [], strong: [] }
  return keep(core, tx, pipelineId, variables)
}

function keep(core: Core, tx: Tx, pipelineId: number, variables: PipelineVariables): PipelineVariables {
  // The pipeline may have been made in this transaction: if it is rolled back, the next one gets its id.
  tx.afterCommit(() => core.memory.pipelineVariables.set(pipelineId, variables))
  return variables
}

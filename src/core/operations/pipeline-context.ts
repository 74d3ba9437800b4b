/** What the steps of one transaction need of a pipeline besides its jobs, read once. */
import type { PlanVariable } from '../ci-config/plan.js'
import type { Core } from '../core.js'
import type { Pipeline } from '../pipeline.js'
import type { Project } from '../project.js'
import type { ProjectFacts } from '../scheduler/match.js'
import { getPipeline } from '../store/pipelines.js'
import { getProject, projectFacts } from '../store/projects.js'
import type { Tx } from '../store/write.js'

export interface PipelineContext {
  pipeline: Pipeline
  project: Project
  facts: ProjectFacts
  variables: PipelineVariables
}

/** Variables fixed when the pipeline was made; sealed in its row. */
export interface PipelineVariables {
  /** Weaker than a job's YAML. */
  predefined: PlanVariable[]
  /** Stronger than a job's YAML. */
  strong: PlanVariable[]
}

const contexts = new WeakMap<Tx, Map<number, Promise<PipelineContext>>>()

/** The context of a pipeline in this transaction. Throws `not_found`. */
export function contextOf(core: Core, tx: Tx, pipelineId: number): Promise<PipelineContext> {
  let known = contexts.get(tx)
  if (!known) {
    known = new Map()
    contexts.set(tx, known)
  }
  let context = known.get(pipelineId)
  if (!context) {
    context = readContext(core, tx, pipelineId)
    known.set(pipelineId, context)
  }
  return context
}

async function readContext(core: Core, tx: Tx, pipelineId: number): Promise<PipelineContext> {
  const pipeline = await getPipeline(tx, pipelineId)
  const project = await getProject(tx, pipeline.projectId)
  const facts = await projectFacts(tx, project.id)
  return { pipeline, project, facts: facts!, variables: await variablesOf(core, tx, pipelineId) }
}

/** Opened once and kept: every job of the pipeline needs them, and they never change. */
const opened = new WeakMap<Core, Map<number, PipelineVariables>>()
const keptOpen = 1000

/** The variables of a pipeline; the same object as long as it is kept. */
export async function variablesOf(core: Core, tx: Tx, pipelineId: number): Promise<PipelineVariables> {
  let known = opened.get(core)
  if (!known) {
    known = new Map()
    opened.set(core, known)
  }
  const kept = known.get(pipelineId)
  if (kept) return kept
  const row = await tx.db.selectFrom('pipelines').select('variables').where('id', '=', pipelineId).executeTakeFirst()
  const variables: PipelineVariables = row?.variables
    ? JSON.parse(core.keys.open(row.variables).toString('utf8'))
    : { predefined: [], strong: [] }
  if (known.size >= keptOpen) known.delete(known.keys().next().value as number)
  known.set(pipelineId, variables)
  return variables
}

/**
 * What a job takes over from jobs of other pipelines: of its own family of parents and children (`needs:pipeline`), or of
 * other projects (`needs:project`). Nothing is waited for: what is not there when the job's turn comes fails it.
 * Rules: https://docs.gitlab.com/ci/yaml/#needsproject, https://docs.gitlab.com/ci/yaml/#needspipelinejob
 */

import { canIn } from '../authorize.js'
import { expandText } from '../ci-config/expand.js'
import type { JobPlan } from '../ci-config/job-definition.js'
import type { Core } from '../core.js'
import { isOfFork } from '../forge.js'
import type { Job } from '../job.js'
import type { Pipeline, PipelineVariables } from '../pipeline.js'
import type { Given } from '../store/artifacts.js'
import { listUpstreams } from '../store/downstream.js'
import { findForeignGiven } from '../store/foreign-artifacts.js'
import { findPipeline } from '../store/pipelines.js'
import { findProjectByPath } from '../store/projects.js'
import { findUser } from '../store/users.js'
import type { Reader, Tx } from '../store/write.js'
import type { Failure } from './change-status.js'
import { lookupFor, type VariableLookup } from './job-lookup.js'
import type { PipelineContext } from './pipeline-context.js'

/** An entry of `crossNeeds` that means a job, as the language has checked it. */
interface ForeignNeed {
  job: string
  artifacts?: boolean
  optional?: boolean
  pipeline?: string
  project?: string
  ref?: string
}

/** Why a job cannot have what it needs. */
export type Missing = Failure

/** Returns what there is, in the order of the needs, or the failure that the job ends with. */
export async function findForeignArtifacts(
  core: Core,
  tx: Tx,
  job: Job,
  plan: JobPlan,
  context: PipelineContext & { variables: PipelineVariables },
): Promise<Given[] | Missing> {
  const lookup = lookupFor(core, job, plan, context)
  const found: Given[] = []
  for (const need of needsOf(plan)) {
    if (need.artifacts === false) continue
    const given = await findGiven(tx, job, need, context.pipeline, lookup)
    if (typeof given !== 'string') found.push(given)
    else if (need.optional !== true) return { reason: 'missing_dependency_failure', class: 'config', message: given }
  }
  return found
}

/** Returns the needs of a job that name jobs of other pipelines. */
export function needsOf(plan: JobPlan): ForeignNeed[] {
  return (plan.crossNeeds ?? []).filter((need) => 'job' in need) as unknown as ForeignNeed[]
}

/** What a need means, or a sentence that says why it means nothing. */
async function findGiven(
  tx: Tx,
  job: Job,
  need: ForeignNeed,
  pipeline: Pipeline,
  lookup: VariableLookup,
): Promise<Given | string> {
  const name = expandText(need.job, lookup, 'blank')
  if (need.project !== undefined) {
    const path = expandText(need.project, lookup, 'blank')
    const project = await readable(tx, job, path)
    if (!project) return `There is no project ${path} to take artifacts from, or the job's user may not read it.`
    const ref = expandText(need.ref ?? '', lookup, 'blank')
    const given = await findForeignGiven(tx, { projectId: project.id, name, within: { ref } })
    return given ?? `No successful job ${name} of ${path} on ${ref} has artifacts.`
  }
  const written = expandText(need.pipeline ?? '', lookup, 'blank')
  const other = /^\d{1,15}$/.test(written) ? await findPipeline(tx, Number(written)) : undefined
  if (other?.id === pipeline.id) return 'needs:pipeline cannot be the pipeline of the job itself.'
  if (!other || (await rootOf(tx, other)) !== (await rootOf(tx, pipeline))) {
    return `${written === '' ? need.pipeline : written} is no pipeline of the family of parents and children of pipeline ${pipeline.id}.`
  }
  const given = await findForeignGiven(tx, { projectId: other.projectId, name, within: { pipelineId: other.id } })
  return given ?? `Pipeline ${other.id} has no successful job ${name} with artifacts.`
}

const deepestFamily = 10

/** The pipeline that all others of the family come from, within one project. */
async function rootOf(from: Reader | Tx, pipeline: Pipeline): Promise<number> {
  const chain = await listUpstreams(from, pipeline.id, deepestFamily)
  return (chain.find((one) => one.source !== 'parent_pipeline') ?? pipeline).id
}

/**
 * Returns the project by its path if the job's user may read it: one that is hidden looks like one that is not there.
 */
export async function readable(tx: Tx, job: Job, path: string) {
  const project = await findProjectByPath(tx, path)
  if (!project || project.id === job.projectId) return project
  const pipeline = await findPipeline(tx, job.pipelineId)
  // Whoever has retried a stranger's job does not lend it what they may see.
  const isStrangers = pipeline !== undefined && isOfFork(pipeline)
  const user = job.userId === null || isStrangers ? undefined : await findUser(tx, job.userId)
  return user && (await canIn(tx, { user, scopes: new Set<string>() }, 'read', project)) ? project : undefined
}

/**
 * The rows of a new pipeline: itself, its stages and jobs with what they need, and the fact that it was made. Its first jobs
 * are processed in the same transaction; those of a large pipeline in transactions of their own, once it is there.
 */
import type { JobPlan } from '../ci-config/job-definition.js'
import type { PipelinePlan } from '../ci-config/planning.js'
import type { PlanVariable } from '../ci-config/variables.js'
import type { Core } from '../core.js'
import { environmentSlug } from '../environment.js'
import type { Job } from '../job.js'
import type { Pipeline, PipelineSource } from '../pipeline.js'
import type { Project, ResolvedRef } from '../project.js'
import { isProtected } from '../protection.js'
import { findJob, insertDefinitions, insertJobs, insertNeeds, type Need } from '../store/jobs.js'
import { findPipeline, getPipeline, insertPipeline, insertStage, type NewPipeline } from '../store/pipelines.js'
import { holdCounts, takePipelineIid } from '../store/project-counts.js'
import { findProject, projectFacts } from '../store/projects.js'
import { ensureResourceGroup } from '../store/resource-groups.js'
import type { User } from '../store/users.js'
import type { Tx } from '../store/write.js'
import { pipelineSpan, spanData } from '../trace-context.js'
import { newJob } from './new-job.js'
import { noteVariables } from './pipeline-context.js'
import { type PlannedJob, processPipeline } from './process-pipeline.js'
import { record } from './record.js'
import { variablesFor } from './variables-for.js'

/** What the event that makes a pipeline says of the pipeline's own row. */
export interface PipelineOrigin {
  source: PipelineSource
  user: User | null
  /** The ref that the pipeline has in place of its branch: that of a merge request. */
  requestRef?: string
  /** The trigger job that asks. */
  sourceJobId?: number
  /** Done in the same transaction, once the pipeline's row is there. */
  alongside?: (tx: Tx, pipeline: Pipeline) => Promise<void>
}

/** A pipeline that is about to be made, before anything is known of its jobs. */
export interface PipelineDraft {
  origin: PipelineOrigin
  project: Project
  resolved: ResolvedRef
  /** Where the branch was before; zeros if it was nowhere. */
  beforeSha: string
  predefined: PlanVariable[]
  strong: PlanVariable[]
}

/** How a pipeline without jobs is over as it is made. */
export interface EndedAtOnce {
  status: 'failed' | 'skipped'
  yamlErrors?: string
}

/** Inserts the pipeline with the jobs of its plan, and returns it as it is once the first of them are queued. */
export async function insertPlan(core: Core, tx: Tx, draft: PipelineDraft, plan: PipelinePlan): Promise<Pipeline> {
  await askAhead(core, tx, draft, plan)
  const pipeline = await insertRow(core, tx, draft, plan)
  const stageIds = await insertStages(tx, pipeline.id, plan)
  // Ids rise stage by stage, as those who list jobs by id expect.
  const inOrder = [...plan.jobs].sort((a, b) => a.stageIndex - b.stageIndex)
  const made = await insertPlanned(tx, pipeline, inOrder, stageIds)
  await recordCreated(core, tx, pipeline, plan.jobs.length)
  tx.afterCommit(() => core.repositories.pin(draft.project, pipeline.id, pipeline.sha, true))
  if (!core.isPaused('initial_pipeline_process')) {
    if (made.length <= core.settings.jobsAtOnce) await processPipeline(core, tx, pipeline.id, made)
    else tx.afterCommit(() => core.pipelineTurns.add(pipeline.id))
  }
  return getPipeline(tx, pipeline.id)
}

/** Leases that are likely made on the spot. */
const mostLeases = 50

/** What this body is going to ask, in one exchange with a database that is away. */
async function askAhead(
  core: Core,
  tx: Tx,
  { project, resolved }: PipelineDraft,
  { jobs }: PipelinePlan,
): Promise<void> {
  const counts = {
    pipelines: 1,
    stages: new Set(jobs.map(({ stage }) => stage)).size,
    job_definitions: jobs.length,
    jobs: jobs.length,
    leases: Math.min(jobs.length, mostLeases),
  }
  const { id: projectId } = project
  const reach = { projectId, protected: isProtected(project, resolved), environment: null }
  await tx.together([
    () => holdCounts(tx, projectId),
    () => tx.prepareIds(counts),
    () => findProject(tx, projectId),
    () => projectFacts(tx, projectId),
    () => variablesFor(core, tx, reach),
  ])
}

/** Inserts a pipeline that has no jobs and is over, and returns it. */
export async function insertWithoutJobs(
  core: Core,
  tx: Tx,
  draft: PipelineDraft,
  ended: EndedAtOnce,
): Promise<Pipeline> {
  const plan = { autoCancel: { onNewCommit: 'conservative', onJobFailure: 'none' } } as const
  const pipeline = await insertRow(core, tx, draft, plan, ended)
  await recordCreated(core, tx, pipeline, 0)
  return pipeline
}

function recordCreated(core: Core, tx: Tx, pipeline: Pipeline, jobs: number): Promise<void> {
  const { id: pipelineId, projectId, iid, ref, source } = pipeline
  const data = { iid, ref, source, jobs, ...spanData(pipelineSpan(core.keys, pipeline)) }
  return record(core, tx, { kind: 'pipeline.created', projectId, pipelineId, data })
}

async function insertRow(
  core: Core,
  tx: Tx,
  { origin, project, resolved, beforeSha, predefined, strong }: PipelineDraft,
  plan: Pick<PipelinePlan, 'name' | 'autoCancel'>,
  ended?: EndedAtOnce,
): Promise<Pipeline> {
  const iid = await takePipelineIid(tx, project.id)
  const made: NewPipeline = {
    projectId: project.id,
    iid,
    ref: origin.requestRef ?? resolved.name,
    tag: resolved.tag ? 1 : 0,
    protected: isProtected(project, resolved) ? 1 : 0,
    sha: resolved.sha,
    beforeSha,
    source: origin.source,
    userId: origin.user?.id ?? null,
    name: plan.name ?? null,
    yamlErrors: ended?.yamlErrors ?? null,
    onNewCommit: plan.autoCancel.onNewCommit,
    onJobFailure: plan.autoCancel.onJobFailure,
    sourceJobId: origin.sourceJobId ?? null,
    rootId: await rootOf(tx, origin.sourceJobId),
    followed: 0,
    variables: core.keys.seal(Buffer.from(JSON.stringify({ predefined, strong }))),
  }
  const pipeline = await insertPipeline(tx, made, ended?.status)
  await noteVariables(core, tx, pipeline.id, { predefined, strong })
  await origin.alongside?.(tx, pipeline)
  return pipeline
}

/** The pipeline that the chain of trigger jobs began with; null if no job asks. */
async function rootOf(tx: Tx, sourceJobId: number | undefined): Promise<number | null> {
  const job = sourceJobId === undefined ? undefined : await findJob(tx, sourceJobId)
  const upstream = job && (await findPipeline(tx, job.pipelineId))
  return upstream ? (upstream.rootId ?? upstream.id) : null
}

async function insertStages(tx: Tx, pipelineId: number, plan: PipelinePlan): Promise<Map<string, number>> {
  const used = new Map(plan.jobs.map((job) => [job.stage, job.stageIndex]))
  const ids = new Map<string, number>()
  for (const [name, position] of [...used].sort((a, b) => a[1] - b[1])) {
    ids.set(name, await insertStage(tx, { pipelineId, name, position }))
  }
  return ids
}

/** Inserts the jobs of these plans, and what they need of each other. */
async function insertPlanned(
  tx: Tx,
  pipeline: Pipeline,
  plans: readonly JobPlan[],
  stageIds: ReadonlyMap<string, number>,
): Promise<PlannedJob[]> {
  const definitionIds = await insertDefinitions(tx, plans)
  const fields: Omit<Job, 'id'>[] = []
  for (const [i, plan] of plans.entries()) {
    const resourceKey = resourceKeyOf(plan)
    if (resourceKey !== null) await ensureResourceGroup(tx, pipeline.projectId, resourceKey)
    const stageId = stageIds.get(plan.stage)!
    fields.push(newJob(pipeline, plan, { stageId, definitionId: definitionIds[i]!, resourceKey, now: tx.now }))
  }
  const jobs = await insertJobs(tx, fields)
  for (const [i, { needs }] of plans.entries()) {
    if (needs) await insertNeeds(tx, jobs[i]!.id, needs.map(rowOf))
  }
  return plans.map((plan, i) => ({ plan, job: jobs[i]! }))
}

const rowOf = (need: NonNullable<JobPlan['needs']>[number]): Need => ({
  name: need.job,
  artifacts: need.artifacts ? 1 : 0,
  optional: need.optional ? 1 : 0,
})

function resourceKeyOf(plan: JobPlan): string | null {
  const slug = plan.environment === undefined ? '' : environmentSlug(plan.environment.name)
  return plan.resourceGroup?.replaceAll('$CI_ENVIRONMENT_SLUG', slug) || null
}

/**
 * A trigger job's turn has come: its pipeline is made, or it fails with the reason why not.
 * Rules: gitlab app/services/ci/create_downstream_pipeline_service.rb, lib/gitlab/ci/variables/downstream.
 */

import { actingAs, can } from '../authorize.js'
import type { IncludeAnswer } from '../ci-config/compilation.js'
import { expandText } from '../ci-config/expand.js'
import type { JobPlan } from '../ci-config/job-definition.js'
import { mergeVariables, type PlanVariable } from '../ci-config/variables.js'
import type { Core } from '../core.js'
import { isUncertain, SignalboxError } from '../errors.js'
import { type FailureReason, unreadable } from '../failure.js'
import { isOfFork } from '../forge.js'
import type { Job } from '../job.js'
import type { Pipeline, PipelineVariables } from '../pipeline.js'
import type { Project } from '../project.js'
import { applyJobEvent } from '../steps/apply-job-event.js'
import { dropLocked } from '../steps/drop-locked.js'
import { lookupFor, type VariableLookup } from '../steps/job-lookup.js'
import { variablesOf } from '../steps/pipeline-context.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { variablesFor } from '../steps/variables-for.js'
import { findArtifact, findJobWithArchive } from '../store/artifacts.js'
import { countTree, findDownstream, listUpstreams } from '../store/downstream.js'
import { findJob, getDefinition, lockJob } from '../store/jobs.js'
import { getPipeline } from '../store/pipelines.js'
import { findProjectByPath, getProject } from '../store/projects.js'
import { findUser, type User } from '../store/users.js'
import { SealError } from '../tokens/keys.js'
import { cancelChild } from './cancel-pipeline.js'
import { type CreatePipelineInput, createPipeline } from './create-pipeline.js'
import { mirrorUpstream } from './mirror-upstream.js'

/** `trigger` of a trigger job, as the language has checked it. */
interface Trigger {
  project?: string
  branch?: string
  include?: string | (string | Record<string, unknown>)[] | Record<string, unknown>
  strategy?: 'depend' | 'mirror'
  forward?: { yaml_variables?: boolean; pipeline_variables?: boolean }
  inputs?: Record<string, unknown>
}

/** Returns what a trigger job says of the pipeline that it starts; empty for other jobs. */
export const triggerOf = (plan: JobPlan): Trigger => (plan.trigger ?? {}) as Trigger

/** Why a trigger job fails, and in words. */
class Refusal extends Error {
  constructor(
    readonly reason: FailureReason,
    message: string,
  ) {
    super(message)
  }
}

/** What a child pipeline has of its parent: the request that this one is about. */
const isOfRequest = /^CI_(?:MERGE_REQUEST|EXTERNAL_PULL_REQUEST)_/

const deepestChild = 2
const longestChain = 100

/** Does nothing unless the job is a trigger job that is pending and has no pipeline yet. Safe to repeat. */
export async function triggerDownstream(core: Core, jobId: number): Promise<void> {
  const { read } = core.store
  const job = await findJob(read, jobId)
  if (job?.kind !== 'bridge' || job.status !== 'pending') return
  const plan = await getDefinition(read, job.definitionId)
  if (isOfFork(await getPipeline(read, job.pipelineId))) {
    const message = 'A pipeline of a fork’s request starts no other pipelines, and follows none.'
    return refuse(core, jobId, { reason: 'insufficient_bridge_permissions', message })
  }
  if (plan.trigger === undefined) return mirrorUpstream(core, job, plan)
  let downstream = await findDownstream(read, jobId)
  if (!downstream) {
    try {
      downstream = await createPipeline(core, await requestFor(core, job, plan))
    } catch (error) {
      // Whether it was made is not known: the sweep over trigger jobs finds out.
      if (isUncertain(error)) throw error
      // It may be there for all that: made by another who saw the job waiting, or before something else failed.
      downstream = await findDownstream(read, jobId)
      if (!downstream) return refuse(core, jobId, refusalOf(error))
    }
  }
  await settle(core, jobId, downstream!, triggerOf(plan))
}

function refuse(core: Core, jobId: number, { reason, message }: Pick<Refusal, 'reason' | 'message'>): Promise<void> {
  return core.store.write(async (tx) => {
    const locked = await lockJob(tx, jobId)
    if (locked?.status === 'pending') await dropLocked(core, tx, locked, { reason, class: 'config', message })
  })
}

/** The job succeeds as soon as the pipeline is there, unless it follows it. */
async function settle(core: Core, jobId: number, downstream: Pipeline, trigger: Trigger): Promise<void> {
  const wanted = await core.store.write(async (tx) => {
    const job = await lockJob(tx, jobId)
    if (job?.status !== 'pending') return job !== undefined && job.status !== 'canceled' && job.status !== 'canceling'
    await applyJobEvent(core, tx, job, trigger.strategy === undefined ? 'success' : 'run')
    await processPipeline(core, tx, job.pipelineId)
    return true
  })
  // It was canceled while its pipeline was being made.
  if (!wanted) await cancelChild(core, { pipelineId: downstream.id })
}

async function requestFor(core: Core, job: Job, plan: JobPlan): Promise<CreatePipelineInput> {
  const { read } = core.store
  const trigger = triggerOf(plan)
  const pipeline = await getPipeline(read, job.pipelineId)
  const project = await getProject(read, job.projectId)
  const user = job.userId === null ? undefined : await findUser(read, job.userId)
  if (!user) throw new Refusal('insufficient_bridge_permissions', 'The trigger job has no user.')
  const variables = await core.store.write((tx) => variablesOf(core, tx, pipeline.id))
  const set = await variablesFor(core, read, {
    projectId: project.id,
    // What is protected does not leave the project.
    protected: trigger.include !== undefined && pipeline.protected === 1,
    environment: plan.environment?.name ?? null,
  })
  const lookup = lookupFor(core, job, plan, {
    pipeline,
    project,
    variables: { ...variables, strong: [...set, ...variables.strong] },
  })
  const shared = {
    user,
    sourceJobId: job.id,
    predefined: upstreamVariables(job),
    variables: forwarded(plan, trigger, variables, lookup),
    onInvalid: 'refuse' as const,
  }
  const chain = await listUpstreams(read, pipeline.id, longestChain)
  await requireSmallTree(core, chain)
  if (trigger.include !== undefined) {
    const depth = chain.findIndex((one) => one.source !== 'parent_pipeline')
    if ((depth === -1 ? chain.length : depth) + 1 > deepestChild) {
      throw new Refusal('reached_max_descendant_pipelines_depth', 'Child pipelines are nested too deep.')
    }
    return {
      ...shared,
      projectId: project.id,
      ...refOf(pipeline, variables.predefined),
      sha: pipeline.sha,
      beforeSha: pipeline.beforeSha,
      source: 'parent_pipeline',
      predefined: [...upstreamVariables(job), ...variables.predefined.filter(({ key }) => isOfRequest.test(key))],
      config: childConfig(trigger.include),
      artifactFile: (name, path) => artifactFile(core, pipeline.id, name, path),
    }
  }
  const target = await targetOf(core, trigger, project, user, lookup)
  requireNoLoop(chain)
  return {
    ...shared,
    projectId: target.id,
    ref: trigger.branch === undefined ? target.defaultBranch : expandText(trigger.branch, lookup, 'blank'),
    source: 'pipeline',
    ...(trigger.inputs === undefined ? {} : { inputs: trigger.inputs }),
  }
}

/** A child of a merge request's pipeline is one of its source branch, and of the request. */
function refOf(
  pipeline: Pipeline,
  predefined: readonly PlanVariable[],
): Pick<CreatePipelineInput, 'ref' | 'requestRef'> {
  const branch = predefined.find(({ key }) => key === 'CI_MERGE_REQUEST_SOURCE_BRANCH_NAME')
  if (branch) return { ref: `refs/heads/${branch.value}`, requestRef: pipeline.ref }
  return pipeline.ref.startsWith('refs/') ? { ref: pipeline.ref, requestRef: pipeline.ref } : { ref: pipeline.ref }
}

function upstreamVariables(job: Job): PlanVariable[] {
  const values = { PIPELINE_ID: job.pipelineId, PROJECT_ID: job.projectId, JOB_ID: job.id }
  return Object.entries(values).map(([name, id]) => ({ key: `CI_UPSTREAM_${name}`, value: String(id), raw: true }))
}

async function targetOf(
  core: Core,
  trigger: Trigger,
  own: Project,
  user: User,
  lookup: VariableLookup,
): Promise<Project> {
  const path = expandText(trigger.project ?? '', lookup, 'blank').trim()
  if (path === '') {
    throw new Refusal('downstream_project_trigger_resolved_to_empty', `${trigger.project} came out empty.`)
  }
  const target = await findProjectByPath(core.store.read, path)
  const actor = actingAs(user)
  if (!target || !(await can(core, actor, 'read', target))) {
    throw new Refusal(
      'downstream_bridge_project_not_found',
      `There is no project ${path}, or its user may not read it.`,
    )
  }
  if (target.id === own.id) throw new Refusal('invalid_bridge_trigger', 'A project triggers itself only with include.')
  if (!(await can(core, actor, 'operate', target))) {
    throw new Refusal('insufficient_bridge_permissions', `The user may not start pipelines in ${path}.`)
  }
  return target
}

async function requireSmallTree(core: Core, chain: readonly Pipeline[]): Promise<void> {
  const limit = core.settings.pipelineTreeLimit
  if ((await countTree(core.store.read, chain.at(-1)!.id, limit)) >= limit) {
    throw new Refusal('reached_max_pipeline_hierarchy_size', `The tree of pipelines has ${limit} already.`)
  }
}

/** The same ref of the same project twice among those upstream; child pipelines are part of what made them. */
function requireNoLoop(chain: readonly Pipeline[]): void {
  const places = chain.filter((one) => one.source !== 'parent_pipeline').map((one) => `${one.projectId} ${one.ref}`)
  if (new Set(places).size < places.length) {
    throw new Refusal('pipeline_loop_detected', 'The pipelines upstream would start each other for ever.')
  }
}

/** JSON is YAML: a file that includes what the trigger names. */
function childConfig(include: NonNullable<Trigger['include']>): string {
  return JSON.stringify({ include: Array.isArray(include) ? include : [include] })
}

/** GitLab: lib/gitlab/ci/artifact_file_reader.rb. A file of a configuration is bounded once more where it is read. */
const largestArtifactFile = 5 * 1024 * 1024

/** A file that a job of the pipeline has made, for `trigger:include:artifact`. */
async function artifactFile(core: Core, pipelineId: number, job: string, path: string): Promise<IncludeAnswer> {
  const jobId = await findJobWithArchive(core.store.read, pipelineId, job, core.clock.now())
  const archive = jobId === undefined ? undefined : await findArtifact(core.store.read, jobId, 'archive')
  if (!archive) return { ok: false, reason: `job ${job} is not in the parent pipeline, or has no artifacts` }
  const content = await core.archives.text(archive, path, largestArtifactFile)
  return content === undefined
    ? { ok: false, reason: `the artifacts of job ${job} have no such file, or one that is too large` }
    : { ok: true, content }
}

/** Weakest first, one value for each key; values are those that they have here. */
function forwarded(
  plan: JobPlan,
  trigger: Trigger,
  variables: PipelineVariables,
  lookup: VariableLookup,
): PlanVariable[] {
  const { yaml_variables: yaml = true, pipeline_variables: pipeline = false } = trigger.forward ?? {}
  const given = variables.strong.filter((one) => !one.key.startsWith('GITLAB_USER_'))
  return mergeVariables(yaml ? plan.variables : [], pipeline ? given : []).map((one) =>
    one.raw || one.file ? one : { ...one, value: expandText(one.value, lookup, 'blank') },
  )
}

function refusalOf(error: unknown): { reason: FailureReason; message: string } {
  if (error instanceof Refusal) return { reason: error.reason, message: error.message }
  if (error instanceof SealError) return unreadable
  if (error instanceof SignalboxError && error.code !== 'internal' && error.code !== 'unavailable') {
    return { reason: 'downstream_pipeline_creation_failed', message: error.message }
  }
  throw error
}

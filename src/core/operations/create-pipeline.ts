/**
 * An event makes a pipeline: the configuration at the commit is read and planned outside the transaction; rows of the
 * pipeline, its stages and jobs are written in one; and in the same one the first jobs are queued, or leased on the spot
 * to runners that wait. A pipeline of many jobs is processed in transactions of its own, once it is there.
 */

import { canUpdateRef } from '../authorize.js'
import type { CiConfig, CompileResult } from '../ci-config/compilation.js'
import { type ConfigError, describeError } from '../ci-config/config-error.js'
import type { JobPlan } from '../ci-config/job-definition.js'
import type { LookUpFacts, PlanEvent } from '../ci-config/language.js'
import type { PipelinePlan, PlanResult } from '../ci-config/planning.js'
import type { PlanVariable } from '../ci-config/variables.js'
import { type ConfigRequest, turnOf } from '../config/config-cache.js'
import type { Core } from '../core.js'
import { environmentSlug } from '../environment.js'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import { pipelineVariables, userVariables } from '../payload/predefined-variables.js'
import { noSha, type Pipeline, type PipelineSource } from '../pipeline.js'
import { type CommitInfo, isProtected, type Project, type ResolvedRef } from '../project.js'
import { newJob } from '../steps/new-job.js'
import { type PlannedJob, processPipeline } from '../steps/process-pipeline.js'
import { record } from '../steps/record.js'
import { variablesFor } from '../steps/variables-for.js'
import { findDefaultConfig } from '../store/default-configs.js'
import { insertDefinition, insertJob, insertNeeds } from '../store/jobs.js'
import { listOpenRequests } from '../store/merge-requests.js'
import { getPipeline, insertPipeline, insertStage, type NewPipeline } from '../store/pipelines.js'
import { getProject, takePipelineIid } from '../store/projects.js'
import { ensureResourceGroup } from '../store/resource-groups.js'
import type { User } from '../store/users.js'
import type { Tx } from '../store/write.js'
import { cancelRedundantPipelines } from './cancel-redundant-pipelines.js'
import { fetchMirror } from './fetch-mirror.js'
import { resolveCacheKeys } from './resolve-cache-keys.js'
import { ruleFacts } from './rule-facts.js'

export interface CreatePipelineInput {
  projectId: number
  /** A branch or tag by its short name. */
  ref: string
  source: PipelineSource
  user: User | null
  /** Variables given with the event: they beat the file's. */
  variables?: readonly PlanVariable[]
  /** The commit, if not the one the ref points to now. */
  sha?: string
  /** Where the branch was before a push. */
  beforeSha?: string
  /** The ref that the pipeline has in place of its branch: that of a merge request. */
  requestRef?: string
  /** Predefined variables of the event, besides those of every pipeline. */
  predefined?: readonly PlanVariable[]
  /** Changes are those since the commit parted from this one: what a request to merge it would show. */
  changesSince?: string
  /** The text of a configuration, in place of the project's file. */
  config?: string
  /** Leave the commit out whatever its message says: the pipeline has no jobs. */
  skip?: boolean
  /** Values for the inputs of the configuration's header. */
  inputs?: Readonly<Record<string, unknown>>
  /** The trigger job that asks. */
  sourceJobId?: number
  /** Reads what `artifact` entries of `config` include. */
  artifactFile?: ConfigRequest['artifactFile']
  /** Done in the same transaction, once the pipeline's row is there. */
  alongside?: (tx: Tx, pipeline: Pipeline) => Promise<void>
  /** Only these jobs and what they need. */
  onlyJobs?: readonly string[]
  /** With `onlyJobs`: not what they need. */
  alone?: boolean
  /**
   * What to do about a file that is wrong: refuse (a person or script asks and gets the answer), or keep a failed pipeline
   * that shows the error (a push has nobody to answer).
   */
  onInvalid: 'refuse' | 'keep'
}

/** Asked to leave a commit out: https://docs.gitlab.com/ci/pipelines/#skip-a-pipeline */
const skipMark = /\[(ci[ _-]skip|skip[ _-]ci)\]/i

/** By its message only a push that nobody waits for: whoever asks for a pipeline gets it. */
function isSkipped({ skip, source, onInvalid }: CreatePipelineInput, { message }: CommitInfo): boolean {
  return skip === true || (source === 'push' && onInvalid === 'keep' && skipMark.test(message))
}

/**
 * Gives the pipeline, skipped for a commit that asks for it, or undefined when the rules leave nothing to run and
 * `onInvalid` is `keep`.
 * Throws `not_found` for the project and for `onlyJobs` that are not in the pipeline; `invalid` with `details.errors` (one sentence each) for a ref that does not exist, a
 * missing or wrong file, rules that leave no job, or a protected ref that the user may not push to.
 */
export async function createPipeline(core: Core, input: CreatePipelineInput): Promise<Pipeline | undefined> {
  let project = await getProject(core.store.read, input.projectId)
  if (project.buildsEnabled === 0) throw refusal('CI/CD is switched off in this project')
  // A child pipeline runs at its parent's commit, which is here.
  if (project.mirrored === 1 && input.source !== 'parent_pipeline') project = await fetchMirror(core, project)
  const resolved = await resolve(core, project, input)
  await requireRight(core, project, resolved, input.user)
  const commit = await core.repositories.commit(project, resolved.sha)
  const frame = await frameOf(core, project, resolved, commit, input)
  if (isSkipped(input, commit)) return insertWithoutJobs(core, frame, { status: 'skipped' })
  const compiled = await load(core, frame)
  if (!compiled) {
    if (input.onInvalid === 'keep') return undefined
    throw refusal('Missing CI config file')
  }
  if (!compiled.ok) return invalid(core, frame, compiled.errors.map(sentence))
  const planned = await decide(core, frame, compiled.config)
  if (!planned.ok) {
    const errors = planned.errors.map(sentence)
    if (planned.asked === true) throw new SignalboxError('not_found', errors.join('\n'), { details: { errors } })
    if (planned.filtered && input.onInvalid === 'keep') return undefined
    return invalid(core, frame, errors)
  }
  if (planned.plan.jobs.length > core.settings.pipelineJobLimit) {
    return invalid(core, frame, [`the pipeline has more than ${core.settings.pipelineJobLimit} jobs`])
  }
  const jobs = await resolveCacheKeys(core.repositories, project, resolved.sha, planned.plan.jobs)
  const insert = () => core.store.write((tx) => insertPlan(core, tx, frame, { ...planned.plan, jobs }))
  // Where bodies come one after another, several large ones in a row would hold up everybody behind them.
  const isLarge = core.store.engine === 'sqlite' && jobs.length > core.settings.jobsAtOnce
  const pipeline = await (isLarge ? core.pipelineTurns.alone(insert) : insert())
  // The pipeline is there: what older ones make of it is not its caller's trouble.
  await cancelRedundantPipelines(core, pipeline, project).catch((error) =>
    core.log.error({ err: error, pipeline: pipeline.id }, 'redundant pipelines could not be canceled'),
  )
  return pipeline
}

/** The pipeline that this event makes of the configuration: its rules are decided here, each time. */
async function decide(core: Core, frame: Frame, config: CiConfig): Promise<PlanResult> {
  const { input, project, resolved, predefined, set, strong } = frame
  const event: PlanEvent = {
    variables: [...predefined, ...set, ...strong],
    strongFrom: predefined.length,
    source: input.source,
    ref: resolved.name,
    tag: resolved.tag,
    protected: isProtected(project, resolved),
    defaultBranch: project.defaultBranch,
    ...(input.onlyJobs ? { onlyJobs: [...input.onlyJobs] } : {}),
    ...(input.alone === true ? { alone: true } : {}),
  }
  const changedPaths = () => changesOf(core, project, resolved, input)
  const lookUp: LookUpFacts = (wanted) =>
    ruleFacts(core, { project, sha: resolved.sha, user: input.user, changedPaths }, wanted)
  return core.language.plan(config, event, lookUp, turnOf(project))
}

interface Frame {
  input: CreatePipelineInput
  project: Project
  resolved: ResolvedRef
  predefined: PlanVariable[]
  /** What people have set for the project: looked at now, and read anew when a job is queued. */
  set: PlanVariable[]
  strong: PlanVariable[]
}

async function insertPlan(core: Core, tx: Tx, frame: Frame, plan: PipelinePlan): Promise<Pipeline> {
  const pipeline = await insertFrame(core, tx, frame, plan)
  const stageIds = await insertStages(tx, pipeline.id, plan)
  // Ids rise stage by stage, as those who list jobs by id expect.
  const inOrder = [...plan.jobs].sort((a, b) => a.stageIndex - b.stageIndex)
  const made: PlannedJob[] = []
  for (const plan of inOrder) {
    made.push({ plan, job: await insertPlanned(tx, pipeline, plan, stageIds.get(plan.stage)!) })
  }
  await record(core, tx, {
    kind: 'pipeline.created',
    projectId: pipeline.projectId,
    pipelineId: pipeline.id,
    data: { iid: pipeline.iid, ref: pipeline.ref, source: pipeline.source, jobs: plan.jobs.length },
  })
  tx.afterCommit(() => core.repositories.pin(frame.project, pipeline.id, pipeline.sha))
  if (!core.isPaused('initial_pipeline_process')) {
    if (made.length <= core.settings.jobsAtOnce) await processPipeline(core, tx, pipeline.id, made)
    else tx.afterCommit(() => core.pipelineTurns.add(pipeline.id))
  }
  return getPipeline(tx, pipeline.id)
}

async function insertFrame(
  core: Core,
  tx: Tx,
  { input, project, resolved, predefined, strong }: Frame,
  plan: Pick<PipelinePlan, 'name' | 'autoCancel'>,
  ended?: Ended,
): Promise<Pipeline> {
  const iid = await takePipelineIid(tx, project.id)
  const made: NewPipeline = {
    projectId: project.id,
    iid,
    ref: input.requestRef ?? resolved.name,
    tag: resolved.tag ? 1 : 0,
    protected: isProtected(project, resolved) ? 1 : 0,
    sha: resolved.sha,
    beforeSha: beforeShaOf(resolved, input),
    source: input.source,
    userId: input.user?.id ?? null,
    name: plan.name ?? null,
    yamlErrors: ended?.yamlErrors ?? null,
    onNewCommit: plan.autoCancel.onNewCommit,
    onJobFailure: plan.autoCancel.onJobFailure,
    sourceJobId: input.sourceJobId ?? null,
    followed: 0,
    variables: core.keys.seal(Buffer.from(JSON.stringify({ predefined, strong }))),
  }
  const pipeline = await insertPipeline(tx, made, ended?.status)
  await input.alongside?.(tx, pipeline)
  return pipeline
}

async function insertStages(tx: Tx, pipelineId: number, plan: PipelinePlan): Promise<Map<string, number>> {
  const used = new Map(plan.jobs.map((job) => [job.stage, job.stageIndex]))
  const ids = new Map<string, number>()
  for (const [name, position] of [...used].sort((a, b) => a[1] - b[1])) {
    ids.set(name, await insertStage(tx, { pipelineId, name, position }))
  }
  return ids
}

async function insertPlanned(tx: Tx, pipeline: Pipeline, plan: JobPlan, stageId: number): Promise<Job> {
  const resourceKey = resourceKeyOf(plan)
  if (resourceKey !== null) await ensureResourceGroup(tx, pipeline.projectId, resourceKey)
  const definitionId = await insertDefinition(tx, plan)
  const job = await insertJob(tx, newJob(pipeline, plan, { stageId, definitionId, resourceKey, now: tx.now }))
  await insertNeeds(
    tx,
    job.id,
    (plan.needs ?? []).map((need) => ({
      name: need.job,
      artifacts: need.artifacts ? 1 : 0,
      optional: need.optional ? 1 : 0,
    })),
  )
  return job
}

function resourceKeyOf(plan: JobPlan): string | null {
  const slug = plan.environment === undefined ? '' : environmentSlug(plan.environment.name)
  return plan.resourceGroup?.replaceAll('$CI_ENVIRONMENT_SLUG', slug) || null
}

/** A pipeline without jobs that shows what is wrong with the file, or the refusal of whoever asked. */
async function invalid(core: Core, frame: Frame, errors: string[]): Promise<Pipeline> {
  if (frame.input.onInvalid === 'refuse') throw refusal(...errors)
  return insertWithoutJobs(core, frame, { status: 'failed', yamlErrors: errors.join('\n') })
}

/** How a pipeline without jobs is over as it is made. */
interface Ended {
  status: 'failed' | 'skipped'
  yamlErrors?: string
}

function insertWithoutJobs(core: Core, frame: Frame, ended: Ended): Promise<Pipeline> {
  return core.store.write(async (tx) => {
    const plan = { autoCancel: { onNewCommit: 'conservative', onJobFailure: 'none' } } as const
    const pipeline = await insertFrame(core, tx, frame, plan, ended)
    await record(core, tx, {
      kind: 'pipeline.created',
      projectId: pipeline.projectId,
      pipelineId: pipeline.id,
      data: { iid: pipeline.iid, ref: pipeline.ref, source: pipeline.source, jobs: 0 },
    })
    return pipeline
  })
}

async function resolve(core: Core, project: Project, input: CreatePipelineInput): Promise<ResolvedRef> {
  const resolved = await core.repositories.resolve(project, input.ref)
  if (!resolved) throw refusal('Reference not found')
  return input.sha === undefined ? resolved : { ...resolved, sha: input.sha }
}

/** Nobody at all: the server acts by itself. Rule: gitlab lib/gitlab/ci/pipeline/chain/validate/abilities.rb */
async function requireRight(core: Core, project: Project, ref: ResolvedRef, user: User | null): Promise<void> {
  if (user === null || !isProtected(project, ref)) return
  if (await canUpdateRef(core.store.read, { user, scopes: new Set() }, project, true)) return
  throw refusal(
    `You do not have sufficient permission to run a pipeline on '${ref.name}'. ` +
      'Please select a different branch or contact your administrator for assistance.',
  )
}

async function frameOf(
  core: Core,
  project: Project,
  resolved: ResolvedRef,
  commit: CommitInfo,
  input: CreatePipelineInput,
): Promise<Frame> {
  const common = pipelineVariables({
    project,
    externalUrl: core.externalUrl(),
    source: input.source,
    mergeRequest: input.requestRef !== undefined,
    ref: resolved.name,
    tag: resolved.tag,
    protected: isProtected(project, resolved),
    sha: resolved.sha,
    beforeSha: beforeShaOf(resolved, input),
    commit,
    ...(resolved.tag
      ? { tagMessage: await core.repositories.tagMessage(project, resolved.name) }
      : { openRequests: await openRequests(core, project, resolved, input) }),
    createdAt: core.clock.now(),
    user: input.user,
  })
  const predefined = [...common, ...(input.predefined ?? [])]
  const set = await variablesFor(core, core.store.read, {
    projectId: project.id,
    protected: isProtected(project, resolved),
    environment: null,
  })
  return {
    input,
    project,
    resolved,
    predefined,
    set,
    strong: [...userVariables(input.user), ...(input.variables ?? [])],
  }
}

/** Rules ask so as not to make a pipeline of the branch and one of its request: only what makes both is worth a look. */
async function openRequests(
  core: Core,
  project: Project,
  { name }: ResolvedRef,
  { source }: CreatePipelineInput,
): Promise<number[]> {
  if (project.lastRequestIid === 0 || (source !== 'push' && source !== 'merge_request_event')) return []
  return listOpenRequests(core.store.read, project.id, name)
}

/** Undefined: the project has no configuration at this commit. */
async function load(core: Core, frame: Frame): Promise<CompileResult | undefined> {
  const { input, project, resolved, predefined, set, strong } = frame
  const request: ConfigRequest = {
    user: input.user,
    variables: [...predefined, ...set, ...strong],
    changedPaths: () => changesOf(core, project, resolved, input),
    ...(input.inputs === undefined ? {} : { inputs: input.inputs }),
    ...(input.artifactFile === undefined ? {} : { artifactFile: input.artifactFile }),
  }
  const compile = (text: string) => core.configs.compile(project, resolved.sha, text, request)
  if (input.config !== undefined) return compile(input.config)
  const { result } = await core.configs.load(project, resolved.sha, request)
  if (result) return result
  const fallback = await findDefaultConfig(core.store.read, project.id)
  return fallback === undefined ? undefined : compile(fallback)
}

/** Only branches have a commit before: https://docs.gitlab.com/ci/variables/predefined_variables/ */
function beforeShaOf(resolved: ResolvedRef, input: CreatePipelineInput): string {
  return resolved.tag ? noSha : (input.beforeSha ?? noSha)
}

/** What the event changed: known only for a push to a branch that was there before, from a commit that still is. */
async function changesOf(
  core: Core,
  project: Project,
  resolved: ResolvedRef,
  input: CreatePipelineInput,
): Promise<string[] | undefined> {
  const { beforeSha, changesSince } = input
  if (changesSince !== undefined) {
    return unlessGone(core.repositories.changedSince(project, changesSince, resolved.sha))
  }
  // A child pipeline looks at what its parent's push has changed.
  const pushed = input.source === 'push' || input.source === 'parent_pipeline'
  if (!pushed || resolved.tag || beforeSha === undefined || beforeSha === noSha) return undefined
  return unlessGone(core.repositories.changedPaths(project, beforeSha, resolved.sha))
}

/** Undefined where a commit is not there any more. */
async function unlessGone(paths: Promise<string[]>): Promise<string[] | undefined> {
  try {
    return await paths
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'not_found') return undefined
    throw error
  }
}

function refusal(...errors: string[]): SignalboxError {
  return new SignalboxError('invalid', errors.join('\n'), { details: { errors } })
}

/** An error of a configuration and its place, for people. */
export function sentence(error: ConfigError): string {
  const place = error.line === undefined ? '' : `${error.file ? `${error.file}:` : 'line '}${error.line}: `
  return `${place}${describeError(error)}`
}

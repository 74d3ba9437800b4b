/**
 * An event makes a pipeline: the configuration at the commit is read and planned outside the transaction; rows of the
 * pipeline, its stages and jobs are written in one; and in the same one the first jobs are queued, or leased on the spot
 * to runners that wait. A pipeline of many jobs is processed in transactions of its own, once it is there.
 */
import { canUpdateRef } from '../authorize.js'
import type { CiConfig, CompileResult } from '../ci-config/compilation.js'
import { describeWithPlace } from '../ci-config/config-error.js'
import type { LookUpFacts, PlanEvent } from '../ci-config/language.js'
import type { PlanResult } from '../ci-config/planning.js'
import { type ConfigRequest, turnOf } from '../config/config-cache.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { isOfFork } from '../forge.js'
import type { Pipeline } from '../pipeline.js'
import type { CommitInfo, Project, ResolvedRef } from '../project.js'
import { isProtected } from '../protection.js'
import { type EndedAtOnce, insertPlan, insertWithoutJobs } from '../steps/insert-pipeline.js'
import { findDefaultConfig } from '../store/default-configs.js'
import { getProject } from '../store/projects.js'
import type { User } from '../store/users.js'
import { cancelRedundantPipelines } from './cancel-redundant-pipelines.js'
import { changesOf } from './changes-of.js'
import { type Draft, type DraftInput, draftPipeline } from './draft-pipeline.js'
import { fetchMirror } from './fetch-mirror.js'
import { resolveCacheKeys } from './resolve-cache-keys.js'
import { ruleFacts } from './rule-facts.js'

/** The event that makes a pipeline, and how it is to be read. */
export interface CreatePipelineInput extends DraftInput {
  projectId: number
  /** A branch or tag by its short name. */
  ref: string
  /** The commit, if not the one the ref points to now. */
  sha?: string
  /** Changes are those since the commit parted from this one: what a request to merge it would show. */
  changesSince?: string
  /** The text of a configuration, in place of the project's file. */
  config?: string
  /** Leave the commit out whatever its message says: the pipeline has no jobs. */
  skip?: boolean
  /** Values for the inputs of the configuration's header. */
  inputs?: Readonly<Record<string, unknown>>
  /** Reads what `artifact` entries of `config` include. */
  artifactFile?: ConfigRequest['artifactFile']
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
 * Returns the pipeline, skipped for a commit that asks for it, or undefined when the rules leave nothing to run and
 * `onInvalid` is `keep`.
 * Throws `not_found` for the project and for `onlyJobs` that are not in the pipeline; `invalid` with `details.errors` (one
 * sentence each) for a ref that does not exist, a missing or wrong file, rules that leave no job, or a protected ref that
 * the user may not push to.
 */
export async function createPipeline(core: Core, input: CreatePipelineInput): Promise<Pipeline | undefined> {
  let project = await getProject(core.store.read, input.projectId)
  if (project.buildsEnabled === 0) throw refusal('CI/CD is switched off in this project')
  // A child pipeline runs at its parent's commit, which is here.
  if (project.mirrored === 1 && input.source !== 'parent_pipeline') project = await fetchMirror(core, project)
  const resolved = await resolve(core, project, input)
  await requireRight(core, project, resolved, input.user)
  const commit = await core.repositories.commit(project, resolved.sha)
  const draft = await draftPipeline(core, project, resolved, commit, input)
  if (isSkipped(input, commit)) return withoutJobs(core, draft, { status: 'skipped' })
  const compiled = await load(core, draft, input)
  if (!compiled) {
    if (input.onInvalid === 'keep') return undefined
    throw refusal('Missing CI config file')
  }
  if (!compiled.ok) return invalid(core, draft, input, compiled.errors.map(describeWithPlace))
  const planned = await decide(core, draft, input, compiled.config)
  if (!planned.ok) {
    const errors = planned.errors.map(describeWithPlace)
    if (planned.asked === true) throw new SignalboxError('not_found', errors.join('\n'), { details: { errors } })
    if (planned.filtered && input.onInvalid === 'keep') return undefined
    return invalid(core, draft, input, errors)
  }
  if (planned.plan.jobs.length > core.settings.pipelineJobLimit) {
    return invalid(core, draft, input, [`the pipeline has more than ${core.settings.pipelineJobLimit} jobs`])
  }
  const jobs = await resolveCacheKeys(core.repositories, project, resolved.sha, planned.plan.jobs)
  const insert = () => core.store.write((tx) => insertPlan(core, tx, draft, { ...planned.plan, jobs }))
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
async function decide(core: Core, draft: Draft, input: CreatePipelineInput, config: CiConfig): Promise<PlanResult> {
  const { project, resolved, predefined, set, strong } = draft
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
  const changedPaths = () => changesOf(core.repositories, project, resolved, input)
  const lookUp: LookUpFacts = (wanted) =>
    ruleFacts(core, { project, sha: resolved.sha, user: input.user, changedPaths }, wanted)
  return core.language.plan(config, event, lookUp, turnOf(project))
}

/** A pipeline without jobs that shows what is wrong with the file, or the refusal of whoever asked. */
async function invalid(
  core: Core,
  draft: Draft,
  { onInvalid }: CreatePipelineInput,
  errors: string[],
): Promise<Pipeline> {
  if (onInvalid === 'refuse') throw refusal(...errors)
  return withoutJobs(core, draft, { status: 'failed', yamlErrors: errors.join('\n') })
}

function withoutJobs(core: Core, draft: Draft, ended: EndedAtOnce): Promise<Pipeline> {
  return core.store.write((tx) => insertWithoutJobs(core, tx, draft, ended))
}

async function resolve(core: Core, project: Project, input: CreatePipelineInput): Promise<ResolvedRef> {
  // Nobody names such a ref from outside: it comes with its commit.
  if (isOfFork(input)) {
    if (input.sha === undefined) throw refusal('Reference not found')
    return { name: input.ref, tag: false, sha: input.sha }
  }
  const resolved = await core.repositories.resolve(project, input.ref)
  if (!resolved) throw refusal('Reference not found')
  return input.sha === undefined ? resolved : { ...resolved, sha: input.sha }
}

/** Nobody at all: the server acts by itself. Rule: gitlab lib/gitlab/ci/pipeline/chain/validate/abilities.rb */
async function requireRight(core: Core, project: Project, ref: ResolvedRef, user: User | null): Promise<void> {
  if (user === null || !isProtected(project, ref)) return
  if (await canUpdateRef(core.store.read, { user, scopes: new Set() }, project, ref)) return
  throw refusal(
    `You do not have sufficient permission to run a pipeline on '${ref.name}'. ` +
      'Please select a different branch or contact your administrator for assistance.',
  )
}

/** Undefined: the project has no configuration at this commit. */
async function load(core: Core, draft: Draft, input: CreatePipelineInput): Promise<CompileResult | undefined> {
  const { project, resolved, predefined, set, strong } = draft
  const request: ConfigRequest = {
    user: input.user,
    variables: [...predefined, ...set, ...strong],
    changedPaths: () => changesOf(core.repositories, project, resolved, input),
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

function refusal(...errors: string[]): SignalboxError {
  return new SignalboxError('invalid', errors.join('\n'), { details: { errors } })
}

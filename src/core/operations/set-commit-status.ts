/**
 * An outside system tells how a check of a commit went: the check is a job of the commit's pipeline that no runner runs.
 * Rules: gitlab app/services/ci/create_commit_status_service.rb.
 */
import { actingAs, canUpdatePipeline } from '../authorize.js'
import type { JobPlan } from '../ci-config/job-definition.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import type { JobEvent } from '../lifecycle/job-machine.js'
import { noSha, type Pipeline } from '../pipeline.js'
import type { Project } from '../project.js'
import { isProtected } from '../protection.js'
import { applyJobEvent } from '../steps/apply-job-event.js'
import { newJob } from '../steps/new-job.js'
import { processPipeline } from '../steps/process-pipeline.js'
import {
  externalStage,
  findExternalJob,
  findPipelineOf,
  markRetried,
  saveExternalStatus,
} from '../store/external-statuses.js'
import { getJob, insertDefinition, insertJob } from '../store/jobs.js'
import { getPipeline, insertPipeline, lockPipeline } from '../store/pipelines.js'
import { takePipelineIid } from '../store/project-counts.js'
import { findUser } from '../store/users.js'
import type { Tx } from '../store/write.js'

/** What an outside check may say of a commit. Rule: https://docs.gitlab.com/api/commits/#set-commit-pipeline-status */
export const externalStates = ['pending', 'running', 'success', 'failed', 'canceled', 'skipped'] as const
/** One of `externalStates`. */
export type ExternalState = (typeof externalStates)[number]

/** An outside check, and what it says of a commit. */
export interface CommitStatusInput {
  project: Project
  sha: string
  /** A branch or tag by its short name; default: that of the commit's newest pipeline, else the default branch. */
  ref?: string | undefined
  name: string
  state: ExternalState
  targetUrl?: string | undefined
  description?: string | undefined
  coverage?: number | undefined
  /** The pipeline to add it to, where the commit has several. */
  pipelineId?: number | undefined
  userId: number | null
}

const events: Record<ExternalState, readonly JobEvent[]> = {
  pending: ['enqueue'],
  running: ['enqueue', 'run'],
  success: ['success'],
  failed: ['drop'],
  canceled: ['cancel'],
  skipped: ['skip'],
}

/**
 * Returns the job. One that has ended is followed by a new one of its name. Throws `not_found` for a pipeline that is not
 * the commit's; `forbidden` for a user who may not change what runs on its ref; `invalid` when the check cannot go from its status to this one.
 */
export function setCommitStatus(core: Core, input: CommitStatusInput): Promise<Job> {
  return core.store.write(async (tx) => {
    const pipeline = await pipelineFor(core, tx, input)
    const user = input.userId === null ? null : await findUser(tx, input.userId)
    // Nobody at all: the server acts by itself.
    if (user !== null && !(await canUpdatePipeline(tx, actingAs(user), input.project, pipeline))) {
      throw new SignalboxError('forbidden', '403 Forbidden')
    }
    await lockPipeline(tx, pipeline.id)
    const known = await findExternalJob(tx, pipeline.id, input.name)
    const job = known ? await getJob(tx, known) : await insertExternal(tx, pipeline, input)
    await saveExternalStatus(tx, job.id, {
      ...(input.targetUrl === undefined ? {} : { targetUrl: input.targetUrl }),
      ...(input.description === undefined ? {} : { description: input.description }),
    })
    if (input.coverage !== undefined) job.coverage = input.coverage
    await advance(core, tx, job, input.state)
    await processPipeline(core, tx, pipeline.id)
    return getJob(tx, job.id)
  })
}

async function advance(core: Core, tx: Tx, job: Job, state: ExternalState): Promise<void> {
  const from = job.status
  for (const event of events[state]) {
    if (event === 'enqueue' && state === 'running' && job.status === 'pending') continue
    const failure = { reason: 'api_failure', class: 'unknown' } as const
    if (await applyJobEvent(core, tx, job, event, event === 'drop' ? { failure } : {})) continue
    throw new SignalboxError(
      'invalid',
      `Cannot transition status via :${event} from :${from} (Reason(s): Status cannot transition via "${event}")`,
    )
  }
}

async function pipelineFor(core: Core, tx: Tx, input: CommitStatusInput): Promise<Pipeline> {
  const { project, sha, pipelineId } = input
  const known = await findPipelineOf(tx, { projectId: project.id, sha, ref: input.ref, id: pipelineId })
  if (known !== undefined) return getPipeline(tx, known)
  if (pipelineId !== undefined) throw new SignalboxError('not_found', `the commit has no pipeline ${pipelineId}`)
  const ref = input.ref ?? project.defaultBranch
  return insertPipeline(tx, {
    projectId: project.id,
    iid: await takePipelineIid(tx, project.id),
    ref,
    tag: 0,
    protected: isProtected(project, { name: ref, tag: false }) ? 1 : 0,
    sha,
    beforeSha: noSha,
    source: 'external',
    userId: input.userId,
    name: null,
    yamlErrors: null,
    onNewCommit: 'conservative',
    onJobFailure: 'none',
    sourceJobId: null,
    followed: 0,
    variables: core.keys.seal(Buffer.from(JSON.stringify({ predefined: [], strong: [] }))),
  })
}

/** Outside checks come after every stage of the file. */
const externalPosition = 1_000_000

async function insertExternal(tx: Tx, pipeline: Pipeline, { name, userId }: CommitStatusInput): Promise<Job> {
  await markRetried(tx, pipeline.id, name)
  const plan: JobPlan = {
    name,
    kind: 'build',
    stage: 'external',
    stageIndex: externalPosition,
    when: 'on_success',
    allowFailure: false,
    tags: [],
    script: [],
    variables: [],
  }
  const stageId = await externalStage(tx, pipeline.id, externalPosition)
  const definitionId = await insertDefinition(tx, plan)
  return insertJob(tx, { ...newJob(pipeline, plan, { stageId, definitionId, now: tx.now }), kind: 'external', userId })
}

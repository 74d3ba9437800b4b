/** What commits are to show of pipelines and jobs as they are now. */
import type { Core } from '../core/core.js'
import { type ForgeState, isOfFork } from '../core/forge.js'
import type { Job } from '../core/job.js'
import type { JobStatus } from '../core/lifecycle/job-machine.js'
import { explainFailure } from '../core/operations/explain-failure.js'
import type { Pipeline } from '../core/pipeline.js'
import type { WantedStatus } from '../core/store/forge-statuses.js'
import { listJobs } from '../core/store/job-lists.js'
import { findJob } from '../core/store/jobs.js'
import { findPipeline } from '../core/store/pipelines.js'

const states: Record<JobStatus, ForgeState> = {
  created: 'pending',
  waiting_for_resource: 'pending',
  preparing: 'pending',
  waiting_for_callback: 'pending',
  pending: 'pending',
  scheduled: 'pending',
  manual: 'pending',
  running: 'running',
  canceling: 'running',
  success: 'success',
  failed: 'failed',
  canceled: 'canceled',
  skipped: 'skipped',
}

/** The name of a status: pipelines of one kind of event take one another's place on a commit. Null: the forge is told nothing. */
function contextOf({ source, tag }: Pipeline): string | null {
  switch (source) {
    case 'parent_pipeline':
    case 'external':
      return null
    case 'external_pull_request_event':
    case 'merge_request_event':
      return 'signalbox/pull-request'
    case 'schedule':
    case 'pipeline':
      return `signalbox/${source}`
    // By whomever it was started: who runs the commit once more by hand wants to see it turn green.
    default:
      return tag === 1 ? 'signalbox/tag' : 'signalbox/push'
  }
}

/** Undefined: there is no such pipeline, or its forge is told nothing of it. */
export async function wantedOfPipeline(core: Core, id: number): Promise<WantedStatus | undefined> {
  const pipeline = await findPipeline(core.store.read, id)
  const context = pipeline && contextOf(pipeline)
  if (!pipeline || context == null) return undefined
  return {
    ...common(pipeline, context),
    jobId: null,
    state: states[pipeline.status],
    description: await say(core, pipeline),
  }
}

/** The same of a job; nothing of one that a retry has taken the place of. */
export async function wantedOfJob(core: Core, id: number): Promise<WantedStatus | undefined> {
  const job = await findJob(core.store.read, id)
  const pipeline = job && job.retried === 0 ? await findPipeline(core.store.read, job.pipelineId) : undefined
  const context = pipeline && contextOf(pipeline)
  if (!job || !pipeline || context == null) return undefined
  const name = `${context}/${job.name}`.slice(0, longestContext)
  return { ...common(pipeline, name), jobId: job.id, state: states[job.status], description: await sayJob(core, job) }
}

/** GitLab takes no longer names. */
const longestContext = 255

const common = (pipeline: Pipeline, context: string) => ({
  projectId: pipeline.projectId,
  sha: pipeline.sha,
  context,
  pipelineId: pipeline.id,
  // A request of a fork is on no branch of the repository.
  ref: isOfFork(pipeline) || pipeline.ref.startsWith('refs/') ? null : pipeline.ref,
})

async function say(core: Core, pipeline: Pipeline): Promise<string> {
  const name = `Pipeline #${pipeline.id}`
  switch (pipeline.status) {
    case 'success':
      return `${name} passed${durationOf(pipeline.durationMs)}`
    case 'failed':
      return oneLine((await failureOf(core, pipeline)) ?? `${name} failed`)
    case 'manual':
      return `${name} waits for somebody to start a job`
    default:
      return `${name} is ${pipeline.status.replaceAll('_', ' ')}`
  }
}

/** The first job that failed, and why; what is wrong with the configuration where there is no job. */
async function failureOf(core: Core, pipeline: Pipeline): Promise<string | undefined> {
  if (pipeline.yamlErrors !== null) return pipeline.yamlErrors.split('\n', 1)[0]
  const filter = { pipelineId: pipeline.id, statuses: ['failed'] as const, retried: false }
  const failed = (await listJobs(core.store.read, filter, { limit: 100, offset: 0 }, 'asc')).find(
    (job) => job.allowFailure === 0,
  )
  return failed && `${failed.name}: ${await sayJob(core, failed)}`
}

async function sayJob(core: Core, job: Job): Promise<string> {
  const why = await explainFailure(core, job, { showsLog: false })
  return oneLine(why?.explanation ?? `${job.name} is ${job.status.replaceAll('_', ' ')}`)
}

const longestDescription = 500

function oneLine(text: string): string {
  return text
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .slice(0, longestDescription)
}

function durationOf(ms: number | null): string {
  if (ms === null) return ''
  const seconds = Math.round(ms / 1000)
  const minutes = Math.floor(seconds / 60)
  return ` in ${minutes === 0 ? '' : `${minutes} min `}${seconds % 60} s`
}

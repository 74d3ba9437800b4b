/**
 * Step: a job takes a new status. Every status of a job is written here, on condition that the row still has the one that
 * was decided on, with all that a change of status writes of itself: times, failure, the queue's head, the job's resource
 * and deployment, and the fact. The table of `lifecycle/job-machine.ts` says which changes there are (`statusAfter`).
 */
import type { Core } from '../core.js'
import type { FailureReason } from '../failure.js'
import { type Job, stampsOf } from '../job.js'
import {
  type BridgeEvent,
  bridgeMachine,
  is,
  type JobEvent,
  type JobFacts,
  type JobStatus,
  nextStatus,
} from '../lifecycle/job-machine.js'
import { saveJob } from '../store/jobs.js'
import { getPipeline } from '../store/pipelines.js'
import { lowerHead } from '../store/queue.js'
import type { Tx } from '../store/write.js'
import { jobSpan, spanData } from '../trace-context.js'
import { followDeployment } from './follow-deployment.js'
import { followResource } from './follow-resource.js'
import { record } from './record.js'

/** Why a job failed: its reason, and what a classifier says besides. */
export interface Failure {
  reason: FailureReason
  class?: string
  message?: string | null
  exitCode?: number | null
}

/** A status that the table has allowed, and what is written with it. */
export interface StatusChange {
  /** `mirror`: a trigger job takes over the status of another pipeline. */
  event: BridgeEvent | 'mirror'
  to: JobStatus
  /** Why, for a job that is to fail; kept only if it really ends failed. */
  failure?: Failure | undefined
  /** The user who wants it; undefined: the server or a runner. */
  by?: number | null | undefined
  /** Further fields written with the change. */
  set?: Partial<Omit<Job, 'status'>> | undefined
  /** Further data of the fact. */
  data?: Record<string, number>
}

/** The status that an event leads to from the job's own, or undefined when the job's machine refuses it. */
export function statusAfter(job: Job, event: BridgeEvent, given: Partial<JobFacts> = {}): JobStatus | undefined {
  const facts = { resource_group: job.resourceKey !== null, ...given }
  return job.kind === 'bridge'
    ? nextStatus(event, job.status, facts, bridgeMachine)
    : nextStatus(event as JobEvent, job.status, facts)
}

/**
 * Changes `job` in place, and its row. `queue`: writes the row of a job that is to be queued in its stead; when it returns
 * a failure it has written nothing, and neither has this: it is returned, and the job is to be failed.
 * Throws `conflict` when the row has another status by now.
 */
export async function changeStatus(
  core: Core,
  tx: Tx,
  job: Job,
  { event, to, failure, by, set, data }: StatusChange,
  queue?: () => Promise<Failure | undefined>,
): Promise<Failure | undefined> {
  const from = job.status
  const leavesQueue = job.inQueue === 1
  Object.assign(job, stampsOf(from, to, tx.now), set)
  job.inQueue = 0
  if (failure) noteFailure(job, from, failure, tx.now)
  const refused = await queue?.()
  if (refused) return refused
  if (!queue) {
    await saveJob(tx, job)
    if (leavesQueue) await lowerHead(tx, { id: job.id, laneId: job.laneId! })
  }
  if (job.resourceKey !== null) await followResource(core, tx, job, to)
  if (job.environment !== null) await followDeployment(core, tx, job, to)
  await record(core, tx, {
    kind: is('finished', to) ? 'job.finished' : 'job.changed',
    projectId: job.projectId,
    pipelineId: job.pipelineId,
    jobId: job.id,
    runnerId: job.runnerId,
    data: {
      event,
      from,
      to,
      ...(by == null ? {} : { by }),
      ...(job.failureReason === null ? {} : { reason: job.failureReason }),
      ...(job.failureClass === null ? {} : { class: job.failureClass }),
      ...(is('finished', to) ? await spanOf(core, tx, job) : {}),
      ...data,
    },
  })
  return undefined
}

/** What a trace says of a job that is over. */
async function spanOf(core: Core, tx: Tx, job: Job): Promise<Record<string, string | number>> {
  const ids = jobSpan(core.keys, await getPipeline(tx, job.pipelineId), job.id)
  return {
    ...spanData(ids),
    name: job.name,
    ...(job.queuedAt === null ? {} : { queued_at: job.queuedAt }),
    ...(job.startedAt === null ? {} : { started_at: job.startedAt }),
  }
}

function noteFailure(job: Job, from: JobStatus, failure: Failure, now: number): void {
  if (job.status === 'failed') {
    job.failureReason = failure.reason
    job.failureClass = failure.class ?? null
    job.failureMessage = failure.message ?? null
    job.finishedAt = endOf(job, from, failure.reason, now)
  }
  if (failure.exitCode !== undefined && is('completed', job.status)) job.exitCode = failure.exitCode
}

/** A job that its runner did not end in time counts as ended at its timeout: nobody pays for more. */
function endOf(job: Job, from: JobStatus, reason: FailureReason, now: number): number {
  const timedOut = from === 'running' && (reason === 'job_execution_timeout' || reason === 'server_timeout_running')
  if (!timedOut || job.startedAt === null || job.timeoutS === null) return now
  return Math.min(now, job.startedAt + job.timeoutS * 1000)
}

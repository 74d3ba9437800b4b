/**
 * Step: one event of the job machine, applied to one job whose pipeline is locked. It decides by the table, writes the
 * row with all that a status change writes of itself, keeps the queue and the payload in step, and records the fact. What
 * follows for the pipeline is the caller's to do (`process-pipeline.ts`).
 */
import type { JobPlan } from '../ci-config/plan.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
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
import type { Giver } from '../store/artifacts.js'
import { saveJob } from '../store/jobs.js'
import { deletePayload } from '../store/payloads.js'
import { lowerHead } from '../store/queue.js'
import type { Tx } from '../store/write.js'
import { amendVerdict } from './amend-verdict.js'
import { followResource } from './assign-resource.js'
import { enqueueJob } from './enqueue-job.js'
import { finishWork } from './finish-work.js'
import { followDeployment } from './open-deployment.js'
import { contextOf } from './pipeline-context.js'
import { prepareJob } from './prepare-job.js'
import { record } from './record.js'
import { triggerDownstream } from './trigger-downstream.js'

export interface JobEventOptions {
  /** What the machine's guards look at. */
  facts?: Partial<JobFacts>
  /** Why, for `drop`. Stored only if the job really ends failed. */
  failure?: { reason: FailureReason; class?: string; message?: string | null; exitCode?: number | null }
  /** The user who wants it; undefined: the server or a runner. */
  by?: number | null | undefined
  /** Further fields written with the change. */
  set?: Partial<Job>
  /** What the job does, if it has been read. */
  plan?: JobPlan
  /** The givers of its pipeline, for a pass that queues many jobs; `listGivers` unless told. */
  givers?: () => Promise<Giver[]>
}

/**
 * Applies the event and changes `job` in place. Gives false, and changes nothing, if the job's status refuses the event.
 */
export async function applyJobEvent(
  core: Core,
  tx: Tx,
  job: Job,
  event: BridgeEvent,
  options: JobEventOptions = {},
): Promise<boolean> {
  const from = job.status
  const facts = {
    resource_group: job.resourceKey !== null,
    prerequisites: event.startsWith('enqueue') && (await needsPreparing(tx, job)),
    ...options.facts,
  }
  const to =
    job.kind === 'bridge' ? nextStatus(event, from, facts, bridgeMachine) : nextStatus(event as JobEvent, from, facts)
  if (to === undefined) return false
  const leavesQueue = job.inQueue === 1
  Object.assign(job, stampsOf(from, to, tx.now), options.set)
  job.inQueue = 0
  if (to === 'failed' && options.failure) {
    job.failureReason = options.failure.reason
    job.failureClass = options.failure.class ?? null
    job.failureMessage = options.failure.message ?? null
    job.finishedAt = endOf(job, from, options.failure.reason, tx.now)
  }
  if (options.failure?.exitCode !== undefined && is('completed', to)) job.exitCode = options.failure.exitCode
  if (to === 'pending' && job.kind === 'build') {
    const failure = await enqueueJob(core, tx, job, options)
    if (failure) return applyJobEvent(core, tx, job, 'drop', { failure })
  } else {
    await saveJob(tx, job)
    if (leavesQueue) await lowerHead(tx, { id: job.id, laneId: job.laneId! })
  }
  if (to === 'pending' && job.kind === 'bridge') {
    tx.afterCommit(() => triggerSoon(core, job.id))
  }
  if (to === 'preparing') tx.afterCommit(() => prepareSoon(core, job.id))
  if (is('completed', to) || to === 'waiting_for_callback') await deletePayload(tx, job.id)
  if (to === 'failed' && job.kind === 'build' && core.classifyLater) tx.afterCommit(() => amendSoon(core, job.id))
  if (job.finishWork === 1 && is('finished', to)) tx.afterCommit(() => finishSoon(core, job.id))
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
      ...(options.by == null ? {} : { by: options.by }),
      ...(job.failureReason === null ? {} : { reason: job.failureReason }),
      ...(job.failureClass === null ? {} : { class: job.failureClass }),
    },
  })
  return true
}

/** Its commit may be elsewhere yet. The project is read anyway when a job is queued. */
async function needsPreparing(tx: Tx, job: Job): Promise<boolean> {
  return job.kind === 'build' && (await contextOf(tx, job.pipelineId)).project.mirrored === 1
}

/** Prepares the job; what fails here for the moment, the sweep does later. */
function prepareSoon(core: Core, jobId: number): void {
  void prepareJob(core, jobId).catch((error) =>
    core.log.error({ err: error, job: jobId }, 'a job could not be prepared'),
  )
}

/** Makes the trigger job's pipeline; what fails here for the moment, the sweep does later. */
function triggerSoon(core: Core, jobId: number): void {
  void triggerDownstream(core, jobId).catch((error) =>
    core.log.error({ err: error, job: jobId }, 'a downstream pipeline could not be made'),
  )
}

/** Asks the configured classifiers about the failure; what they say is lost with a stop of the process. */
function amendSoon(core: Core, jobId: number): void {
  void amendVerdict(core, jobId).catch((error) =>
    core.log.error({ err: error, job: jobId }, 'a verdict could not be noted'),
  )
}

/** Does what is to be done after the job's end, once its log is closed; what is left then, the task `finish_work` does. */
function finishSoon(core: Core, jobId: number): void {
  if (core.isPaused('finish_work')) return
  void finishWork(core, jobId).catch((error) =>
    core.log.error({ err: error, job: jobId }, 'the work after a job’s end failed'),
  )
}

/** A job that its runner did not end in time counts as ended at its timeout: nobody pays for more. */
function endOf(job: Job, from: JobStatus, reason: FailureReason, now: number): number {
  const timedOut = from === 'running' && (reason === 'job_execution_timeout' || reason === 'server_timeout_running')
  if (!timedOut || job.startedAt === null || job.timeoutS === null) return now
  return Math.min(now, job.startedAt + job.timeoutS * 1000)
}

/** The same for an event that the caller knows to be possible. Throws `conflict` if it is not. */
export async function mustApplyJobEvent(
  core: Core,
  tx: Tx,
  job: Job,
  event: JobEvent,
  options: JobEventOptions = {},
): Promise<void> {
  if (!(await applyJobEvent(core, tx, job, event, options))) {
    throw new SignalboxError('conflict', `job ${job.id} is ${job.status}: ${event} is not possible`)
  }
}

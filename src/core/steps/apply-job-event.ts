/**
 * Step: one event of the job machine, applied to one job whose pipeline is locked. The table decides the status
 * (`change-status.ts` writes it); here stands what a new status means for the job itself: it is queued, its payload goes,
 * and what must follow the commit is named. What follows for the pipeline is the caller's to do (`process-pipeline.ts`).
 */
import type { JobPlan } from '../ci-config/job-definition.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import { type BridgeEvent, is, type JobEvent, type JobFacts } from '../lifecycle/job-machine.js'
import type { Giver } from '../store/artifacts.js'
import { deletePayload } from '../store/payloads.js'
import type { Tx } from '../store/write.js'
import { changeStatus, type StatusChange, statusAfter } from './change-status.js'
import { enqueueJob } from './enqueue-job.js'
import { contextOf } from './pipeline-context.js'

/** What comes with an event, and what is known already and need not be read. */
export interface JobEventOptions extends Pick<StatusChange, 'failure' | 'by' | 'set'> {
  /** What the machine's guards look at. */
  facts?: Partial<JobFacts>
  /** What the job does, if it has been read. */
  plan?: JobPlan
  /** The givers of its pipeline, for a pass that queues many jobs; `listGivers` unless told. */
  givers?: () => Promise<Giver[]>
}

/**
 * Applies the event and changes `job` in place. Returns false, and changes nothing, if the job's status refuses the event.
 */
export async function applyJobEvent(
  core: Core,
  tx: Tx,
  job: Job,
  event: BridgeEvent,
  options: JobEventOptions = {},
): Promise<boolean> {
  const to = statusAfter(job, event, {
    prerequisites: event.startsWith('enqueue') && (await needsPreparing(tx, job)),
    ...options.facts,
  })
  if (to === undefined) return false
  const { failure, by, set } = options
  const queue = to === 'pending' && job.kind === 'build' ? () => enqueueJob(core, tx, job, options) : undefined
  const endsPayload = job.payloadKept === 1 && (is('completed', to) || to === 'waiting_for_callback')
  if (endsPayload) {
    await deletePayload(tx, job.id)
    job.payloadKept = 0
  }
  const refused = await changeStatus(core, tx, job, { event, to, failure, by, set }, queue)
  if (refused) return applyJobEvent(core, tx, job, 'drop', { failure: refused })
  nameFollowUps(core, tx, job)
  return true
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

/** What the job's new status asks for in a transaction of its own. */
function nameFollowUps(core: Core, tx: Tx, { id: jobId, kind, status, finishWork }: Job): void {
  const soon = (name: 'trigger_downstream' | 'prepare_job' | 'amend_verdict' | 'finish_work') =>
    tx.afterCommit(() => core.followUps.soon(name, { jobId }))
  if (status === 'pending' && kind === 'bridge') soon('trigger_downstream')
  if (status === 'preparing') soon('prepare_job')
  if (status === 'failed' && kind === 'build' && core.classifyLater) soon('amend_verdict')
  if (finishWork === 1 && is('finished', status) && !core.isPaused('finish_work')) soon('finish_work')
}

/** Its commit may be elsewhere yet. The project is read anyway when a job is queued. */
async function needsPreparing(tx: Tx, job: Job): Promise<boolean> {
  return job.kind === 'build' && (await contextOf(tx, job.pipelineId)).project.mirrored === 1
}

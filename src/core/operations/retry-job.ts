/** A job is tried again: a new job takes its name, and the old one stays as it is. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { type Job, neverRun } from '../job.js'
import type { JobStatus } from '../lifecycle/job-machine.js'
import {
  findJobVariables,
  getDefinition,
  insertJob,
  insertNeeds,
  listNeeds,
  lockJob,
  saveJob,
  saveJobVariables,
} from '../store/jobs.js'
import type { Tx } from '../store/write.js'
import { finishWorkOf } from './new-job.js'
import { processPipeline } from './process-pipeline.js'
import { record } from './record.js'
import { resetSkippedJobs } from './reset-skipped-jobs.js'

const retryable: readonly JobStatus[] = ['success', 'failed', 'canceled', 'canceling']

/** Whether the job starts when a person says so: such a one is queued at once when it is tried again. */
export function waitsForPeople(job: Pick<Job, 'runWhen'>): boolean {
  return job.runWhen === 'manual' || job.runWhen === 'delayed'
}

/** Trying again would end the same way. */
const neverAgain = new Set<string | null>([
  'deployment_rejected',
  'pipeline_loop_detected',
  'reached_max_descendant_pipelines_depth',
])

/** Whether a person may try the job again. */
export function isRetryable(job: Pick<Job, 'kind' | 'status' | 'retried' | 'failureReason'>): boolean {
  // What an outside check says, only that check can say again.
  return (
    job.kind !== 'external' && job.retried === 0 && retryable.includes(job.status) && !neverAgain.has(job.failureReason)
  )
}

/** Retries a job. Gives the new one. Throws `not_found`; `forbidden` when the job cannot be retried. */
export function retryJob(core: Core, input: { jobId: number; userId: number | null }): Promise<Job> {
  return core.store.write(async (tx) => {
    const old = await lockJob(tx, input.jobId)
    if (!old) throw new SignalboxError('not_found', `no job ${input.jobId}`)
    if (!isRetryable(old)) throw new SignalboxError('forbidden', `job ${old.id} cannot be retried`)
    const job = await retryLocked(core, tx, old, {
      userId: input.userId,
      byHand: true,
      enqueueAtOnce: waitsForPeople(old),
    })
    await resetSkippedJobs(core, tx, old, input.userId)
    await processPipeline(core, tx, old.pipelineId)
    return (await lockJob(tx, job.id))!
  })
}

/** Step: the clone of a locked job, `created`; the pipeline is the caller's to process. */
export async function retryLocked(
  core: Core,
  tx: Tx,
  old: Job,
  by: { userId: number | null; enqueueAtOnce?: boolean; byHand?: boolean },
): Promise<Job> {
  const needs = await listNeeds(tx, old.id)
  old.retried = 1
  await saveJob(tx, old)
  const { id: retryOf, ...taken } = old
  const job = await insertJob(tx, {
    ...taken,
    ...neverRun,
    retryOf,
    finishWork: finishWorkOf(await getDefinition(tx, old.definitionId)),
    userId: by.userId,
    enqueueAtOnce: by.enqueueAtOnce ? 1 : 0,
    createdAt: tx.now,
    updatedAt: tx.now,
  })
  await insertNeeds(tx, job.id, needs)
  if (waitsForPeople(old)) {
    const variables = await findJobVariables(tx, old.id)
    if (variables) await saveJobVariables(tx, job.id, variables)
  }
  await record(core, tx, {
    kind: 'job.retried',
    projectId: job.projectId,
    pipelineId: job.pipelineId,
    jobId: job.id,
    data: { of: old.id, ...(by.userId === null || !by.byHand ? {} : { by: by.userId }) },
  })
  return job
}

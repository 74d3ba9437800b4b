/** A job is tried again: a new job takes its name, and the old one stays as it is. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { type Job, waitsForPeople } from '../job.js'
import type { JobStatus } from '../lifecycle/job-machine.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { resetSkippedJobs } from '../steps/reset-skipped-jobs.js'
import { retryLocked } from '../steps/retry-locked.js'
import { lockJob } from '../store/jobs.js'

const retryable: readonly JobStatus[] = ['success', 'failed', 'canceled', 'canceling']
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

/** Retries a job. Returns the new one. Throws `not_found`; `forbidden` when the job cannot be retried. */
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

/** The server fails a job by itself, whoever runs it. */
import type { Core } from '../core.js'
import type { FailureReason } from '../failure.js'
import type { Job } from '../job.js'
import { lockJob } from '../store/jobs.js'
import type { Tx } from '../store/write.js'
import { applyJobEvent } from './apply-job-event.js'
import { endOpenLease } from './end-lease.js'
import { afterFinish } from './finish-job.js'
import { processPipeline } from './process-pipeline.js'

/**
 * Fails the job (a canceling one becomes canceled) and ends its lease. Gives false if its status does not allow it.
 */
export function dropJob(
  core: Core,
  jobId: number,
  failure: { reason: FailureReason; class: string; message?: string },
): Promise<boolean> {
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, jobId)
    return job !== undefined && (await dropLocked(core, tx, job, failure))
  })
}

/** Step: the same for a job that is locked. `by`: the user who wants it. */
export async function dropLocked(
  core: Core,
  tx: Tx,
  job: Job,
  failure: { reason: FailureReason; class: string; message?: string },
  by?: number | null,
): Promise<boolean> {
  if (!(await applyJobEvent(core, tx, job, 'drop', { failure, by }))) return false
  await endOpenLease(core, tx, job, 'released', failure.reason)
  await afterFinish(core, tx, job)
  await processPipeline(core, tx, job.pipelineId)
  return true
}

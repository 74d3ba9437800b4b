/** The server fails a job by itself, whoever runs it. */
import type { Core } from '../core.js'
import type { FailureReason } from '../failure.js'
import { dropLocked } from '../steps/drop-locked.js'
import { lockJob } from '../store/jobs.js'

/**
 * Fails the job (a canceling one becomes canceled) and ends its lease. Returns false if its status does not allow it.
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

/** A person cancels one job. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import { is } from '../lifecycle/job-machine.js'
import { cancelLocked } from '../steps/cancel-locked.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { lockJob } from '../store/jobs.js'

/**
 * Cancels a job: what has not started is canceled at once; a running one is stopped gracefully (status `canceling`) if its
 * manager can, else at once. `force` ends a `canceling` job without waiting for its runner.
 * Throws `not_found`; `invalid` when the job's status does not allow it.
 */
export function cancelJob(core: Core, input: { jobId: number; force?: boolean; userId?: number | null }): Promise<Job> {
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, input.jobId)
    if (!job) throw new SignalboxError('not_found', `no job ${input.jobId}`)
    const possible = job.status === 'canceling' ? input.force === true : is('alive', job.status)
    if (!possible) throw new SignalboxError('invalid', `job ${job.id} is ${job.status} and cannot be canceled`)
    await cancelLocked(core, tx, job, input.userId)
    await processPipeline(core, tx, job.pipelineId)
    return job
  })
}

/** A person starts a manual or delayed job. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import { lockJob } from '../store/jobs.js'
import { applyJobEvent } from './apply-job-event.js'
import { processPipeline } from './process-pipeline.js'
import { resetSkippedJobs } from './reset-skipped-jobs.js'

/** Throws `not_found`; `invalid` when the job does not wait for anybody. */
export function playJob(core: Core, input: { jobId: number; userId: number | null }): Promise<Job> {
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, input.jobId)
    if (!job) throw new SignalboxError('not_found', `no job ${input.jobId}`)
    const playable = job.status === 'manual' || job.status === 'scheduled'
    const set = { userId: input.userId, scheduledAt: null }
    if (!playable || !(await applyJobEvent(core, tx, job, 'enqueue', { set }))) {
      throw new SignalboxError('invalid', `job ${job.id} is ${job.status} and cannot be played`)
    }
    await resetSkippedJobs(core, tx, job, input.userId)
    await processPipeline(core, tx, job.pipelineId)
    return (await lockJob(tx, job.id))!
  })
}

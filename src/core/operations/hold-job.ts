/** An outside system keeps a job from runners until it calls back (`call-back.ts`). See `docs/decisions/0018`. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import { applyJobEvent } from '../steps/apply-job-event.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { lockJob, saveJob } from '../store/jobs.js'

/**
 * Holds a job whose turn has not come, or that waits for a runner. Throws `not_found`; `conflict` for a job that a runner
 * has been offered, that has a resource, or whose status does not allow it: then it is too late.
 */
export function holdJob(core: Core, input: { jobId: number; userId: number | null }): Promise<Job> {
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, input.jobId)
    if (!job) throw new SignalboxError('not_found', `no job ${input.jobId}`)
    const queued = job.status === 'pending'
    const possible = job.kind !== 'external' && (!queued || job.inQueue === 1)
    const set = queued ? { queuedAt: null } : {}
    if (!possible || !(await applyJobEvent(core, tx, job, 'hold', { by: input.userId, set }))) {
      throw new SignalboxError('conflict', `job ${job.id} is ${job.status} and cannot be held any more`)
    }
    // Whoever was to start one that had been queued has started it, and is not asked for again.
    if (queued) {
      job.enqueueAtOnce = 1
      await saveJob(tx, job)
    }
    await processPipeline(core, tx, job.pipelineId)
    return job
  })
}

/** A person starts a manual or delayed job. */
import type { PlanVariable } from '../ci-config/plan.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import { lockJob, saveJobVariables } from '../store/jobs.js'
import { applyGatedAlone } from './open-deployment.js'
import { processPipeline } from './process-pipeline.js'
import { resetSkippedJobs } from './reset-skipped-jobs.js'
import { isRetryable, retryLocked, waitsForPeople } from './retry-job.js'

/** Whether a person may start it: it waits for one, or it did and has ended. */
export function isPlayable(job: Job): boolean {
  if (job.status === 'manual' || job.status === 'scheduled') return true
  return waitsForPeople(job) && isRetryable(job)
}

/**
 * Plays a job; `variables` beat those of the pipeline. One that has run already is tried again. Gives the job that runs now.
 * Throws `not_found`; `invalid` when the job does not wait for anybody, or variables are given to a trigger job.
 */
export function playJob(
  core: Core,
  input: { jobId: number; userId: number | null; variables?: readonly PlanVariable[] },
): Promise<Job> {
  const { jobId, userId, variables = [] } = input
  return core.store.write(async (tx) => {
    let job = await lockJob(tx, jobId)
    if (!job) throw new SignalboxError('not_found', `no job ${jobId}`)
    if (!isPlayable(job)) throw new SignalboxError('invalid', `job ${job.id} is ${job.status} and cannot be played`)
    if (variables.length > 0 && job.kind === 'bridge') {
      throw new SignalboxError('invalid', 'a trigger job takes no variables')
    }
    const waits = job.status === 'manual' || job.status === 'scheduled'
    const before = job
    if (!waits) job = await retryLocked(core, tx, job, { userId, enqueueAtOnce: true, byHand: true })
    if (variables.length > 0) {
      await saveJobVariables(tx, job.id, core.keys.seal(Buffer.from(JSON.stringify(variables))))
    }
    if (waits) await applyGatedAlone(core, tx, job, 'enqueue', { by: userId, set: { userId, scheduledAt: null } })
    await resetSkippedJobs(core, tx, before, userId)
    await processPipeline(core, tx, job.pipelineId)
    return (await lockJob(tx, job.id))!
  })
}

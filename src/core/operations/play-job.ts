/** A person starts a manual or delayed job. */
import { withValues } from '../ci-config/inputs.js'
import type { JobPlan, PlanInput } from '../ci-config/job-definition.js'
import { limits } from '../ci-config/limits.js'
import type { PlanVariable } from '../ci-config/variables.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import { type GivenToJob, waitsForPeople } from '../job.js'
import { applyGatedAlone } from '../steps/gate-job.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { resetSkippedJobs } from '../steps/reset-skipped-jobs.js'
import { retryLocked } from '../steps/retry-locked.js'
import { getDefinition, lockJob, saveJobVariables } from '../store/jobs.js'
import { isRetryable } from './retry-job.js'

/** Whether a person may start it: it waits for one, or it did and has ended. */
export function isPlayable(job: Job): boolean {
  if (job.status === 'manual' || job.status === 'scheduled') return true
  return waitsForPeople(job) && isRetryable(job)
}

/**
 * Plays a job; `variables` beat those of the pipeline, `inputs` are other values for inputs of the job. One that has run
 * already is tried again. Returns the job that runs now. Throws `not_found`; `invalid` when the job does not wait for anybody,
 * variables are given to a trigger job, or (with `details.inputs`) an input is not the job's or not as it asks.
 */
export function playJob(
  core: Core,
  input: {
    jobId: number
    userId: number | null
    variables?: readonly PlanVariable[]
    inputs?: Readonly<Record<string, unknown>>
  },
): Promise<Job> {
  const { jobId, userId, variables = [] } = input
  return core.store.write(async (tx) => {
    let job = await lockJob(tx, jobId)
    if (!job) throw new SignalboxError('not_found', `no job ${jobId}`)
    if (!isPlayable(job)) throw new SignalboxError('invalid', `job ${job.id} is ${job.status} and cannot be played`)
    if (variables.length > 0 && job.kind === 'bridge') {
      throw new SignalboxError('invalid', 'a trigger job takes no variables')
    }
    const inputs = input.inputs && chosen(await getDefinition(tx, job.definitionId), input.inputs)
    const waits = job.status === 'manual' || job.status === 'scheduled'
    const before = job
    if (!waits) job = await retryLocked(core, tx, job, { userId, enqueueAtOnce: true, byHand: true })
    if (variables.length > 0 || inputs !== undefined) {
      const given: GivenToJob = { variables, ...(inputs === undefined ? {} : { inputs }) }
      await saveJobVariables(tx, job.id, core.keys.seal(Buffer.from(JSON.stringify(given))))
    }
    if (waits) await applyGatedAlone(core, tx, job, 'enqueue', { by: userId, set: { userId, scheduledAt: null } })
    await resetSkippedJobs(core, tx, before, userId)
    await processPipeline(core, tx, job.pipelineId)
    return (await lockJob(tx, job.id))!
  })
}

function chosen(plan: JobPlan, given: Readonly<Record<string, unknown>>): PlanInput[] {
  const tooMany = Object.keys(given).length > limits.givenInputs
  const { inputs, problems } = tooMany
    ? { inputs: [], problems: [`a job takes ${limits.givenInputs} inputs at most`] }
    : withValues(plan.inputs ?? [], given)
  if (problems.length > 0) throw new SignalboxError('invalid', problems.join(', '), { details: { inputs: true } })
  return inputs
}

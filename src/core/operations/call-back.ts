/** The outside system that holds a job (`hold-job.ts`) says how it goes on. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import { mustApplyJobEvent } from '../steps/apply-job-event.js'
import { dropLocked } from '../steps/drop-locked.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { lockJob } from '../store/jobs.js'

/** `continue`: its turn comes as if nothing had been. `success`, `failed`: it ends so, and no runner sees it. */
export const callbackResults = ['continue', 'success', 'failed'] as const
/** What the outside system says of the job that it holds. */
export type CallbackResult = (typeof callbackResults)[number]

/** Returns the job as it is then. Throws `not_found`; `conflict` for a job that does not wait for a callback. */
export function callBack(
  core: Core,
  input: { jobId: number; result: CallbackResult; message?: string; userId: number | null },
): Promise<Job> {
  const { jobId, result, message, userId } = input
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, jobId)
    if (!job) throw new SignalboxError('not_found', `no job ${jobId}`)
    if (job.status !== 'waiting_for_callback') {
      throw new SignalboxError('conflict', `job ${jobId} is ${job.status} and waits for no callback`)
    }
    if (result === 'failed') {
      const said = message === undefined ? {} : { message }
      await dropLocked(core, tx, job, { reason: 'api_failure', class: 'policy', ...said }, { by: userId })
    } else {
      await mustApplyJobEvent(core, tx, job, result === 'continue' ? 'call_back' : 'success', { by: userId })
      await processPipeline(core, tx, job.pipelineId)
    }
    return (await lockJob(tx, jobId))!
  })
}

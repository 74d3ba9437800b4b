/** A person tries again what has failed or was canceled in a pipeline. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Pipeline } from '../pipeline.js'
import { applyJobEvent } from '../steps/apply-job-event.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { retryLocked } from '../steps/retry-locked.js'
import { getJob, listCurrentJobs } from '../store/jobs.js'
import { findPipeline, getPipeline, lockPipeline } from '../store/pipelines.js'
import { writeForAll } from './one-at-a-time.js'
import { isRetryable } from './retry-job.js'

/** Jobs that succeeded are kept; skipped ones get another chance. Throws `not_found`. */
export function retryPipeline(core: Core, input: { pipelineId: number; userId: number | null }): Promise<Pipeline> {
  return writeForAll(core, input.pipelineId, async (tx) => {
    if (!(await findPipeline(tx, input.pipelineId))) {
      throw new SignalboxError('not_found', `no pipeline ${input.pipelineId}`)
    }
    await lockPipeline(tx, input.pipelineId)
    for (const { id, status } of await listCurrentJobs(tx, input.pipelineId)) {
      const job = await getJob(tx, id)
      if (status === 'skipped') {
        await applyJobEvent(core, tx, job, 'process', { set: { userId: input.userId } })
      } else if ((status === 'failed' || status === 'canceled') && isRetryable(job)) {
        await retryLocked(core, tx, job, { userId: input.userId, byHand: true })
      }
    }
    await processPipeline(core, tx, input.pipelineId)
    return getPipeline(tx, input.pipelineId)
  })
}

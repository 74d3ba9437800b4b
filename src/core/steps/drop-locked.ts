/** Step: the server fails a job whose pipeline is locked. */
import type { Core } from '../core.js'
import type { FailureReason } from '../failure.js'
import type { Job } from '../job.js'
import type { Tx } from '../store/write.js'
import { afterFinish } from './after-finish.js'
import { applyJobEvent } from './apply-job-event.js'
import { endOpenLease } from './end-lease.js'
import { processPipeline } from './process-pipeline.js'

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

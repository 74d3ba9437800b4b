/** Step: the server fails a job whose pipeline is locked. */
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import type { LeaseEnd } from '../store/leases.js'
import type { Tx } from '../store/write.js'
import { afterFinish } from './after-finish.js'
import { applyJobEvent } from './apply-job-event.js'
import type { Failure } from './change-status.js'
import { endOpenLease } from './end-lease.js'
import { processPipeline } from './process-pipeline.js'

/**
 * Returns false, and changes nothing, if the job has ended. `by`: the user who wants it. `lease`: what becomes of its open
 * lease; released unless told.
 */
export async function dropLocked(
  core: Core,
  tx: Tx,
  job: Job,
  failure: Failure,
  { by, lease = 'release' }: { by?: number | null; lease?: LeaseEnd['event'] } = {},
): Promise<boolean> {
  if (!(await applyJobEvent(core, tx, job, 'drop', { failure, by }))) return false
  await endOpenLease(core, tx, job, { event: lease, reason: failure.reason })
  await afterFinish(core, tx, job)
  await processPipeline(core, tx, job.pipelineId)
  return true
}

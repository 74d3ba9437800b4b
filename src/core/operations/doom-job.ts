/**
 * The last resort for a job that cannot be failed in the ordinary way, because what follows from its end throws: it is
 * failed with `data_integrity_failure`, and nothing follows. Rule: gitlab app/models/commit_status.rb (`doom!`).
 */
import type { Core } from '../core.js'
import { stampsOf } from '../job.js'
import { statusAfter } from '../steps/change-status.js'
import { endOpenLease } from '../steps/end-lease.js'
import { record } from '../steps/record.js'
import { lockJob, saveJob } from '../store/jobs.js'
import { deletePayload } from '../store/payloads.js'
import { lowerHead } from '../store/queue.js'

/** Returns false if the job has ended meanwhile. */
export function doomJob(core: Core, jobId: number): Promise<boolean> {
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, jobId)
    const to = job && statusAfter(job, 'doom')
    if (!job || to === undefined) return false
    const from = job.status
    const wasQueued = job.inQueue === 1
    Object.assign(job, stampsOf(from, to, tx.now), {
      failureReason: 'data_integrity_failure',
      failureClass: 'internal',
      inQueue: 0,
      payloadKept: 0,
    })
    await saveJob(tx, job)
    if (wasQueued) await lowerHead(tx, { id: job.id, laneId: job.laneId! })
    await deletePayload(tx, job.id)
    await endOpenLease(core, tx, job, { event: 'release', reason: 'data_integrity_failure' })
    await record(core, tx, {
      kind: 'job.finished',
      projectId: job.projectId,
      pipelineId: job.pipelineId,
      jobId: job.id,
      data: { event: 'doom', from, to, reason: 'data_integrity_failure' },
    })
    return true
  })
}

/** The sweep over delayed jobs: those whose time has come go to the queue. */
import type { Core } from '../core.js'
import { applyGatedAlone } from '../steps/gate-job.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { listDueJobs, lockJob } from '../store/jobs.js'

const batch = 500

/** Returns how many were queued. */
export async function enqueueDueJobs(core: Core): Promise<number> {
  const due = await listDueJobs(core.store.read, core.clock.now(), batch)
  let queued = 0
  for (const id of due) {
    const applied = await core.store.write(async (tx) => {
      const job = await lockJob(tx, id)
      const isDue = job !== undefined && (job.scheduledAt === null || job.scheduledAt <= tx.now)
      if (!job || !isDue || !(await applyGatedAlone(core, tx, job, 'enqueue_scheduled', { facts: { due: isDue } })))
        return false
      await processPipeline(core, tx, job.pipelineId)
      return true
    })
    if (applied) queued++
  }
  return queued
}

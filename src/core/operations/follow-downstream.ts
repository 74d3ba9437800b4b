/**
 * A trigger job with a strategy follows its pipeline: what becomes of the one becomes of the other. Rules: gitlab
 * app/models/ci/bridge.rb, app/services/ci/pipeline_bridge_status_service.rb.
 */
import type { Core } from '../core.js'
import { eachSafely } from '../each-safely.js'
import { is, type JobStatus } from '../lifecycle/job-machine.js'
import { applyJobEvent } from '../steps/apply-job-event.js'
import { copyStatus } from '../steps/copy-status.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { resetSkippedJobs } from '../steps/reset-skipped-jobs.js'
import { findDownstream, listUnsettledBridges } from '../store/downstream.js'
import { getDefinition, lockJob } from '../store/jobs.js'
import { followUpstream } from './mirror-upstream.js'
import { triggerDownstream, triggerOf } from './trigger-downstream.js'

/** What the trigger job takes over of its pipeline's status, by strategy; what is not named changes nothing. */
const copied: Record<'depend' | 'mirror', Partial<Record<JobStatus, JobStatus>>> = {
  depend: { success: 'success', failed: 'failed', canceled: 'canceled', skipped: 'failed' },
  mirror: { success: 'success', failed: 'failed', canceled: 'canceled', skipped: 'skipped', manual: 'manual' },
}

/** Brings a trigger job up to date with its pipeline. Safe to repeat. */
export function followDownstream(core: Core, jobId: number): Promise<void> {
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, jobId)
    if (job?.kind !== 'bridge' || job.retried === 1) return
    const downstream = await findDownstream(tx, jobId)
    if (job.status === 'canceling') {
      if (downstream && !is('completed', downstream.status) && downstream.status !== 'manual') return
      await applyJobEvent(core, tx, job, 'finish_cancel')
      await processPipeline(core, tx, job.pipelineId)
      return
    }
    const { strategy } = triggerOf(await getDefinition(tx, job.definitionId))
    if (!downstream || strategy === undefined) return
    const why = {
      data: { downstream: downstream.id },
      failure: `The downstream pipeline ${downstream.id} did not succeed.`,
    }
    const to = copied[strategy][downstream.status]
    const again = to === undefined && is('completed', job.status) && is('active', downstream.status)
    if (to === undefined ? !again : to === job.status) return
    await copyStatus(core, tx, job, to ?? 'pending', why)
    if (again) await resetSkippedJobs(core, tx, job, job.userId)
    await processPipeline(core, tx, job.pipelineId)
  })
}

/** The sweep: makes the pipelines, and takes in the ends, that a crash between two commits has left out. */
export async function settleBridges(core: Core): Promise<number> {
  const { waiting, behind, mirrors } = await listUnsettledBridges(core.store.read)
  const made = await eachSafely(core.log, 'making a downstream pipeline', waiting, (id) => triggerDownstream(core, id))
  const followed = await eachSafely(core.log, 'following a downstream pipeline', behind, (id) =>
    followDownstream(core, id),
  )
  return (
    made + followed + (await eachSafely(core.log, 'mirroring a pipeline', mirrors, (id) => followUpstream(core, id)))
  )
}

/**
 * A person deletes a pipeline: its jobs are ended without waiting for their runners, and everything of them goes, logs and
 * artifacts included. Child pipelines are canceled and stay. Rule: gitlab app/services/ci/destroy_pipeline_service.rb.
 */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import { is } from '../lifecycle/job-machine.js'
import type { Pipeline } from '../pipeline.js'
import { applyJobEvent } from '../steps/apply-job-event.js'
import { endOpenLease } from '../steps/end-lease.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { record } from '../steps/record.js'
import { removeLater } from '../steps/remove-later.js'
import { deletePipelineRows } from '../store/deletions.js'
import { listChildren, listMirrorsOf } from '../store/downstream.js'
import { findJob, listCurrentJobs, lockJob } from '../store/jobs.js'
import { findPipeline, lockPipeline } from '../store/pipelines.js'
import { findProject } from '../store/projects.js'
import { insertRemovalsOfPipeline } from '../store/removals.js'
import type { Tx } from '../store/write.js'

/** A runner that still has a job of it is refused from then on. Throws `not_found`. */
export function deletePipeline(core: Core, input: { pipelineId: number; userId?: number | null }): Promise<void> {
  const { pipelineId, userId } = input
  return core.store.write(async (tx) => {
    await lockPipeline(tx, pipelineId)
    const pipeline = await findPipeline(tx, pipelineId)
    if (!pipeline) throw new SignalboxError('not_found', `no pipeline ${pipelineId}`)
    await deletePipelineIn(core, tx, pipeline, userId)
  })
}

/** Step: deletes a pipeline that is locked. */
export async function deletePipelineIn(core: Core, tx: Tx, pipeline: Pipeline, userId?: number | null): Promise<void> {
  const { id: pipelineId, projectId, iid, ref } = pipeline
  const children = await listChildren(tx, pipelineId)
  for (const { id, status } of await listCurrentJobs(tx, pipelineId)) {
    if (is('completed', status)) continue
    const job = await findJob(tx, id)
    if (job) await endAtOnce(core, tx, job, userId)
  }
  await releaseFollowers(core, tx, pipeline, userId)
  const removals = await insertRemovalsOfPipeline(tx, pipelineId)
  await deletePipelineRows(tx, pipelineId)
  await record(core, tx, {
    kind: 'pipeline.deleted',
    projectId,
    pipelineId,
    data: { iid, ref, ...(userId == null ? {} : { by: userId }) },
  })
  tx.afterCommit(() => {
    core.repositories.unpin({ id: projectId }, pipelineId)
    for (const child of children) core.followUps.soon('cancel_child', { pipelineId: child })
  })
  removeLater(core, tx, removals)
}

async function endAtOnce(core: Core, tx: Tx, job: Job, by: number | null | undefined): Promise<boolean> {
  const event = job.kind === 'bridge' ? 'finish_cancel' : job.status === 'canceling' ? 'force_cancel' : 'cancel'
  if (!(await applyJobEvent(core, tx, job, event, { by, facts: { cancel_gracefully: false } }))) return false
  await endOpenLease(core, tx, job, { event: 'release', reason: 'deleted' })
  return true
}

/** Trigger jobs that follow this pipeline would follow it for ever. Those of a project that goes too end with that. */
async function releaseFollowers(core: Core, tx: Tx, pipeline: Pipeline, by: number | null | undefined): Promise<void> {
  const followers = await listMirrorsOf(tx, pipeline.id)
  if (pipeline.sourceJobId !== null) followers.push(pipeline.sourceJobId)
  for (const id of followers) {
    const job = await lockJob(tx, id)
    if (!job || !(await findProject(tx, job.projectId))) continue
    if (await endAtOnce(core, tx, job, by)) await processPipeline(core, tx, job.pipelineId)
  }
}

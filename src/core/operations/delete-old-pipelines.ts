/**
 * Pipelines go that were made longer ago than their project keeps them, with their logs, artifacts and all else: files after
 * the commit that deletes their rows, by the task `remove_deleted` if a crash comes between. What goes on stays, and so do
 * the newest successful pipeline of a ref, if its project wants that, and what an environment is at.
 * Rules: https://docs.gitlab.com/ci/pipelines/settings/#automatic-pipeline-cleanup and
 * https://docs.gitlab.com/ci/jobs/job_artifacts/#keep-artifacts-from-most-recent-successful-jobs
 */
import { setImmediate as turn } from 'node:timers/promises'
import type { Core } from '../core.js'
import { eachSafely } from '../each-safely.js'
import { is } from '../lifecycle/job-machine.js'
import type { Pipeline } from '../pipeline.js'
import { removeLater } from '../steps/remove-later.js'
import { deletePartsOf } from '../store/deletions.js'
import { findPipeline, lockPipeline } from '../store/pipelines.js'
import { findProject } from '../store/projects.js'
import { insertRemovalsOfJobs } from '../store/removals.js'
import { isDeployed, isLatestOfRef, listJobIds, listOldPipelines, listRetentions } from '../store/retention.js'
import type { Reader, Tx } from '../store/write.js'
import { deletePipelineIn } from './delete-pipeline.js'

/** Pipelines in one run: it has a next one, and other tasks have their turn. */
const mostInARun = 2000
const batch = 50
/** Jobs whose parts one transaction takes away. */
const jobsAtOnce = 50

/** The sweep. Gives how many were deleted. */
export async function deleteOldPipelines(core: Core): Promise<number> {
  const { store, clock, settings, log } = core
  let deleted = 0
  for (const { id, keptMs } of await listRetentions(store.read, settings.retention.pipelinesMs)) {
    for (let after = { id: 0, createdAt: 0 }; deleted < mostInARun; ) {
      const old = await listOldPipelines(store.read, id, clock.now() - keptMs, after, batch)
      await eachSafely(log, 'deleting an old pipeline', old, async (pipeline) => {
        // Others have their turn before each.
        await turn()
        if ((await mayGo(store.read, pipeline)) && (await remove(core, pipeline.id))) deleted++
      })
      if (old.length < batch) break
      after = old.at(-1)!
    }
  }
  return deleted
}

/** A large one in several transactions: first what belongs to its jobs, then themselves. Gives whether it is gone. */
async function remove(core: Core, pipelineId: number): Promise<boolean> {
  for (let after = 0; ; ) {
    const jobIds = await listJobIds(core.store.read, pipelineId, after, jobsAtOnce)
    if (jobIds.length < jobsAtOnce) break
    const removals = await core.store.write(async (tx) => {
      if (!(await lockOld(tx, pipelineId))) return undefined
      const places = await insertRemovalsOfJobs(tx, jobIds)
      removeLater(core, tx, places)
      await deletePartsOf(tx, jobIds)
      return places
    })
    if (!removals) return false
    after = jobIds.at(-1)!
    await turn()
  }
  return core.store.write(async (tx) => {
    const pipeline = await lockOld(tx, pipelineId)
    if (pipeline) await deletePipelineIn(core, tx, pipeline)
    return pipeline !== undefined
  })
}

/** The pipeline as it is now, if nothing keeps it. */
async function lockOld(tx: Tx, id: number): Promise<Pipeline | undefined> {
  await lockPipeline(tx, id)
  const pipeline = await findPipeline(tx, id)
  return pipeline && (await mayGo(tx, pipeline)) ? pipeline : undefined
}

async function mayGo(from: Reader | Tx, pipeline: Pipeline): Promise<boolean> {
  if (!is('completed', pipeline.status) && pipeline.status !== 'manual') return false
  const project = await findProject(from, pipeline.projectId)
  if (!project || (project.keepLatest === 1 && (await isLatestOfRef(from, pipeline)))) return false
  return !(await isDeployed(from, pipeline.id))
}

/**
 * A new pipeline of a ref makes older ones redundant: what of them may be interrupted is canceled.
 * Rules: gitlab app/services/ci/pipeline_creation/cancel_redundant_pipelines_service.rb.
 */
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import { is } from '../lifecycle/job-machine.js'
import type { Pipeline } from '../pipeline.js'
import type { Project } from '../project.js'
import { cancelLocked } from '../steps/cancel-locked.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { findJob, listCurrentJobs, listDefinitions } from '../store/jobs.js'
import { getPipeline, listRedundantPipelines, lockPipeline, setAutoCanceledBy } from '../store/pipelines.js'
import type { Tx } from '../store/write.js'

const oldestMs = 7 * 24 * 3_600_000
const mostCandidates = 3000

/** Sources of pipelines that do not stand for what a ref is now. */
const dangling = ['webide']

/**
 * Returns the ids of the pipelines that something was canceled of. A further pipeline of the commit that was looked at last
 * costs nothing: what could be canceled for it was then.
 */
export async function cancelRedundantPipelines(core: Core, pipeline: Pipeline, project: Project): Promise<number[]> {
  if (project.autoCancel === 0 || pipeline.source === 'parent_pipeline') return []
  const { redundantFor } = core.memory
  const key = `${project.id} ${pipeline.ref}`
  if (redundantFor.get(key) === pipeline.sha) return []
  const candidates = await listRedundantPipelines(core.store.read, pipeline, {
    since: pipeline.createdAt - oldestMs,
    limit: mostCandidates,
  })
  const canceled: number[] = []
  for (const { id, source } of candidates.toReversed()) {
    if (dangling.includes(source)) continue
    if (await core.store.write((tx) => cancelInterruptible(core, tx, id, pipeline.id))) canceled.push(id)
  }
  redundantFor.set(key, pipeline.sha)
  return canceled
}

/** Cancels what the candidate's own strategy allows. Returns whether there was anything. */
async function cancelInterruptible(core: Core, tx: Tx, id: number, by: number): Promise<boolean> {
  await lockPipeline(tx, id)
  const candidate = await getPipeline(tx, id)
  if (candidate.onNewCommit === 'none' || is('completed', candidate.status)) return false
  const jobs = await listCurrentJobs(tx, id)
  const plans = await listDefinitions(tx, id)
  const interruptible = new Set(plans.filter((plan) => plan.interruptible === true).map((plan) => plan.name))
  const conservative = candidate.onNewCommit === 'conservative'
  if (conservative && jobs.some((job) => is('started', job.status) && !interruptible.has(job.name))) return false
  const chosen = jobs.filter((job) => is('cancelable', job.status) && (conservative || interruptible.has(job.name)))
  let canceled = 0
  for (const { id: jobId } of chosen) {
    const job: Job | undefined = await findJob(tx, jobId)
    if (job && (await cancelLocked(core, tx, job))) canceled++
  }
  if (canceled === 0) return false
  await setAutoCanceledBy(tx, id, by)
  await processPipeline(core, tx, id)
  return true
}

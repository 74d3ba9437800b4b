/** Step: what follows from the end of a job for others of its pipeline: a retry, or the end of them all. */
import { actingAs, canUpdatePipeline } from '../authorize.js'
import type { Core } from '../core.js'
import { type FailureReason, failureReasons, retriesByItself } from '../failure.js'
import type { Job } from '../job.js'
import { countRetries, getDefinition } from '../store/jobs.js'
import { getPipeline } from '../store/pipelines.js'
import { getProject } from '../store/projects.js'
import { findUser } from '../store/users.js'
import type { Tx } from '../store/write.js'
import { cancelLivingJobs } from './cancel-locked.js'
import { retryLocked } from './retry-locked.js'

/**
 * Step: what follows from a job's end for others, before the pipeline is processed: a retry, or the end of the pipeline.
 * Returns whether nothing does.
 */
export async function afterFinish(core: Core, tx: Tx, job: Job): Promise<boolean> {
  if (job.status !== 'failed') return true
  if (job.kind === 'build' && (await retryByItself(core, tx, job))) return false
  if (job.allowFailure === 1 || (await getPipeline(tx, job.pipelineId)).onJobFailure !== 'all') return true
  await cancelLivingJobs(core, tx, job.pipelineId)
  return false
}

async function retryByItself(core: Core, tx: Tx, job: Job): Promise<boolean> {
  const plan = await getDefinition(tx, job.definitionId)
  const failure = { reason: (job.failureReason ?? 'unknown_failure') as FailureReason, exitCode: job.exitCode }
  if (job.retried === 1 || !(plan.retry || failureHasDefault(failure.reason))) return false
  const retries = await countRetries(tx, job.pipelineId, job.name)
  if (!retriesByItself(plan.retry, failure, retries)) return false
  if (!(await mayStill(tx, job))) {
    core.log.info({ job: job.id, user: job.userId }, 'not tried again: its user may not any more')
    return false
  }
  await retryLocked(core, tx, job, { userId: job.userId })
  return true
}

/**
 * Whether the user that the job runs for may still retry it; what nobody has started is tried again as before. As GitLab, which
 * retries as that user: app/models/ci/build.rb, app/services/ci/retry_job_service.rb.
 */
async function mayStill(tx: Tx, { userId, projectId, pipelineId }: Job): Promise<boolean> {
  if (userId === null) return true
  const actor = actingAs(await findUser(tx, userId))
  return canUpdatePipeline(tx, actor, await getProject(tx, projectId), await getPipeline(tx, pipelineId))
}

function failureHasDefault(reason: FailureReason): boolean {
  return (failureReasons[reason] as { autoRetry?: number }).autoRetry !== undefined
}

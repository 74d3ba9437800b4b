/** Step: a job on its way meets its environment and its namespace's quota, which may refuse it. */

import { mayDeploy } from '../authorize-environments.js'
import type { JobPlan } from '../ci-config/job-definition.js'
import type { Core } from '../core.js'
import { environmentSlug, guessTier, isEnvironmentName } from '../environment.js'
import type { FailureReason } from '../failure.js'
import type { Job } from '../job.js'
import type { JobEvent } from '../lifecycle/job-machine.js'
import { demandOf } from '../scheduler/demand.js'
import { ensureDeployment, ensureEnvironment, findLastDeployment } from '../store/environments.js'
import { getDefinition } from '../store/jobs.js'
import { listOwnRunners } from '../store/usage.js'
import type { Tx } from '../store/write.js'
import { afterFinish } from './after-finish.js'
import { applyJobEvent, type JobEventOptions } from './apply-job-event.js'
import { contextOf } from './pipeline-context.js'

/**
 * Step: applies an event that brings the job on its way. If its environment refuses it, the job is failed instead. Returns
 * whether the job's status has changed.
 */
export async function applyGated(
  core: Core,
  tx: Tx,
  job: Job,
  event: JobEvent,
  options: JobEventOptions = {},
): Promise<boolean> {
  if (event.startsWith('enqueue') && job.kind === 'build' && (await lacksMinutes(core, tx, job, options.plan))) {
    return applyJobEvent(core, tx, job, 'drop', { failure: { reason: 'ci_quota_exceeded', class: 'policy' } })
  }
  if (job.environment !== null && event !== 'skip' && event !== 'drop') {
    const refusal = await openDeployment(tx, job, options.set?.userId ?? job.userId)
    if (refusal && event.startsWith('enqueue')) {
      return applyJobEvent(core, tx, job, 'drop', { failure: { reason: refusal, class: 'policy' } })
    }
  }
  return applyJobEvent(core, tx, job, event, options)
}

/** Whether the namespace has no compute minutes left, and only runners that cost such could take the job. */
async function lacksMinutes(core: Core, tx: Tx, job: Job, known: JobPlan | undefined): Promise<boolean> {
  const { facts, pipeline } = await contextOf(tx, job.pipelineId)
  if (!facts.overQuota) return false
  const demand = demandOf(known ?? (await getDefinition(tx, job.definitionId)), pipeline.protected === 1, core.settings)
  const own = await listOwnRunners(tx, job.projectId, facts.groupIds)
  return !own.some((runner) => {
    const tags = new Set<string>(JSON.parse(runner.tags))
    const takes = demand.tags.length === 0 ? runner.runUntagged === 1 : demand.tags.every((tag) => tags.has(tag))
    return takes && (runner.protectedOnly === 0 || demand.protected)
  })
}

/** Step: the same outside of a pass over its pipeline: what follows from a job's failure follows here. */
export async function applyGatedAlone(
  core: Core,
  tx: Tx,
  job: Job,
  event: JobEvent,
  options: JobEventOptions = {},
): Promise<boolean> {
  const applied = await applyGated(core, tx, job, event, options)
  if (applied && job.status === 'failed') await afterFinish(core, tx, job)
  return applied
}

async function openDeployment(tx: Tx, job: Job, userId: number | null): Promise<FailureReason | undefined> {
  const name = job.environment!
  if (!isEnvironmentName(name)) return 'environment_creation_failure'
  const { pipeline, project } = await contextOf(tx, job.pipelineId)
  const { environment: plan } = await getDefinition(tx, job.definitionId)
  if (!plan) return undefined
  if (!(await mayDeploy(tx, project, name, userId))) return 'protected_environment_failure'
  const environment = await ensureEnvironment(tx, {
    projectId: project.id,
    name,
    slug: environmentSlug(name),
    tier: plan.deploymentTier ?? guessTier(name),
  })
  if (plan.action !== 'start') return undefined
  await ensureDeployment(tx, {
    projectId: project.id,
    environmentId: environment.id,
    jobId: job.id,
    ref: pipeline.ref,
    tag: pipeline.tag,
    sha: pipeline.sha,
    userId,
    onStop: plan.onStop ?? null,
  })
  if (project.forwardDeployment === 0) return undefined
  const last = await findLastDeployment(tx, environment.id, 'success')
  // Jobs are numbered as their pipelines came; deployments as their jobs had their turn.
  return last && last.jobId > job.id ? 'failed_outdated_deployment_job' : undefined
}

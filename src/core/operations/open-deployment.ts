/**
 * Environments as jobs come to them: a job that names one gets its deployment when its turn comes, may be refused there, and
 * leaves its mark when it has ended. Rules: gitlab app/services/deployments/create_for_job_service.rb,
 * app/services/deployments/update_environment_service.rb, app/models/deployment.rb.
 */
import { parseDuration } from '../ci-config/duration.js'
import { expandText } from '../ci-config/expand.js'
import type { JobPlan, PlanEnvironment } from '../ci-config/plan.js'
import type { Core } from '../core.js'
import { deploymentStatus, environmentSlug, guessTier, isEnvironmentName } from '../environment.js'
import type { FailureReason } from '../failure.js'
import type { Job } from '../job.js'
import { SealError } from '../keys.js'
import { is, type JobEvent, type JobStatus } from '../lifecycle/job-machine.js'
import { listGiven } from '../store/artifacts.js'
import { findDotenvVariables } from '../store/dotenv-variables.js'
import {
  ensureDeployment,
  ensureEnvironment,
  findDeployers,
  findDeploymentOf,
  findEnvironment,
  findEnvironmentByName,
  findLastDeployment,
  saveDeploymentStatus,
  saveEnvironment,
} from '../store/environments.js'
import { getDefinition } from '../store/jobs.js'
import { findGroup } from '../store/projects.js'
import { listOwnRunners } from '../store/usage.js'
import { findUser } from '../store/users.js'
import type { Tx } from '../store/write.js'
import { applyJobEvent, type JobEventOptions } from './apply-job-event.js'
import { demandOf } from './enqueue-job.js'
import { afterFinish } from './finish-job.js'
import { lookupFor, type VariableLookup } from './job-lookup.js'
import { contextOf, variablesOf } from './pipeline-context.js'
import { variablesFor } from './variables-for.js'

/**
 * Step: applies an event that brings the job on its way. If its environment refuses it, the job is failed instead. Gives
 * whether the job's status has changed.
 */
export async function applyGated(
  core: Core,
  tx: Tx,
  job: Job,
  event: JobEvent,
  options: JobEventOptions = {},
): Promise<boolean> {
  if (event.startsWith('enqueue') && job.kind === 'build' && (await lacksMinutes(tx, job, options.plan))) {
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
async function lacksMinutes(tx: Tx, job: Job, known: JobPlan | undefined): Promise<boolean> {
  const { facts, pipeline } = await contextOf(tx, job.pipelineId)
  if (!facts.overQuota) return false
  const demand = demandOf(known ?? (await getDefinition(tx, job.definitionId)), pipeline.protected === 1)
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

/** Administrators, the owner of the namespace, and whom the protection names. */
async function mayDeploy(
  tx: Tx,
  project: { id: number; groupId: number },
  name: string,
  userId: number | null,
): Promise<boolean> {
  const deployers = await findDeployers(tx, project.id, name)
  if (!deployers) return true
  if (userId === null) return false
  if (deployers.includes(userId)) return true
  const [user, group] = [await findUser(tx, userId), await findGroup(tx, project.groupId)]
  return user?.isAdmin === 1 || (group?.kind === 'user' && group.ownerId === userId)
}

/** Step: a job with an environment has changed. */
export async function followDeployment(core: Core, tx: Tx, job: Job, to: JobStatus): Promise<void> {
  const deployment = await findDeploymentOf(tx, job.id)
  const status = deploymentStatus(to)
  if (deployment && deployment.status !== status) await saveDeploymentStatus(tx, deployment.id, status)
  if (!is('completed', to)) return
  const { environment: plan } = await getDefinition(tx, job.definitionId)
  const environment = deployment
    ? await findEnvironment(tx, deployment.environmentId)
    : await findEnvironmentByName(tx, job.projectId, job.environment!)
  if (!plan || !environment) return
  if (plan.action === 'stop') {
    if (to === 'success') await saveEnvironment(tx, environment.id, { state: 'stopped', autoStopAt: null })
    else if (environment.state === 'stopping') await saveEnvironment(tx, environment.id, { state: 'available' })
    return
  }
  if (to !== 'success') return
  const lookup = await lookupAtEnd(core, tx, job).catch((error: unknown) => {
    // The job has succeeded, whatever can be read of its variables.
    if (error instanceof SealError) return () => undefined
    throw error
  })
  const autoStopAt = autoStop(plan, lookup, tx.now)
  if (plan.action === 'start') {
    await saveEnvironment(tx, environment.id, {
      state: 'available',
      autoStopAt: autoStopAt ?? null,
      ...(plan.url === undefined ? {} : { externalUrl: expandText(plan.url, lookup, 'blank') }),
      ...(plan.deploymentTier === undefined ? {} : { tier: plan.deploymentTier }),
    })
  } else if (autoStopAt !== undefined && plan.action !== 'verify') {
    await saveEnvironment(tx, environment.id, { autoStopAt })
  }
}

function autoStop(plan: PlanEnvironment, lookup: VariableLookup, now: number): number | undefined {
  if (plan.autoStopIn === undefined) return undefined
  const seconds = parseDuration(expandText(plan.autoStopIn, lookup, 'blank'))
  return seconds === undefined ? undefined : now + seconds * 1000
}

/** Everything that the job could see, and what it has reported itself. */
async function lookupAtEnd(core: Core, tx: Tx, job: Job): Promise<VariableLookup> {
  const { pipeline, project } = await contextOf(tx, job.pipelineId)
  const variables = await variablesOf(core, tx, job.pipelineId)
  const plan = await getDefinition(tx, job.definitionId)
  const reports = [
    ...(await listGiven(tx, job, plan)).map(({ dotenv }) => dotenv),
    await findDotenvVariables(tx, job.id),
  ]
  const set = await variablesFor(core, tx, {
    projectId: project.id,
    protected: pipeline.protected === 1,
    environment: job.environment,
  })
  return lookupFor(core, job, plan, {
    pipeline,
    project,
    variables: { ...variables, strong: [...set, ...variables.strong] },
    dotenv: reports.flatMap((sealed) => (sealed ? JSON.parse(core.keys.open(sealed).toString('utf8')) : [])),
  })
}

/** Step: a job with an environment has changed: its deployment and its environment follow. */
import { parseDuration } from '../ci-config/duration.js'
import { expandText } from '../ci-config/expand.js'
import type { PlanEnvironment } from '../ci-config/job-definition.js'
import type { Core } from '../core.js'
import { deploymentStatus } from '../environment.js'
import type { Job } from '../job.js'
import { is, type JobStatus } from '../lifecycle/job-machine.js'
import { listGiven } from '../store/artifacts.js'
import { findDotenvVariables } from '../store/dotenv-variables.js'
import {
  findDeploymentOf,
  findEnvironment,
  findEnvironmentByName,
  saveDeploymentStatus,
  saveEnvironment,
} from '../store/environments.js'
import { getDefinition } from '../store/jobs.js'
import type { Tx } from '../store/write.js'
import { SealError } from '../tokens/keys.js'
import { lookupFor, type VariableLookup } from './job-lookup.js'
import { contextOf, variablesOf } from './pipeline-context.js'
import { variablesFor } from './variables-for.js'

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
  return seconds === undefined ? undefined : now + Math.round(seconds * 1000)
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

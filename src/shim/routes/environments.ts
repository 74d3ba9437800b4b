/** Environments of a project, and what was deployed there. */
import { mayDeploy } from '../../core/authorize-environments.js'
import { defined } from '../../core/defined.js'
import type { Deployment, Environment } from '../../core/environment.js'
import { SignalboxError } from '../../core/errors.js'
import { createEnvironment, deleteEnvironment, updateEnvironment } from '../../core/operations/edit-environment.js'
import { stopEnvironment } from '../../core/operations/stop-environment.js'
import {
  findDeployment,
  findEnvironment,
  findLastDeployment,
  listDeployments,
  listEnvironments,
} from '../../core/store/environments.js'
import { findJob } from '../../core/store/jobs.js'
import { getPipeline } from '../../core/store/pipelines.js'
import { environmentsById, jobsById, usersById } from '../../core/store/related.js'
import type { Reply, Route } from '../../http/call.js'
import { wrongParameter } from '../../http/params.js'
import { idOf, type ProjectCall, projectRoute } from '../call.js'
import { toDeployment, toEnvironment } from '../convert/environment.js'
import { forbidden, notFound } from '../errors.js'
import { jobEntities } from '../job-entities.js'
import { pageReply, requestedPage } from '../pages.js'
import { requireRef } from './pipelines.js'

const read = { deed: 'download', jobToken: true } as const
const operate = { deed: 'operate', jobToken: true } as const

export const environmentRoutes: readonly Route[] = [
  projectRoute('get', '/projects/:id/environments', read, list),
  projectRoute('post', '/projects/:id/environments', operate, create),
  projectRoute('get', '/projects/:id/environments/:environment_id', read, async (call) => ({
    status: 200,
    body: await detailed(call, await environmentOf(call)),
  })),
  projectRoute('put', '/projects/:id/environments/:environment_id', operate, update),
  projectRoute('delete', '/projects/:id/environments/:environment_id', operate, remove),
  projectRoute('post', '/projects/:id/environments/:environment_id/stop', operate, stop),
  projectRoute('get', '/projects/:id/deployments', read, deployments),
  projectRoute('get', '/projects/:id/deployments/:deployment_id', read, deployment),
]

async function list(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const name = params.text('name', { max: 255 })
  const search = params.text('search', { max: 255 })
  const state = params.choice('states', ['available', 'stopping', 'stopped'])
  if (name !== undefined && search !== undefined) throw wrongParameter('name, search', 'are mutually exclusive')
  const page = requestedPage(call)
  const filter = {
    projectId: project.id,
    ...(name === undefined ? {} : { name }),
    ...(search === undefined ? {} : { search }),
    ...(state === undefined ? {} : { state }),
  }
  const rows = await listEnvironments(core.store.read, filter, { ...page, limit: page.perPage + 1 })
  return pageReply(call, page, rows.map(toEnvironment), undefined)
}

const tiers = ['production', 'staging', 'testing', 'development', 'other'] as const

async function create(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const environment = await createEnvironment(core, {
    projectId: project.id,
    name: params.requiredText('name', { max: 255 }),
    externalUrl: params.text('external_url', { max: 255 }),
    description: params.text('description', { max: 2000 }),
    tier: params.choice('tier', tiers),
  })
  return { status: 201, body: toEnvironment(environment) }
}

async function update(call: ProjectCall): Promise<Reply> {
  const { id } = await changeableOf(call)
  const externalUrl = call.params.text('external_url', { max: 255 })
  const description = call.params.text('description', { max: 2000 })
  const tier = call.params.choice('tier', tiers)
  const environment = await updateEnvironment(call.core, id, defined({ externalUrl, description, tier }))
  return { status: 200, body: toEnvironment(environment) }
}

async function remove(call: ProjectCall): Promise<Reply> {
  const { id } = await changeableOf(call)
  try {
    await deleteEnvironment(call.core, id)
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'forbidden') throw forbidden()
    throw error
  }
  return { status: 204 }
}

async function stop(call: ProjectCall): Promise<Reply> {
  const { id } = await changeableOf(call)
  // What was deployed from a protected ref is stopped there.
  const { read: from } = call.core.store
  const last = await findLastDeployment(from, id, 'success')
  const deployer = last && (await findJob(from, last.jobId))
  if (deployer) await requireRef(call, await getPipeline(from, deployer.pipelineId))
  const environment = await stopEnvironment(call.core, {
    environmentId: id,
    userId: call.actor?.user.id ?? null,
    force: call.params.boolean('force') ?? false,
  })
  return { status: 200, body: toEnvironment(environment) }
}

/** The environment of the path, if it is this project's. */
async function environmentOf(call: ProjectCall): Promise<Environment> {
  const environment = await findEnvironment(call.core.store.read, idOf(call, 'environment_id', 'Environment'))
  if (environment?.projectId !== call.project.id) throw notFound('Environment')
  return environment
}

/** The same, for those who may deploy to it. */
async function changeableOf(call: ProjectCall): Promise<Environment> {
  const environment = await environmentOf(call)
  const userId = call.actor?.user.id ?? null
  if (!(await mayDeploy(call.core.store.read, call.project, environment.name, userId))) throw forbidden()
  return environment
}

async function detailed(call: ProjectCall, environment: Environment): Promise<object> {
  const last = await findLastDeployment(call.core.store.read, environment.id, 'success')
  return {
    ...toEnvironment(environment),
    last_deployment: last ? await shown(call, last) : null,
  }
}

/** Deployments with all that they are shown with, in order. */
async function deploymentEntities({ core }: ProjectCall, rows: readonly Deployment[]): Promise<object[]> {
  const { read: from } = core.store
  const jobIds = rows.map((row) => row.jobId)
  const environmentIds = rows.map((row) => row.environmentId)
  const userIds = rows.map((row) => row.userId)
  const [jobs, environments, users] = await Promise.all([
    jobsById(from, jobIds),
    environmentsById(from, environmentIds),
    usersById(from, userIds),
  ])
  const shownJobs = [...jobs.values()]
  const entities = await jobEntities(core, shownJobs)
  const entityOf = new Map(shownJobs.map((job, i) => [job.id, entities[i]!]))
  return rows.map((row) =>
    toDeployment(row, {
      environment: environments.get(row.environmentId)!,
      user: row.userId === null ? undefined : users.get(row.userId),
      externalUrl: core.externalUrl(),
      job: entityOf.get(row.jobId),
    }),
  )
}

async function shown(call: ProjectCall, row: Deployment): Promise<object> {
  const [entity] = await deploymentEntities(call, [row])
  return entity!
}

async function deployments(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const { read: from } = core.store
  const environment = params.text('environment', { max: 255 })
  const status = params.choice('status', ['created', 'running', 'success', 'failed', 'canceled', 'blocked'])
  const page = requestedPage(call)
  const rows = await listDeployments(
    from,
    {
      projectId: project.id,
      ...(environment === undefined ? {} : { environment }),
      ...(status === undefined ? {} : { status }),
    },
    { ...page, limit: page.perPage + 1 },
    params.choice('sort', ['asc', 'desc']) ?? 'asc',
  )
  return pageReply(call, page, await deploymentEntities(call, rows), undefined)
}

async function deployment(call: ProjectCall): Promise<Reply> {
  const { read: from } = call.core.store
  const row = await findDeployment(from, idOf(call, 'deployment_id', 'Deployment'))
  if (row?.projectId !== call.project.id) throw notFound('Deployment')
  return { status: 200, body: await shown(call, row) }
}

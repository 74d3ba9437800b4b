/** Runners, for the people who look after them. */

import { can, memberOf } from '../../core/authorize.js'
import { canInGroup } from '../../core/authorize-groups.js'
import { canManageRunner, canSeeRunner } from '../../core/authorize-runners.js'
import { SignalboxError } from '../../core/errors.js'
import { jobStatuses } from '../../core/lifecycle/job-machine.js'
import { assignRunner, unassignRunner } from '../../core/operations/assign-runner.js'
import { type CreateRunnerInput, createRunner } from '../../core/operations/create-runner.js'
import { deleteRunner } from '../../core/operations/delete-runner.js'
import { resetRegistrationToken } from '../../core/operations/register-runner.js'
import { resetRunnerToken, updateRunner } from '../../core/operations/update-runner.js'
import type { Group, Project } from '../../core/project.js'
import type { Runner } from '../../core/runner.js'
import { countJobs, type JobFilter, listJobs } from '../../core/store/job-lists.js'
import { findGroup, findProject, projectFacts } from '../../core/store/projects.js'
import { busyManagers, busyRunners, groupsById, newestManagers, projectsById } from '../../core/store/related.js'
import { countRunnersBy, listRunnersBy, type RunnerFilter } from '../../core/store/runner-lists.js'
import { findManager, findRunner, listManagers, runnerScope } from '../../core/store/runners.js'
import type { Call, Reply, Route, UserCall } from '../../http/call.js'
import { wrongParameter } from '../../http/params.js'
import { groupFor, idOf, type ProjectCall, projectRoute, userRoute } from '../call.js'
import { toProjectBasic } from '../convert/project.js'
import { fromRunnerSettings, toRunner, toRunnerDetails, toRunnerManager, toRunnerToken } from '../convert/runner.js'
import type { RunnerDetailsEntity } from '../entities.js'
import { forbidden, notFound } from '../errors.js'
import { jobEntities } from '../job-entities.js'
import { pageReply, requestedPage, withNext } from '../pages.js'

const manage = { scopes: ['manage_runner'] } as const

export const runnerRoutes: readonly Route[] = [
  userRoute('post', '/user/runners', { scopes: ['create_runner'] }, create),
  userRoute('get', '/runners', manage, list),
  userRoute('get', '/runners/all', { ...manage, admin: true }, listAll),
  userRoute('post', '/runners/reset_registration_token', { admin: true }, resetInstanceToken),
  userRoute('get', '/runners/:id', manage, show),
  userRoute('put', '/runners/:id', manage, update),
  userRoute('delete', '/runners/:id', manage, remove),
  userRoute('get', '/runners/:id/managers', manage, showManagers),
  userRoute('get', '/runners/:id/jobs', manage, showJobs),
  userRoute('post', '/runners/:id/reset_authentication_token', manage, resetToken),
  projectRoute('get', '/projects/:id/runners', { deed: 'administer' }, listOfProject),
  projectRoute('post', '/projects/:id/runners', { deed: 'administer' }, enable),
  projectRoute('post', '/projects/:id/runners/reset_registration_token', { deed: 'administer' }, resetProjectToken),
  projectRoute('delete', '/projects/:id/runners/:runner_id', { deed: 'administer' }, disable),
  userRoute('post', '/groups/:id/runners/reset_registration_token', {}, resetGroupToken),
  userRoute('get', '/groups/:id/runners', manage, listOfGroup),
]

const types = ['instance_type', 'group_type', 'project_type'] as const

async function create(call: UserCall): Promise<Reply> {
  const { core, params } = call
  const type = params.choice('runner_type', types)
  if (type === undefined) throw wrongParameter('runner_type', 'is missing')
  const settings: CreateRunnerInput = {
    ...fromRunnerSettings(params),
    type: type.slice(0, -'_type'.length) as CreateRunnerInput['type'],
  }
  if (settings.type === 'project') settings.projectId = await projectFor(call)
  else if (settings.type === 'group') settings.groupId = await ownGroup(call)
  else if (call.actor.user.isAdmin === 0) throw forbidden()
  const { runner, token } = await createRunner(core, settings)
  return { status: 201, body: toRunnerToken(runner, token) }
}

async function projectFor({ core, params, actor }: UserCall): Promise<number> {
  const id = params.integer('project_id')
  if (id === undefined) throw wrongParameter('project_id', 'is missing')
  const project = await findProject(core.store.read, id)
  if (!project || !(await can(core, actor, 'read', project))) throw notFound('Project')
  if (!(await can(core, actor, 'administer', project))) throw forbidden()
  return id
}

async function ownGroup({ core, params, actor }: UserCall): Promise<number> {
  const id = params.integer('group_id')
  if (id === undefined) throw wrongParameter('group_id', 'is missing')
  const { read } = core.store
  const group = await findGroup(read, id)
  if (group?.kind !== 'group' || !(await canInGroup(read, actor.user, 'see', group))) throw notFound('Group')
  if (!(await canInGroup(read, actor.user, 'own', group))) throw forbidden()
  return id
}

/** An administrator's own runners are all of them. */
function list(call: UserCall): Promise<Reply> {
  const { user } = call.actor
  return listed(call, user.isAdmin === 1 ? {} : { managedBy: user.id })
}

function listAll(call: UserCall): Promise<Reply> {
  return listed(call, {})
}

/** All that serve it: its own runners, and those of its groups and of the instance, unless they are switched off. */
async function listOfProject(call: ProjectCall): Promise<Reply> {
  const { core, project } = call
  const groupIds = project.groupRunnersEnabled === 1 ? (await projectFacts(core.store.read, project.id))!.groupIds : []
  return listed(call, {
    serves: { projectId: project.id, instance: project.instanceRunnersEnabled === 1, groupIds },
  })
}

async function listOfGroup(call: UserCall): Promise<Reply> {
  return listed(call, { groupId: (await groupFor(call, 'own')).id })
}

/** A runner that the actor may look after is enabled for this project too. */
async function enable(call: ProjectCall): Promise<Reply> {
  const { core, project, params, actor } = call
  const runnerId = params.integer('runner_id', { min: 1 })
  if (runnerId === undefined) throw wrongParameter('runner_id', 'is missing')
  const known = await findRunner(core.store.read, runnerId)
  if (!known || !actor || !(await canSeeRunner(core, actor, known))) throw notFound('Runner')
  if (!(await canManageRunner(core, actor, known))) throw forbidden('No access granted')
  const runner = await refused(() => assignRunner(core, { runnerId, projectId: project.id }))
  const { read } = core.store
  const [managers, busy] = await Promise.all([newestManagers(read, [runner.id]), busyRunners(read, [runner.id])])
  const context = { now: core.clock.now(), busy: busy.has(runner.id) }
  return { status: 201, body: toRunner(runner, managers.get(runner.id), context) }
}

async function disable(call: ProjectCall): Promise<Reply> {
  const runnerId = idOf(call, 'runner_id', 'Runner')
  await refused(() => unassignRunner(call.core, { runnerId, projectId: call.project.id }))
  return { status: 204 }
}

/** GitLab tells why a runner is not to be had. */
async function refused<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (!(error instanceof SignalboxError)) throw error
    if (error.code === 'forbidden') throw forbidden(error.message)
    throw error.code === 'not_found' ? notFound('Runner') : error
  }
}

async function listed(call: UserCall | ProjectCall, filter: Partial<RunnerFilter>): Promise<Reply> {
  const { core, actor } = call
  const { read } = core.store
  const page = requestedPage(call)
  const wanted = { ...fromRunnerFilter(call), ...filter }
  const [rows, total] = await Promise.all([listRunnersBy(read, wanted, page), countRunnersBy(read, wanted)])
  const ids = rows.map((row) => row.id)
  const [managers, busy] = await Promise.all([newestManagers(read, ids), busyRunners(read, ids)])
  const now = core.clock.now()
  return pageReply(
    call,
    page,
    rows.map((row) => {
      const entity = toRunner(row, managers.get(row.id), { now, busy: busy.has(row.id) })
      return actor?.user.isAdmin === 1 ? entity : { ...entity, ip_address: null }
    }),
    total,
  )
}

const statuses = ['online', 'offline', 'stale', 'never_contacted', 'paused', 'active'] as const

function fromRunnerFilter({ core, params }: Call): RunnerFilter {
  const scope = params.choice('scope', [
    ...statuses,
    'instance_type',
    'group_type',
    'project_type',
    'shared',
    'specific',
  ])
  const type = params.choice('type', types) ?? types.find((one) => one === scope)
  const status = params.choice('status', statuses) ?? statuses.find((one) => one === scope)
  const paused = params.boolean('paused')
  const tags = params.texts('tag_list', { commas: true })
  const versionPrefix = params.text('version_prefix', { max: 64 })
  return {
    now: core.clock.now(),
    ...(type === undefined ? {} : { type: type.slice(0, -'_type'.length) as 'instance' }),
    ...(scope === 'shared' ? { type: 'instance' } : scope === 'specific' ? { type: 'project' } : {}),
    ...(status === undefined ? {} : { status }),
    ...(paused === undefined ? {} : { paused }),
    ...(tags === undefined ? {} : { tags: tags.filter((tag) => tag !== '') }),
    ...(versionPrefix === undefined ? {} : { versionPrefix }),
  }
}

/** The runner of the path, if the actor may see it; to others it is not there. */
async function seen({ core, actor, path }: UserCall): Promise<Runner> {
  const runner = await findRunner(core.store.read, idOf({ path }, 'id', 'Runner'))
  if (!runner || !(await canSeeRunner(core, actor, runner))) throw notFound('Runner')
  return runner
}

/** The runner of the path, for those who may change it. */
async function managed(call: UserCall): Promise<Runner> {
  const runner = await seen(call)
  if (!(await canManageRunner(call.core, call.actor, runner))) throw forbidden('No access granted')
  return runner
}

async function show(call: UserCall): Promise<Reply> {
  return { status: 200, body: await details(call, await seen(call)) }
}

/** With those of its projects and groups that the actor may see; note and address are for those who may change it. */
async function details({ core, actor }: UserCall, runner: Runner): Promise<RunnerDetailsEntity> {
  const { read } = core.store
  const scope = await runnerScope(read, runner.id)
  const [projects, managers, busy, groups] = await Promise.all([
    projectsById(read, scope.projectIds),
    newestManagers(read, [runner.id]),
    busyRunners(read, [runner.id]),
    Promise.all(scope.groupIds.map((id) => findGroup(read, id))),
  ])
  const readable: Project[] = []
  for (const project of projects.values()) if (await can(core, actor, 'read', project)) readable.push(project)
  const shownGroups: Group[] = []
  for (const group of groups) if (group && (await canInGroup(read, actor.user, 'see', group))) shownGroups.push(group)
  const namespaces = await groupsById(
    read,
    readable.map((project) => project.groupId),
  )
  const entity = toRunnerDetails(
    runner,
    managers.get(runner.id),
    { projects: readable, groups: shownGroups, namespaces },
    { now: core.clock.now(), busy: busy.has(runner.id), externalUrl: core.externalUrl() },
  )
  return (await canManageRunner(core, actor, runner)) ? entity : { ...entity, ip_address: null, maintenance_note: null }
}

async function update(call: UserCall): Promise<Reply> {
  const { id } = await managed(call)
  const settings = fromRunnerSettings(call.params)
  if (Object.keys(settings).length === 0) {
    const names =
      'description, active, paused, tag_list, run_untagged, locked, access_level, maximum_timeout, maintenance_note'
    throw wrongParameter(names, 'are missing, at least one parameter must be provided')
  }
  const runner = await updateRunner(call.core, { ...settings, runnerId: id })
  return { status: 200, body: await details(call, runner) }
}

async function remove(call: UserCall): Promise<Reply> {
  await deleteRunner(call.core, (await managed(call)).id)
  return { status: 204 }
}

/** Where they are is for those who may change the runner. */
async function showManagers(call: UserCall): Promise<Reply> {
  const { core, actor } = call
  const runner = await seen(call)
  const rows = await listManagers(core.store.read, runner.id)
  const busy = await busyManagers(
    core.store.read,
    rows.map((row) => row.id),
  )
  const manages = await canManageRunner(core, actor, runner)
  const body = rows.toReversed().map((row) => {
    const entity = toRunnerManager(row, { now: core.clock.now(), busy: busy.has(row.id) })
    return manages ? entity : { ...entity, ip_address: null }
  })
  return { status: 200, body }
}

/** Those of the projects that the actor is at home in. Rule: gitlab app/finders/ci/runner_jobs_finder.rb */
async function showJobs(call: UserCall): Promise<Reply> {
  const { core, params, actor } = call
  const { read } = core.store
  const runner = await seen(call)
  if (runner.type === 'instance' && actor.user.isAdmin === 0) throw forbidden('No access granted')
  const status = params.choice('status', jobStatuses)
  const systemId = params.text('system_id', { max: 64 })
  const manager = systemId ? await findManager(read, runner.id, systemId) : undefined
  const filter: JobFilter = {
    runnerId: runner.id,
    ...(actor.user.isAdmin === 1 ? {} : { of: memberOf(actor, core.clock.now()) }),
    ...(status === undefined ? {} : { statuses: [status] }),
    ...(systemId ? { managerId: manager?.id ?? 0 } : {}),
  }
  const page = requestedPage(call)
  const [jobs, total] = await Promise.all([
    listJobs(read, filter, withNext(page), params.choice('sort', ['asc', 'desc'])),
    countJobs(read, filter),
  ])
  const projects = await projectsById(
    read,
    jobs.map((job) => job.projectId),
  )
  const entities = await jobEntities(core, jobs)
  const body = entities.map((entity, i) => ({
    ...entity,
    project: toProjectBasic(projects.get(jobs[i]!.projectId)!, undefined, core.externalUrl()),
  }))
  return pageReply(call, page, body, total)
}

async function resetToken(call: UserCall): Promise<Reply> {
  const { runner, token } = await resetRunnerToken(call.core, (await managed(call)).id)
  return { status: 201, body: toRunnerToken(runner, token) }
}

async function resetInstanceToken({ core }: UserCall): Promise<Reply> {
  return registrationToken(await resetRegistrationToken(core, { projectId: null, groupId: null }))
}

async function resetProjectToken({ core, project }: ProjectCall): Promise<Reply> {
  return registrationToken(await resetRegistrationToken(core, { projectId: project.id, groupId: null }))
}

async function resetGroupToken(call: UserCall): Promise<Reply> {
  const { id } = await groupFor(call, 'own')
  return registrationToken(await resetRegistrationToken(call.core, { projectId: null, groupId: id }))
}

function registrationToken(token: string): Reply {
  return { status: 201, body: { token, token_expires_at: null } }
}

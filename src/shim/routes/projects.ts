/** Projects. */

import { type Actor, can } from '../../core/authorize.js'
import { canInGroup } from '../../core/authorize-groups.js'
import type { Core } from '../../core/core.js'
import { defined } from '../../core/defined.js'
import { SignalboxError, wrongField } from '../../core/errors.js'
import { accessLevels, levels } from '../../core/member.js'
import { createProject } from '../../core/operations/create-project.js'
import { deleteProject } from '../../core/operations/delete-project.js'
import { fetchMirrorSoon, findMirror, setMirror } from '../../core/operations/fetch-mirror.js'
import { showRegistrationToken } from '../../core/operations/register-runner.js'
import { transferProject } from '../../core/operations/transfer-project.js'
import { updateProject } from '../../core/operations/update-project.js'
import type { Group, Project } from '../../core/project.js'
import { countProjectsBy, listProjectsBy, type ProjectFilter } from '../../core/store/project-lists.js'
import { findGroup, findGroupByPath, type ProjectChanges } from '../../core/store/projects.js'
import { groupsById } from '../../core/store/related.js'
import { type Call, idFrom, type Reply, type Route, type UserCall } from '../../http/call.js'
import { type Params, wrongParameter } from '../../http/params.js'
import { type ProjectCall, projectRoute, userRoute, viewerOf } from '../call.js'
import { sharesOf } from '../convert/member.js'
import { toProject } from '../convert/project.js'
import type { ProjectEntity } from '../entities.js'
import { forbidden, notFound } from '../errors.js'
import { pageReply, requestedPage } from '../pages.js'
import { mirrorOf } from './mirrors.js'

export const projectRoutes: readonly Route[] = [
  userRoute('get', '/projects', {}, list),
  userRoute('post', '/projects', {}, create),
  projectRoute('get', '/projects/:id', { deed: 'read' }, show),
  projectRoute('put', '/projects/:id', { deed: 'administer' }, update),
  projectRoute('delete', '/projects/:id', { deed: 'own' }, remove),
  projectRoute('put', '/projects/:id/transfer', { deed: 'own' }, transfer),
]

async function list(call: UserCall): Promise<Reply> {
  const { core, params, actor } = call
  const page = requestedPage(call)
  const search = params.text('search', { max: 255 }) || undefined
  const filter = {
    ...(search === undefined ? {} : { search }),
    ...(actor.user.isAdmin === 1 ? {} : { visibleTo: viewerOf(call) }),
    ...levelFilter(call),
  }
  const [rows, total] = await Promise.all([
    listProjectsBy(core.store.read, filter, page),
    countProjectsBy(core.store.read, filter),
  ])
  return pageReply(call, page, await projectEntities(core, rows), total)
}

/** `owned`, `membership`, `min_access_level`: those in which the caller has at least a level. */
function levelFilter(call: UserCall): Pick<ProjectFilter, 'of'> {
  const { params } = call
  const least = params.integer('min_access_level')
  if (least !== undefined && !accessLevels.includes(least)) {
    throw wrongParameter('min_access_level', 'does not have a valid value')
  }
  const level = params.boolean('owned')
    ? levels.owner
    : (least ?? (params.boolean('membership') ? levels.guest : undefined))
  return level === undefined ? {} : { of: { viewer: viewerOf(call), level } }
}

/** Projects with the groups that they lie in. */
export async function projectEntities(core: Core, projects: readonly Project[]): Promise<ProjectEntity[]> {
  const ids = projects.map((project) => project.groupId)
  const groups = await groupsById(core.store.read, ids)
  return projects.map((project) => toProject(project, groups.get(project.groupId), core.externalUrl()))
}

/** With the groups that are let in, for whoever has signed in: all for who decides about them, others are told of those that they may see. */
async function show(call: ProjectCall): Promise<Reply> {
  const { core, project, actor } = call
  const body = await entity(call, project)
  const { read } = core.store
  const decides = await can(core, actor, 'administer', project)
  const sees = async (guest: Group) =>
    decides || (actor !== undefined && (await canInGroup(read, actor.user, 'see', guest)))
  const shared_with_groups = actor ? await sharesOf(read, { projectId: project.id }, sees) : []
  return { status: 200, body: { ...body, shared_with_groups } }
}

/** A project by itself; with its registration token for those who may administer it: gitlab lib/api/entities/project.rb */
async function entity({ core, actor }: Call & Pick<ProjectCall, 'actor'>, project: Project): Promise<ProjectEntity> {
  const [shown] = await projectEntities(core, [project])
  const mirror = project.mirrored === 0 ? undefined : await findMirror(core, core.store.read, project.id)
  const administers = await can(core, actor, 'administer', project)
  return {
    ...shown!,
    ...(mirror === undefined ? {} : { import_url: mirror.source.url }),
    ...(administers
      ? { runners_token: await showRegistrationToken(core, { projectId: project.id, groupId: null }) }
      : {}),
  }
}

const visibilities = ['private', 'internal', 'public'] as const

/**
 * `path` or `name` in the user's own namespace, or in the group `namespace_id`. An administrator may give a whole path,
 * `group/subgroup/name`: missing groups are made.
 */
async function create(call: UserCall): Promise<Reply> {
  const { core, params, actor } = call
  if (actor.user.projectId !== null) throw forbidden()
  const name = params.text('name', { max: 255 }) || undefined
  const path = params.text('path', { max: 1024 }) || (name === undefined ? undefined : pathFrom(name))
  if (path === undefined) throw wrongParameter('name, path', 'are missing, at least one parameter must be provided')
  if (path.includes('/') && actor.user.isAdmin === 0) throw forbidden()
  const settings = {
    name,
    groupId: await groupFor(call),
    description: params.text('description', { max: 2000 }),
    visibility: params.choice('visibility', visibilities),
    defaultBranch: params.text('default_branch', { max: 255 }) || undefined,
    configPath: params.text('ci_config_path', { max: 255 }) || undefined,
    mirror: mirrorOf(params) ?? undefined,
  }
  try {
    const given = defined(settings)
    const project = await createProject(core, { ...given, path, user: actor.user })
    return { status: 201, body: await entity(call, project) }
  } catch (error) {
    // GitLab answers a path that is taken as a failed validation.
    if (error instanceof SignalboxError && error.code === 'conflict') throw wrongField('path', 'has already been taken')
    throw error
  }
}

/** What GitLab has and this server has not is refused: a script that sets it would believe that it is set. */
async function update(call: ProjectCall): Promise<Reply> {
  const params = call.params.watched()
  const changes = fromProjectSettings(params)
  const path = params.text('path', { max: 1024 })
  const mirror = mirrorOf(params)
  const unknown = params.unasked().find((name) => !proofs.has(name))
  if (unknown !== undefined) throw wrongParameter(unknown, 'is not a setting of projects here')
  if (Object.keys(changes).length === 0 && mirror === undefined && path === undefined) {
    throw wrongParameter(
      'description, visibility, default_branch, …',
      'are missing, at least one parameter must be provided',
    )
  }
  const moves = path !== undefined && path !== call.project.path
  const hides = changes.visibility !== undefined && changes.visibility !== call.project.visibility
  if ((hides || moves) && !(await can(call.core, call.actor, 'own', call.project))) throw forbidden()
  const projectId = call.project.id
  let project = await updateProject(call.core, { projectId, changes, path })
  if (mirror !== undefined) project = await setMirror(call.core, project.id, mirror)
  if (mirror) fetchMirrorSoon(call.core, project)
  return { status: 200, body: await entity(call, project) }
}

/** `namespace`: the id or path of a group, or of one's own namespace. */
async function transfer(call: ProjectCall): Promise<Reply> {
  const { core, params, project } = call
  const given = params.text('namespace', { max: 1024, loose: true })
  if (given === undefined) throw wrongParameter('namespace', 'is missing')
  const { user } = signedIn(call)
  const id = idFrom(given)
  const { read } = core.store
  const group = id === undefined ? await findGroupByPath(read, given.replaceAll('\0', '')) : await findGroup(read, id)
  if (!group || !(await canInGroup(read, user, 'see', group))) throw notFound('Namespace')
  try {
    const moved = await transferProject(core, { projectId: project.id, groupId: group.id, user })
    return { status: 200, body: await entity(call, moved) }
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'forbidden') throw forbidden(error.message)
    throw error
  }
}

/** Nobody gets to these routes without. */
function signedIn({ actor }: ProjectCall): Actor {
  if (!actor) throw new SignalboxError('unauthenticated', '401 Unauthorized')
  return actor
}

/** Parameters that say who asks. */
const proofs: ReadonlySet<string> = new Set(['private_token', 'access_token', 'id'])

/** It is gone for whoever asks; the rest is done after the answer. */
async function remove({ core, project, actor }: ProjectCall): Promise<Reply> {
  await deleteProject(core, { projectId: project.id, userId: actor?.user.id ?? null })
  return { status: 202, body: { message: '202 Accepted' } }
}

/** What of a project's settings can be changed; those that the request does not name are absent. */
function fromProjectSettings(params: Params): ProjectChanges {
  const flag = (name: string) => {
    const value = params.boolean(name)
    return value === undefined ? undefined : value ? 1 : 0
  }
  const builds = params.choice('builds_access_level', ['disabled', 'private', 'enabled'])
  const autoCancel = params.choice('auto_cancel_pending_pipelines', ['enabled', 'disabled'])
  const settings = {
    name: params.text('name', { max: 255 }) || undefined,
    description: params.text('description', { max: 2000 }),
    visibility: params.choice('visibility', visibilities),
    defaultBranch: params.text('default_branch', { max: 255 }) || undefined,
    configPath: params.text('ci_config_path', { max: 255 }) || undefined,
    timeoutS: params.integer('build_timeout'),
    buildsEnabled: builds === undefined ? flag('jobs_enabled') : builds === 'disabled' ? 0 : 1,
    instanceRunnersEnabled: flag('shared_runners_enabled'),
    groupRunnersEnabled: flag('group_runners_enabled'),
    autoCancel: autoCancel === undefined ? undefined : autoCancel === 'enabled' ? 1 : 0,
    forwardDeployment: flag('ci_forward_deployment_enabled'),
    mergedResults: flag('merge_pipelines_enabled'),
    deletePipelinesS: deletionTerm(params),
    keepLatest: flag('keep_latest_artifact'),
  }
  return defined(settings)
}

/** From a day to a year, as GitLab's `ci_delete_pipelines_in_seconds`; null or nothing: as the instance has it. */
function deletionTerm(params: Params): number | null | undefined {
  const name = 'ci_delete_pipelines_in_seconds'
  const given = params.raw(name)
  if (given === null || given === '') return null
  return params.integer(name, { min: 24 * 3600, max: 366 * 24 * 3600 })
}

async function groupFor({ core, params, actor }: UserCall): Promise<number | undefined> {
  const id = params.integer('namespace_id', { min: 1 })
  if (id === undefined) return undefined
  const group = await findGroup(core.store.read, id)
  if (!group) throw notFound('Namespace')
  const { read } = core.store
  if (!(await canInGroup(read, actor.user, 'see', group))) throw notFound('Namespace')
  if (!(await canInGroup(read, actor.user, 'fill', group))) throw forbidden()
  return id
}

/** `My App` → `my-app`, as GitLab makes a path of a name. */
function pathFrom(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9_.-]+/g, '-')
    .replace(/^[-.]+|[-.]+$/g, '')
}

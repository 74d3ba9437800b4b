/** Groups and namespaces: whoever makes a group owns it; others see those that are not private. */
import { levelFor } from '../../core/authorize.js'
import { canInGroup } from '../../core/authorize-groups.js'
import { defined } from '../../core/defined.js'
import { SignalboxError } from '../../core/errors.js'
import { accessLevels } from '../../core/member.js'
import { createGroup, deleteGroup, updateGroup } from '../../core/operations/edit-group.js'
import { showRegistrationToken } from '../../core/operations/register-runner.js'
import { transferGroup } from '../../core/operations/transfer-group.js'
import type { Group } from '../../core/project.js'
import { countGroups, type GroupFilter, listGroups, listSubtree } from '../../core/store/groups.js'
import { countProjectsBy, listProjectsBy } from '../../core/store/project-lists.js'
import { findGroup, findGroupByPath } from '../../core/store/projects.js'
import { isPerson } from '../../core/store/users.js'
import { idFrom, type Reply, type Route, type UserCall } from '../../http/call.js'
import { type Params, wrongParameter } from '../../http/params.js'
import { groupFor, userRoute, viewerOf } from '../call.js'
import { sharesOf } from '../convert/member.js'
import { toGroup, toNamespace } from '../convert/project.js'
import { forbidden, notFound } from '../errors.js'
import { pageReply, requestedPage } from '../pages.js'
import { projectEntities } from './projects.js'

export const groupRoutes: readonly Route[] = [
  userRoute('get', '/groups', {}, (call) =>
    list(call, call.params.boolean('top_level_only') ? { parentId: null } : {}),
  ),
  userRoute('post', '/groups', {}, create),
  userRoute('get', '/groups/:id', {}, show),
  userRoute('put', '/groups/:id', {}, update),
  userRoute('delete', '/groups/:id', {}, remove),
  userRoute('post', '/groups/:id/transfer', {}, transfer),
  userRoute('get', '/groups/:id/subgroups', {}, async (call) => list(call, { parentId: (await seenGroup(call)).id })),
  userRoute('get', '/groups/:id/descendant_groups', {}, async (call) => {
    const [, ...below] = await listSubtree(call.core.store.read, (await seenGroup(call)).id)
    return list(call, { ids: below.map((group) => group.id) })
  }),
  userRoute('get', '/groups/:id/projects', {}, listProjects),
  userRoute('get', '/namespaces', {}, async (call) => list(call, { kinds: ['group', 'user'] }, toNamespace)),
  userRoute('get', '/namespaces/:id', {}, namespace),
  userRoute('get', '/namespaces/:id/exists', {}, namespaceExists),
]

async function list(
  call: UserCall,
  more: Partial<GroupFilter>,
  convert: typeof toGroup | typeof toNamespace = toGroup,
): Promise<Reply> {
  const { core, params, actor } = call
  const page = requestedPage(call)
  const filter: GroupFilter = {
    kinds: ['group'],
    ...defined({ search: params.text('search', { max: 255 }) || undefined }),
    ...(actor.user.isAdmin === 1 ? {} : { visibleTo: viewerOf(call) }),
    ...levelFilter(call),
    ...more,
  }
  const { read } = core.store
  const [rows, total] = await Promise.all([listGroups(read, filter, page), countGroups(read, filter)])
  const body = rows.map((group) => convert(group, core.externalUrl()))
  return pageReply(call, page, body, total)
}

async function listProjects(call: UserCall): Promise<Reply> {
  const { core, params, actor } = call
  const { read } = core.store
  const { id } = await seenGroup(call)
  const page = requestedPage(call)
  const groupIds = params.boolean('include_subgroups') ? (await listSubtree(read, id)).map((one) => one.id) : [id]
  const filter = {
    groupIds,
    ...defined({ search: params.text('search', { max: 255 }) || undefined }),
    ...(actor.user.isAdmin === 1 ? {} : { visibleTo: viewerOf(call) }),
  }
  const [rows, total] = await Promise.all([listProjectsBy(read, filter, page), countProjectsBy(read, filter)])
  return pageReply(call, page, await projectEntities(core, rows), total)
}

/** The group of the path, if the caller may see it. */
function seenGroup(call: UserCall): Promise<Group> {
  return groupFor(call, 'see')
}

/** With the groups that are let in: all for who decides about them, others are told of those that they may see. */
async function show(call: UserCall): Promise<Reply> {
  const { core, actor } = call
  const group = await seenGroup(call)
  const { read } = core.store
  const decides = await canInGroup(read, actor.user, 'own', group)
  const sees = async (guest: Group) => decides || canInGroup(read, actor.user, 'see', guest)
  const shared_with_groups = await sharesOf(read, { groupId: group.id }, sees)
  const { body } = await shown(call, group)
  return { status: 200, body: { ...(body as object), shared_with_groups } }
}

async function create(call: UserCall): Promise<Reply> {
  const { core, params, actor } = call
  const parentId = params.integer('parent_id', { min: 1 }) ?? null
  if (actor.user.projectId !== null || (parentId === null && !isPerson(actor.user))) throw forbidden()
  const parent = parentId === null ? undefined : await findGroup(core.store.read, parentId)
  if (parentId !== null && !(parent && (await canInGroup(core.store.read, actor.user, 'see', parent)))) {
    throw notFound('Group')
  }
  if (parent && !(await canInGroup(core.store.read, actor.user, 'grow', parent))) throw forbidden()
  const group = await told(() =>
    createGroup(core, {
      ...defined(fromGroupSettings(params)),
      name: params.requiredText('name', { max: 255 }),
      path: params.requiredText('path', { max: 255 }),
      parentId,
      userId: actor.user.id,
    }),
  )
  return shown(call, group, 201)
}

async function update(call: UserCall): Promise<Reply> {
  const { id } = await groupFor(call, 'own')
  const changes = defined(fromGroupSettings(call.params))
  if (Object.keys(changes).length === 0) {
    throw wrongParameter('name, path, description, visibility', 'are missing, at least one parameter must be provided')
  }
  return shown(call, await told(() => updateGroup(call.core, id, changes)))
}

/** Below the group `group_id`; without it to the top, where groups of tokens do not go. */
async function transfer(call: UserCall): Promise<Reply> {
  const { core, params, actor } = call
  const { id } = await groupFor(call, 'own')
  const parentId = params.integer('group_id', { min: 1 }) ?? null
  if (parentId === null && !isPerson(actor.user)) throw forbidden()
  const { read } = core.store
  const parent = parentId === null ? undefined : await findGroup(read, parentId)
  if (parentId !== null && !(parent && (await canInGroup(read, actor.user, 'see', parent)))) throw notFound('Group')
  try {
    return await shown(call, await told(() => transferGroup(core, { groupId: id, parentId, user: actor.user })), 201)
  } catch (error) {
    throw error instanceof SignalboxError && error.code === 'forbidden' ? forbidden(error.message) : error
  }
}

function fromGroupSettings(params: Params) {
  return {
    name: params.text('name', { max: 255 }) || undefined,
    path: params.text('path', { max: 255 }) || undefined,
    description: params.text('description', { max: 500 }),
    visibility: params.choice('visibility', ['private', 'internal', 'public']),
  }
}

/** With all that is in it; the rest is done after the answer. */
async function remove(call: UserCall): Promise<Reply> {
  await deleteGroup(call.core, { groupId: (await groupFor(call, 'own')).id, userId: call.actor.user.id })
  return { status: 202, body: { message: '202 Accepted' } }
}

async function namespace({ core, path, actor }: UserCall): Promise<Reply> {
  const given = path('id')
  const id = idFrom(given)
  const { read } = core.store
  const found = id === undefined ? await findGroupByPath(read, given) : await findGroup(read, id)
  if (!found || !(await canInGroup(read, actor.user, 'see', found))) throw notFound('Namespace')
  return { status: 200, body: toNamespace(found, core.externalUrl()) }
}

/**
 * Whether a path is taken, at the top or in the group `parent_id`, whoever may see what is there; and one that is free:
 * https://docs.gitlab.com/api/namespaces/#verify-namespace-availability
 */
async function namespaceExists({ core, params, path }: UserCall): Promise<Reply> {
  const { read } = core.store
  const parentId = params.integer('parent_id', { min: 1 })
  const parent = parentId === undefined ? undefined : await findGroup(read, parentId)
  const isTaken = async (name: string) =>
    (parentId === undefined || parent !== undefined) &&
    (await findGroupByPath(read, parent ? `${parent.fullPath}/${name}` : name)) !== undefined
  const name = path('id')
  if (!(await isTaken(name))) return { status: 200, body: { exists: false, suggests: [] } }
  let count = 1
  while (await isTaken(`${name}${count}`)) count++
  return { status: 200, body: { exists: true, suggests: [`${name}${count}`] } }
}

/** A group by itself; with its registration token for owners: gitlab lib/api/entities/group_detail.rb */
async function shown({ core, actor }: UserCall, group: Group, status = 200): Promise<Reply> {
  const body = toGroup(group, core.externalUrl())
  if (await canInGroup(core.store.read, actor.user, 'own', group)) {
    body.runners_token = await showRegistrationToken(core, { projectId: null, groupId: group.id })
  }
  return { status, body }
}

/** `owned`: the caller's own; `min_access_level`: those in which it has at least this level. */
function levelFilter(call: UserCall): Pick<GroupFilter, 'of'> {
  const owned = call.params.boolean('owned') === true
  const least = call.params.integer('min_access_level')
  if (least !== undefined && !accessLevels.includes(least))
    throw wrongParameter('min_access_level', 'does not have a valid value')
  const level = owned ? levelFor.own : least
  return level === undefined ? {} : { of: { viewer: viewerOf(call), level } }
}

async function told<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'not_found') throw notFound('Group')
    throw error
  }
}

/** Access tokens of users, projects and groups: gitlab lib/api/{personal_access_tokens,resource_access_tokens,users}.rb. */

import type { Actor } from '../../core/authorize.js'
import { SignalboxError } from '../../core/errors.js'
import { accessLevels } from '../../core/member.js'
import {
  createAccessToken,
  createGroupToken,
  createProjectToken,
  endAccessToken,
  type NewToken,
  rotateAccessToken,
} from '../../core/operations/edit-access-token.js'
import {
  findAccessTokenById,
  listAccessTokens,
  type OwnedToken,
  type TokenFilter,
} from '../../core/store/access-tokens.js'
import { findUser, isPerson } from '../../core/store/users.js'
import type { Call, Reply, Route, UserCall } from '../../http/call.js'
import { type Params, wrongParameter } from '../../http/params.js'
import { groupFor, idOf, type ProjectCall, projectRoute, userRoute } from '../call.js'
import { fromDate, fromTokenSettings, toAccessToken } from '../convert/access-token.js'
import { forbidden, notFound } from '../errors.js'
import { pageReply, requestedPage } from '../pages.js'

const own = '/personal_access_tokens'
const ofProject = '/projects/:id/access_tokens'
const ofGroup = '/groups/:id/access_tokens'
const administer = { deed: 'administer', signedIn: true } as const

export const accessTokenRoutes: readonly Route[] = [
  userRoute('get', own, {}, listOwn),
  userRoute('post', '/user/personal_access_tokens', {}, async (call) => create(call, call.actor.user.id)),
  userRoute('post', '/users/:user_id/personal_access_tokens', { admin: true }, async (call) => {
    const user = await findUser(call.core.store.read, idOf(call, 'user_id', 'User'))
    if (!user || !isPerson(user)) throw notFound('User')
    return create(call, user.id)
  }),
  userRoute('get', `${own}/self`, { anyScope: true }, async (call) => shown(call, await shownToken(call))),
  userRoute('delete', `${own}/self`, { anyScope: true }, async (call) => remove(call, await shownToken(call))),
  userRoute('post', `${own}/self/rotate`, { scopes: ['self_rotate'] }, async (call) =>
    rotate(call, await shownToken(call)),
  ),
  userRoute('get', `${own}/:token_id`, {}, async (call) => shown(call, await ownToken(call))),
  userRoute('delete', `${own}/:token_id`, {}, async (call) => remove(call, await ownToken(call))),
  userRoute('post', `${own}/:token_id/rotate`, {}, async (call) => rotate(call, await ownToken(call))),

  projectRoute('get', ofProject, administer, (call) => list(call, { projectId: call.project.id })),
  projectRoute('post', ofProject, administer, createForProject),
  projectRoute('get', `${ofProject}/:token_id`, administer, async (call) => shown(call, await projectToken(call))),
  projectRoute('delete', `${ofProject}/:token_id`, administer, async (call) =>
    remove(signedIn(call), await projectToken(call)),
  ),
  projectRoute('post', `${ofProject}/:token_id/rotate`, administer, async (call) =>
    rotate(signedIn(call), await projectToken(call)),
  ),

  userRoute('get', ofGroup, {}, async (call) => list(call, { groupId: (await groupFor(call, 'own')).id })),
  userRoute('post', ofGroup, {}, createForGroup),
  userRoute('get', `${ofGroup}/:token_id`, {}, async (call) => shown(call, await groupToken(call))),
  userRoute('delete', `${ofGroup}/:token_id`, {}, async (call) => remove(call, await groupToken(call))),
  userRoute('post', `${ofGroup}/:token_id/rotate`, {}, async (call) => rotate(call, await groupToken(call))),
]

/** Administrators see everybody's, `user_id` picks; others their own. */
async function listOwn(call: UserCall): Promise<Reply> {
  const { actor, params } = call
  const wanted = params.integer('user_id', { min: 1 })
  if (actor.user.isAdmin === 0 && wanted !== undefined && wanted !== actor.user.id) throw forbidden()
  const userId = actor.user.isAdmin === 1 ? wanted : actor.user.id
  return list(call, {
    ...(userId === undefined ? {} : { userId }),
    ...(actor.user.projectId === null ? {} : { projectId: actor.user.projectId }),
    ...(actor.user.groupId === null ? {} : { groupId: actor.user.groupId }),
  })
}

async function list(call: Call, filter: TokenFilter): Promise<Reply> {
  const { core } = call
  const page = requestedPage(call)
  const rows = await listAccessTokens(
    core.store.read,
    { ...filter, ...fromFilter(call.params, core.clock.now()) },
    { ...page, limit: page.perPage + 1 },
  )
  const body = rows.map((row) => toAccessToken(row, core.clock.now()))
  return pageReply(call, page, body, undefined)
}

function fromFilter(params: Params, now: number): TokenFilter {
  const revoked = params.boolean('revoked')
  const state = params.choice('state', ['active', 'inactive'])
  return {
    ...(revoked === undefined ? {} : { revoked }),
    ...(state === undefined ? {} : { [state === 'active' ? 'activeAt' : 'overAt']: now }),
  }
}

async function create(call: UserCall, userId: number): Promise<Reply> {
  const input = { ...fromTokenSettings(call.params), userId, by: call.actor }
  return made(call, await told(createAccessToken(call.core, input)), 201)
}

const maintainer = 40

async function createForGroup(call: UserCall): Promise<Reply> {
  const { core, params, actor: by } = call
  const { id: groupId } = await groupFor(call, 'own')
  const input = { ...fromTokenSettings(params), groupId, accessLevel: levelOf(params), by }
  return made(call, await told(createGroupToken(core, input)), 201)
}

function levelOf(params: Params): number {
  const accessLevel = params.integer('access_level') ?? maintainer
  if (!accessLevels.includes(accessLevel)) throw wrongParameter('access_level', 'does not have a valid value')
  return accessLevel
}

async function createForProject(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const accessLevel = levelOf(params)
  const { actor: by } = signedIn(call)
  const input = { ...fromTokenSettings(params), projectId: project.id, accessLevel, by }
  return made(call, await told(createProjectToken(core, input)), 201)
}

async function rotate(call: Call & { actor: Actor }, row: OwnedToken): Promise<Reply> {
  const input = { id: row.id, expiresAt: fromDate(call.params, 'expires_at') ?? undefined, by: call.actor }
  return made(call, await told(rotateAccessToken(call.core, input)), 200)
}

async function remove(call: Call & { actor: Actor }, row: OwnedToken): Promise<Reply> {
  await told(endAccessToken(call.core, { id: row.id, by: call.actor }))
  return { status: 204 }
}

/** With the reason of a refusal. */
async function told<T>(act: Promise<T>): Promise<T> {
  try {
    return await act
  } catch (error) {
    throw error instanceof SignalboxError && error.code === 'forbidden' ? forbidden(error.message) : error
  }
}

/** The token that the request itself has shown. */
async function shownToken({ core, actor }: UserCall): Promise<OwnedToken> {
  const row = actor.tokenId === undefined ? undefined : await findAccessTokenById(core.store.read, actor.tokenId)
  if (!row) throw notFound()
  return row
}

/** The token of the path, if it is the user's; an administrator's are all. */
async function ownToken(call: UserCall): Promise<OwnedToken> {
  const row = await findAccessTokenById(call.core.store.read, idOf(call, 'token_id', 'Personal Access Token'))
  const mine =
    row?.userId === call.actor.user.id || (call.actor.user.isAdmin === 1 && row !== undefined && isPerson(row.user))
  if (!row || !mine) throw notFound('Personal Access Token')
  return row
}

async function projectToken(call: ProjectCall): Promise<OwnedToken> {
  const row = await findAccessTokenById(call.core.store.read, idOf(call, 'token_id', 'Project Access Token'))
  if (row?.user.projectId !== call.project.id) throw notFound('Project Access Token')
  return row
}

async function groupToken(call: UserCall): Promise<OwnedToken> {
  const { id } = await groupFor(call, 'own')
  const row = await findAccessTokenById(call.core.store.read, idOf(call, 'token_id', 'Group Access Token'))
  if (row?.user.groupId !== id) throw notFound('Group Access Token')
  return row
}

/** Only who has signed in gets to a route that asks for it. */
function signedIn(call: ProjectCall): ProjectCall & { actor: Actor } {
  return { ...call, actor: call.actor! }
}

async function shown({ core }: Call, row: OwnedToken): Promise<Reply> {
  return { status: 200, body: toAccessToken(row, core.clock.now()) }
}

function made({ core }: Call, { row, token }: NewToken, status: number): Reply {
  return { status, body: { ...toAccessToken(row, core.clock.now()), token } }
}

/** Members of projects and groups: two places, one set of handlers. https://docs.gitlab.com/api/members/ */
import type { Actor } from '../../core/authorize.js'
import { SignalboxError } from '../../core/errors.js'
import type { Place } from '../../core/member.js'
import { addMember, editMember, removeMember } from '../../core/operations/edit-member.js'
import { findMember, listAllMembers, listMembers, type MemberRow } from '../../core/store/members.js'
import { usersById } from '../../core/store/related.js'
import { findUser, findUserByName } from '../../core/store/users.js'
import type { Call, Reply, Route } from '../../http/call.js'
import { wrongParameter } from '../../http/params.js'
import { groupFor, idOf, projectRoute, userRoute } from '../call.js'
import { fromDate } from '../convert/access-token.js'
import { toMember } from '../convert/member.js'
import { forbidden, notFound } from '../errors.js'
import { pageReply, requestedPage } from '../pages.js'

type Handler = (call: Call & { actor: Actor }, place: Place) => Promise<Reply>

const reading = [
  ['/members', (call, place) => list(call, listMembers(call.core.store.read, place))],
  ['/members/all', (call, place) => list(call, listAllMembers(call.core.store.read, place))],
  ['/members/:user_id', (call, place) => show(call, listMembers(call.core.store.read, place))],
  ['/members/all/:user_id', (call, place) => show(call, listAllMembers(call.core.store.read, place))],
] as const satisfies readonly (readonly [string, Handler])[]

const changing = [
  ['post', '/members', add],
  ['put', '/members/:user_id', edit],
] as const satisfies readonly (readonly [Route['method'], string, Handler])[]

export const memberRoutes: readonly Route[] = [
  ...reading.flatMap(([path, handle]) => [
    projectRoute('get', `/projects/:id${path}`, { deed: 'read', signedIn: true }, (call) =>
      handle({ ...call, actor: call.actor! }, { projectId: call.project.id }),
    ),
    userRoute('get', `/groups/:id${path}`, {}, async (call) =>
      handle(call, { groupId: (await groupFor(call, 'see')).id }),
    ),
  ]),
  ...changing.flatMap(([method, path, handle]) => [
    projectRoute(method, `/projects/:id${path}`, { deed: 'administer' }, (call) =>
      handle({ ...call, actor: call.actor! }, { projectId: call.project.id }),
    ),
    userRoute(method, `/groups/:id${path}`, {}, async (call) =>
      handle(call, { groupId: (await groupFor(call, 'own')).id }),
    ),
  ]),
  // A member may go by itself.
  projectRoute('delete', '/projects/:id/members/:user_id', { deed: 'read' }, (call) =>
    remove({ ...call, actor: call.actor! }, { projectId: call.project.id }),
  ),
  userRoute('delete', '/groups/:id/members/:user_id', {}, async (call) =>
    remove(call, { groupId: (await groupFor(call, 'see')).id }),
  ),
]

/** `query` looks in names and user names, `user_ids` picks. */
async function list(call: Call, members: Promise<MemberRow[]>): Promise<Reply> {
  const { params } = call
  const query = params.text('query', { max: 255 })?.toLowerCase() ?? ''
  const ids = params.texts('user_ids', { commas: true })
  const page = requestedPage(call)
  const found = (await members).filter(
    ({ user }) =>
      `${user.username}\n${user.name}`.toLowerCase().includes(query) &&
      (ids === undefined || ids.includes(String(user.id))),
  )
  const shown = found.slice(page.offset, page.offset + page.limit)
  return pageReply(call, page, await entities(call, shown), found.length)
}

async function show(call: Call, members: Promise<MemberRow[]>): Promise<Reply> {
  const id = idOf(call, 'user_id', 'User')
  const member = (await members).find((one) => one.userId === id)
  if (!member) throw notFound()
  const [body] = await entities(call, [member])
  return { status: 200, body }
}

async function entities({ core }: Call, rows: readonly MemberRow[]) {
  const makers = await usersById(
    core.store.read,
    rows.flatMap((row) => row.createdById ?? []),
  )
  return rows.map((row) => toMember(row, makers.get(row.createdById ?? 0), core.externalUrl()))
}

async function add(call: Call & { actor: Actor }, place: Place): Promise<Reply> {
  const { core, params, actor: by } = call
  const accessLevel = params.integer('access_level')
  if (accessLevel === undefined) throw wrongParameter('access_level', 'is missing')
  const username = params.text('username', { max: 255 })
  const id = params.integer('user_id', { min: 1 })
  if ((id === undefined) === !username)
    throw wrongParameter('user_id, username', 'are missing, exactly one parameter must be provided')
  const user = username ? await findUserByName(core.store.read, username) : await findUser(core.store.read, id!)
  if (!user) throw notFound('User')
  const expiresAt = fromDate(params, 'expires_at')
  await told(() => addMember(core, { place, userId: user.id, accessLevel, expiresAt, by }))
  return shown(call, place, user.id, 201)
}

/** Without `expires_at` the end stays as it is; empty, it is taken away. */
async function edit(call: Call & { actor: Actor }, place: Place): Promise<Reply> {
  const { core, params, actor: by } = call
  const userId = idOf(call, 'user_id', 'User')
  const accessLevel = params.integer('access_level')
  if (accessLevel === undefined) throw wrongParameter('access_level', 'is missing')
  const known = await findMember(core.store.read, place, userId)
  if (!known) throw notFound()
  const expiresAt = params.raw('expires_at') === undefined ? known.expiresAt : fromDate(params, 'expires_at')
  await told(() => editMember(core, { place, userId, accessLevel, expiresAt, by }))
  return shown(call, place, userId, 200)
}

/** A group's member leaves also what is below it, unless `skip_subresources` says otherwise. */
async function remove(call: Call & { actor: Actor }, place: Place): Promise<Reply> {
  const below = call.params.boolean('skip_subresources') !== true
  const userId = idOf(call, 'user_id', 'User')
  await told(() => removeMember(call.core, { place, userId, below, by: call.actor }))
  return { status: 204 }
}

async function shown(call: Call, place: Place, userId: number, status: number): Promise<Reply> {
  const rows = await listMembers(call.core.store.read, place)
  const [body] = await entities(
    call,
    rows.filter((row) => row.userId === userId),
  )
  return { status, body }
}

async function told(act: () => Promise<unknown>): Promise<void> {
  try {
    await act()
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'not_found') throw notFound()
    if (error instanceof SignalboxError && error.code === 'forbidden') throw forbidden(error.message)
    throw error
  }
}

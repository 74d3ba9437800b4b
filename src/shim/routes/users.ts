/** Users, as far as tokens and projects need them: gitlab lib/api/users.rb. */
import { defined } from '../../core/defined.js'
import { SignalboxError } from '../../core/errors.js'
import { createUser, setBlocked, updateUser } from '../../core/operations/edit-user.js'
import { findUser, listPeople, type User } from '../../core/store/users.js'
import type { Reply, Route, UserCall } from '../../http/call.js'
import { wrongParameter } from '../../http/params.js'
import { idOf, userRoute } from '../call.js'
import { toCurrentUser, toUserBasic } from '../convert/user.js'
import { forbidden, notFound } from '../errors.js'
import { pageReply, requestedPage } from '../pages.js'

export const userRoutes: readonly Route[] = [
  userRoute('get', '/users', { scopes: ['read_user'] }, list),
  userRoute('post', '/users', { admin: true }, create),
  userRoute('get', '/users/:user_id', { scopes: ['read_user'] }, async (call) => ({
    status: 200,
    body: shown(call, await userOf(call)),
  })),
  userRoute('put', '/users/:user_id', { admin: true }, update),
  userRoute('post', '/users/:user_id/block', { admin: true }, (call) => block(call, true)),
  userRoute('post', '/users/:user_id/unblock', { admin: true }, (call) => block(call, false)),
]

async function list(call: UserCall): Promise<Reply> {
  const page = requestedPage(call)
  const username = call.params.text('username', { max: 255 }) || undefined
  const rows = await listPeople(call.core.store.read, username, { ...page, limit: page.perPage + 1 })
  const body = rows.map((user) => shown(call, user))
  return pageReply(call, page, body, undefined)
}

/** Without a `password` a user signs in by a link that an administrator makes. */
async function create(call: UserCall): Promise<Reply> {
  const { core, params, actor } = call
  const input = {
    username: params.requiredText('username', { max: 255 }),
    name: params.requiredText('name', { max: 255 }),
    email: params.requiredText('email', { max: 255 }),
    isAdmin: params.boolean('admin') ?? false,
    ...defined({ password: params.text('password', { max: 1024 }) || undefined }),
  }
  return { status: 201, body: shown(call, await createUser(core, { ...input, by: actor.user.id })) }
}

async function update(call: UserCall): Promise<Reply> {
  const { core, params, actor } = call
  const { id } = await userOf(call)
  const changes = defined({
    name: params.text('name', { max: 255 }),
    email: params.text('email', { max: 255 }),
    isAdmin: params.boolean('admin'),
    password: params.text('password', { max: 1024 }),
  })
  if (Object.keys(changes).length === 0) {
    throw wrongParameter('name, email, admin, password', 'are missing, at least one parameter must be provided')
  }
  return { status: 200, body: shown(call, await updateUser(core, { userId: id, changes, by: actor.user.id })) }
}

async function block(call: UserCall, blocked: boolean): Promise<Reply> {
  const user = await userOf(call)
  try {
    await setBlocked(call.core, { userId: user.id, blocked, by: call.actor.user.id })
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'forbidden') throw forbidden(error.message)
    throw error
  }
  return { status: 201, body: true }
}

async function userOf(call: UserCall): Promise<User> {
  const user = await findUser(call.core.store.read, idOf(call, 'user_id', 'User'))
  if (!user) throw notFound('User')
  return user
}

/** Administrators see all of it. */
function shown({ core, actor }: UserCall, user: User): object {
  return actor.user.isAdmin === 1 ? toCurrentUser(user, core.externalUrl()) : toUserBasic(user, core.externalUrl())
}

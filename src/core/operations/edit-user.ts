/** Administrators make users, and block them. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { isPathSegment } from '../project.js'
import { reservedPart } from '../reserved-paths.js'
import { checkPassword } from '../session.js'
import { record } from '../steps/record.js'
import { setPassword } from '../steps/set-password.js'
import { stopSchedules } from '../steps/stop-schedules.js'
import { deletePasswordLink } from '../store/passwords.js'
import { findGroupByPath, lockPath } from '../store/projects.js'
import { deleteSessions } from '../store/sessions.js'
import { findUser, findUserByName, insertUser, isPerson, saveUser, setUserState, type User } from '../store/users.js'
import type { Tx } from '../store/write.js'

/** What an administrator says of a user. */
export interface NewUser {
  username: string
  name: string
  email: string
  isAdmin: boolean
}

const longestName = 255

/** Throws `invalid` with `details.field`; `conflict` with it for a name that is taken. */
export async function createUser(core: Core, input: NewUser & { password?: string; by: number }): Promise<User> {
  const hash = await hashOf(core, input.password, input)
  return core.store.write(async (tx) => {
    const { username, name, email } = input
    if (!isPathSegment(username)) throw refused('invalid', 'username', 'is invalid')
    if (reservedPart(username) !== undefined) throw refused('invalid', 'username', 'is a reserved name')
    checkNames(input)
    await lockPath(tx, username)
    const group = await findGroupByPath(tx, username)
    if ((await findUserByName(tx, username)) || group) throw refused('conflict', 'username', 'has already been taken')
    const user = await insertUser(tx, { username, name, email, isAdmin: input.isAdmin ? 1 : 0 })
    await record(core, tx, { kind: 'user.changed', data: { user: user.id, state: 'active', by: input.by } })
    if (hash !== undefined) await setPassword(core, tx, { userId: user.id, hash, by: input.by })
    return user
  })
}

export type UserChanges = Partial<Pick<NewUser, 'name' | 'email' | 'isAdmin'>> & { password?: string }

/**
 * Changes a user, and returns it as it is now. Throws `not_found`; `invalid` with `details.field`; `forbidden` where the first
 * administrator would be none.
 */
export async function updateUser(
  core: Core,
  input: { userId: number; changes: UserChanges; by: number },
): Promise<User> {
  const before = await findUser(core.store.read, input.userId)
  const hash = before && (await hashOf(core, input.changes.password, before))
  return core.store.write(async (tx) => {
    const user = await findUser(tx, input.userId)
    if (!user || !isPerson(user)) throw new SignalboxError('not_found', `no user ${input.userId}`)
    const { name = user.name, email = user.email, isAdmin = user.isAdmin === 1 } = input.changes
    checkNames({ name, email })
    if (user.id === 1 && !isAdmin) throw new SignalboxError('forbidden', 'the first administrator stays one')
    await saveUser(tx, user.id, { name, email, isAdmin: isAdmin ? 1 : 0 })
    await record(core, tx, { kind: 'user.changed', data: { user: user.id, admin: isAdmin, by: input.by } })
    if (hash !== undefined) await setPassword(core, tx, { userId: user.id, hash, by: input.by })
    return { ...user, name, email, isAdmin: isAdmin ? 1 : 0 }
  })
}

/** What a blocked user has begun goes on; its tokens are refused. Throws `not_found`; `forbidden` for user 1. */
export function setBlocked(core: Core, input: { userId: number; blocked: boolean; by: number }): Promise<void> {
  return core.store.write(async (tx) => {
    const user = await findUser(tx, input.userId)
    if (!user || !isPerson(user)) throw new SignalboxError('not_found', `no user ${input.userId}`)
    if (user.id === 1) throw new SignalboxError('forbidden', 'the first administrator cannot be blocked')
    const state = input.blocked ? 'blocked' : 'active'
    if (user.state === state) return
    await setUserState(tx, user.id, state)
    if (input.blocked) await shutOut(core, tx, { userId: user.id, by: input.by })
    if (input.blocked) await stopSchedules(core, tx, user.id)
    await record(core, tx, { kind: 'user.changed', data: { user: user.id, state, by: input.by } })
  })
}

/** A password takes a while to hash: not inside of a transaction. */
async function hashOf(
  core: Core,
  password: string | undefined,
  user: Parameters<typeof checkPassword>[1],
): Promise<string | undefined> {
  if (password === undefined) return undefined
  checkPassword(password, user)
  return core.memory.passwords.hash(password)
}

/** Sessions and links of a blocked user do not come back to life when it is let in again. */
async function shutOut(core: Core, tx: Tx, { userId, by }: { userId: number; by: number }): Promise<void> {
  await deletePasswordLink(tx, userId)
  for (const session of await deleteSessions(tx, userId, {})) {
    await record(core, tx, { kind: 'session.ended', data: { session, user: userId, by } })
  }
}

function checkNames({ name, email }: Pick<NewUser, 'name' | 'email'>): void {
  if (name.trim() === '' || name.length > longestName) throw refused('invalid', 'name', 'is invalid')
  if (!/^[^\s@]+@[^\s@]+$/.test(email) || email.length > longestName) throw refused('invalid', 'email', 'is invalid')
}

function refused(code: 'invalid' | 'conflict', field: string, message: string): SignalboxError {
  return new SignalboxError(code, `${field} ${message}`, { details: { field, message } })
}

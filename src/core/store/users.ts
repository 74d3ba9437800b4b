/** Rows of users. */
import { sql } from 'kysely'
import { hotQuery } from './hot-query.js'
import type { Page } from './page.js'
import type { Reader, Tx } from './write.js'

/** A person, or the user behind an access token of a project or group. `isAdmin` is 0 or 1. */
export interface User {
  id: number
  username: string
  name: string
  email: string
  isAdmin: number
  state: 'active' | 'blocked'
  /** The user of a project's access token: the only project that it belongs to; null: a person. */
  projectId: number | null
  /** What the user of a project's access token may do there, as GitLab counts: 10 guest … 50 owner. */
  accessLevel: number | null
  createdAt: number
  /** The user of a group's access token, which is a member there: that group; null: a person. */
  groupId: number | null
}

/** Whether somebody signs in as this user; nobody does as the user of a project's or group's token. */
export function isPerson(user: Pick<User, 'projectId' | 'groupId'>): boolean {
  return user.projectId === null && user.groupId === null
}

/** Returns the user of this id, blocked ones too; undefined: there is none. */
export function findUser(from: Reader | Tx, id: number): Promise<User | undefined> {
  return from.first(userById, { id })
}

/** Whatever its case, as paths of groups. */
export function findUserByName(from: Reader | Tx, username: string): Promise<User | undefined> {
  return from.db
    .selectFrom('users')
    .select(userColumns)
    .where(sql<boolean>`lower(username) = ${username.toLowerCase()}`)
    .executeTakeFirst()
}

/** People, not the users of projects' and groups' tokens; oldest first. */
export function listPeople(from: Reader, username: string | undefined, page: Page): Promise<User[]> {
  return from.db
    .selectFrom('users')
    .select(userColumns)
    .where('project_id', 'is', null)
    .where('group_id', 'is', null)
    .$if(username !== undefined, (q) => q.where('username', '=', username!))
    .orderBy('id')
    .limit(page.limit)
    .offset(page.offset)
    .execute()
}

/** Inserts an active user. The schema refuses a username that is taken. */
export async function insertUser(
  tx: Tx,
  user: Pick<User, 'username' | 'name' | 'email' | 'isAdmin'> &
    Partial<Pick<User, 'projectId' | 'accessLevel' | 'groupId'>>,
): Promise<User> {
  const { projectId = null, accessLevel = null, groupId = null } = user
  const { id } = await tx.db
    .insertInto('users')
    .values({
      username: user.username,
      name: user.name,
      email: user.email,
      is_admin: user.isAdmin,
      state: 'active',
      project_id: projectId,
      access_level: accessLevel,
      group_id: groupId,
      created_at: tx.now,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return { ...user, id, state: 'active', projectId, accessLevel, groupId, createdAt: tx.now }
}

/** Blocks a user, or lets it in again. */
export async function saveUser(tx: Tx, id: number, user: Pick<User, 'name' | 'email' | 'isAdmin'>): Promise<void> {
  const { name, email, isAdmin } = user
  await tx.db.updateTable('users').set({ name, email, is_admin: isAdmin }).where('id', '=', id).execute()
}

export async function setUserState(tx: Tx, id: number, state: User['state']): Promise<void> {
  await tx.db.updateTable('users').set({ state }).where('id', '=', id).execute()
}

/** The columns of a `User`. */
export const userColumns = [
  'users.id',
  'users.username',
  'users.name',
  'users.email',
  'users.is_admin as isAdmin',
  'users.state',
  'users.project_id as projectId',
  'users.access_level as accessLevel',
  'users.created_at as createdAt',
  'users.group_id as groupId',
] as const

const userById = hotQuery<User, 'id'>((db, p) => db.selectFrom('users').select(userColumns).where('id', '=', p('id')), {
  remembered: ['users'],
})

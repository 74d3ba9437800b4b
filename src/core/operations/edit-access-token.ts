/**
 * Access tokens: users make them for themselves, administrators for everybody, who may administer a project for that
 * project, and owners of a group for the group. Rules: gitlab app/services/{personal_access_tokens,resource_access_tokens}/*.rb.
 */

import type { Actor } from '../authorize.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { record } from '../steps/record.js'
import { requireLevel } from '../steps/require-level.js'
import { stopSchedules } from '../steps/stop-schedules.js'
import { findAccessTokenById, insertAccessToken, type OwnedToken, revokeAccessToken } from '../store/access-tokens.js'
import { deleteMember, findMember, insertMember } from '../store/members.js'
import { insertUser, isPerson, setUserState } from '../store/users.js'
import type { Tx } from '../store/write.js'
import { type AccessScope, accessScopes, adminTokenName, hashToken, hintOf, mintToken } from '../tokens/token.js'

/** What the maker of a token says of it. */
export interface TokenSettings {
  name: string
  description?: string
  scopes: readonly string[]
  /** Milliseconds since 1970; null: it does not expire. */
  expiresAt: number | null
}

/** A token, with its text: shown this once. */
export interface NewToken {
  row: OwnedToken
  token: string
}

const longest = 255

/**
 * A token of a user. Throws `invalid` with `details.field` for a setting that cannot be; `forbidden` where it would live
 * longer than the token that `by` has shown, and to a token of a project or group, whose rotation must leave nothing behind.
 */
export function createAccessToken(core: Core, input: TokenSettings & { userId: number; by: Actor }): Promise<NewToken> {
  return core.store.write(async (tx) => {
    checkSettings(input, tx.now)
    if (!isPerson(input.by.user)) {
      throw new SignalboxError('forbidden', 'a token of a project or group cannot make another one')
    }
    await requireNoLongerLife(tx, input.by, input.expiresAt)
    return issue(core, tx, input, input.by)
  })
}

/**
 * A token of a project: a user of its own who may do there what the level says. Throws as `createAccessToken` does, and
 * `forbidden` for a level above that of whoever makes it.
 */
export function createProjectToken(
  core: Core,
  input: TokenSettings & { projectId: number; accessLevel: number; by: Actor },
): Promise<NewToken> {
  return core.store.write(async (tx) => {
    checkSettings(input, tx.now)
    if (!isPerson(input.by.user)) {
      throw new SignalboxError('forbidden', 'a token of a project or group cannot make another one')
    }
    await requireLevel(tx, input.by, { projectId: input.projectId }, input.accessLevel)
    await requireNoLongerLife(tx, input.by, input.expiresAt)
    const username = `project_${input.projectId}_bot_${tx.random.bytes(8).toString('hex')}`
    const user = await insertUser(tx, {
      username,
      name: input.name,
      email: `${username}@noreply.localhost`,
      isAdmin: 0,
      projectId: input.projectId,
      accessLevel: input.accessLevel,
    })
    return issue(core, tx, { ...input, userId: user.id }, input.by)
  })
}

/**
 * A token of a group: a user of its own who is a member there, and so in all groups and projects below it. Throws as
 * `createProjectToken` does.
 */
export function createGroupToken(
  core: Core,
  input: TokenSettings & { groupId: number; accessLevel: number; by: Actor },
): Promise<NewToken> {
  const { groupId, accessLevel, by } = input
  return core.store.write(async (tx) => {
    checkSettings(input, tx.now)
    if (!isPerson(by.user)) {
      throw new SignalboxError('forbidden', 'a token of a project or group cannot make another one')
    }
    await requireLevel(tx, by, { groupId }, accessLevel)
    await requireNoLongerLife(tx, by, input.expiresAt)
    const username = `group_${groupId}_bot_${tx.random.bytes(8).toString('hex')}`
    const email = `${username}@noreply.localhost`
    const user = await insertUser(tx, { username, name: input.name, email, isAdmin: 0, groupId, accessLevel })
    const member = { userId: user.id, accessLevel, expiresAt: null, createdById: by.user.id }
    await insertMember(tx, { groupId }, member)
    return issue(core, tx, { ...input, userId: user.id }, by)
  })
}

/**
 * Ends a token at once; with a token of a project or group its user. Doing it twice changes nothing. Throws `not_found`; `forbidden`
 * for a token of a project or group with a level above that of whoever ends it.
 */
export function endAccessToken(core: Core, input: { id: number; by: Actor }): Promise<void> {
  return core.store.write(async (tx) => {
    const row = await changeable(tx, input.id)
    if (input.by.user.id !== row.userId) await requireLevelOf(tx, input.by, row.user)
    if (!isPerson(row.user)) await setUserState(tx, row.userId, 'blocked')
    const { groupId } = row.user
    if (groupId !== null) await deleteMember(tx, { groupId }, row.userId)
    if (!isPerson(row.user)) await stopSchedules(core, tx, row.userId)
    await end(core, tx, row, input.by)
  })
}

const weekMs = 7 * 24 * 3_600_000

/**
 * Ends a token and gives its successor, of the same user with the same scopes. `expiresAt` undefined: a week from now, if
 * the old one expires. A token may give itself a longer life. Throws `not_found`; `invalid` for one that is over;
 * `forbidden` for a token of a project or group with a level above that of whoever rotates it.
 */
export function rotateAccessToken(
  core: Core,
  input: { id: number; expiresAt: number | undefined; by: Actor },
): Promise<NewToken> {
  return core.store.write(async (tx) => {
    const { name, description, scopes, userId, ...row } = await changeable(tx, input.id)
    if (row.revokedAt !== null || (row.expiresAt !== null && row.expiresAt <= tx.now)) {
      throw wrong('token', 'is already revoked or expired')
    }
    const expiresAt = input.expiresAt ?? (row.expiresAt === null ? null : tx.now + weekMs)
    const settings = { name, description, scopes: JSON.parse(scopes), expiresAt }
    checkSettings(settings, tx.now)
    if (input.by.tokenId !== input.id && !isPerson(input.by.user)) {
      throw new SignalboxError('forbidden', 'a token of a project or group cannot rotate another one')
    }
    if (input.by.tokenId !== input.id) await requireNoLongerLife(tx, input.by, expiresAt)
    // Whoever rotates a token of another has it then.
    if (input.by.user.id !== userId) await requireLevelOf(tx, input.by, row.user)
    await end(core, tx, row, input.by)
    return issue(core, tx, { ...settings, userId }, input.by)
  })
}

/** Throws `forbidden` where the user of a project's or group's token may do more there than `by` may. */
async function requireLevelOf(tx: Tx, by: Actor, user: OwnedToken['user']): Promise<void> {
  const { projectId, groupId, accessLevel } = user
  if (projectId !== null) await requireLevel(tx, by, { projectId }, accessLevel ?? 0)
  if (groupId === null) return
  const member = await findMember(tx, { groupId }, user.id)
  await requireLevel(tx, by, { groupId }, member?.accessLevel ?? 0)
}

function checkSettings({ name, description, scopes, expiresAt }: TokenSettings, now: number): void {
  if (name.trim() === '') throw wrong('name', "can't be blank")
  if (name === adminTokenName) throw wrong('name', 'is reserved')
  if (name.length > longest) throw wrong('name', `is too long (maximum is ${longest} characters)`)
  if ((description?.length ?? 0) > longest) throw wrong('description', `is too long (maximum is ${longest} characters)`)
  if (scopes.length === 0) throw wrong('scopes', "can't be blank")
  const unknown = scopes.find((scope) => !accessScopes.includes(scope as AccessScope))
  if (unknown !== undefined) throw wrong('scopes', `can only be ${accessScopes.join(', ')}`)
  if (expiresAt !== null && expiresAt <= now) throw wrong('expires_at', 'must be a future date')
}

/** Whoever gets hold of a token that ends must not be able to go on with another. */
async function requireNoLongerLife(tx: Tx, by: Actor, expiresAt: number | null): Promise<void> {
  const shown = by.tokenId === undefined ? undefined : await findAccessTokenById(tx, by.tokenId)
  const ends = shown?.expiresAt ?? null
  if (ends !== null && (expiresAt === null || expiresAt > ends)) {
    throw new SignalboxError('forbidden', 'a token cannot make one that lives longer')
  }
}

async function issue(
  core: Core,
  tx: Tx,
  { userId, name, description, scopes, expiresAt }: TokenSettings & { userId: number },
  by: Actor,
): Promise<NewToken> {
  const token = mintToken('access', tx.random, core.settings.cell)
  const id = await insertAccessToken(tx, {
    userId,
    name,
    ...(description === undefined ? {} : { description }),
    tokenHash: hashToken(token),
    tokenHint: hintOf(token),
    scopes: accessScopes.filter((scope) => scopes.includes(scope)),
    expiresAt,
  })
  const row = await existing(tx, id)
  const data = { id, user: userId, scopes: row.scopes, ...ofGroup(row), by: by.user.id }
  await record(core, tx, { kind: 'token.created', projectId: row.user.projectId, data })
  return { row, token }
}

async function end(core: Core, tx: Tx, row: Pick<OwnedToken, 'id' | 'user'>, by: Actor): Promise<void> {
  await revokeAccessToken(tx, row.id)
  const data = { id: row.id, user: row.user.id, ...ofGroup(row), by: by.user.id }
  await record(core, tx, { kind: 'token.revoked', projectId: row.user.projectId, data })
}

const ofGroup = ({ user }: Pick<OwnedToken, 'user'>): Record<string, number> =>
  user.groupId === null ? {} : { group: user.groupId }

async function existing(tx: Tx, id: number): Promise<OwnedToken> {
  const row = await findAccessTokenById(tx, id)
  if (!row) throw new SignalboxError('not_found', `no access token ${id}`)
  return row
}

async function changeable(tx: Tx, id: number): Promise<OwnedToken> {
  const row = await existing(tx, id)
  if (row.userId === 1 && row.name === adminTokenName) {
    throw new SignalboxError('forbidden', 'this token is the one that the settings give: change it there')
  }
  return row
}

function wrong(field: string, message: string): SignalboxError {
  return new SignalboxError('invalid', `${field} ${message}`, { details: { field, message } })
}

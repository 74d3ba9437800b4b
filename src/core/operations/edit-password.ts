/** Passwords: people change their own, or set one by a link that is good once; administrators make such links. */
import type { Actor } from '../authorize.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { checkPassword, sessionTimes } from '../session.js'
import { record } from '../steps/record.js'
import { setPassword } from '../steps/set-password.js'
import { findMeta, setMeta } from '../store/meta.js'
import { deletePasswordLink, findPassword, findPasswordLink, savePasswordLink } from '../store/passwords.js'
import { findUser, isPerson, type User } from '../store/users.js'
import type { Tx } from '../store/write.js'
import { hashToken, mintToken } from '../tokens/token.js'

/** A link that sets a password once: its token, and until when. */
export interface PasswordLink {
  token: string
  expiresAt: number
}

/** Makes a link for a user; the one before is dead. Throws `not_found` for who is not there or no person. */
export function makePasswordLink(core: Core, input: { userId: number; by: Actor }): Promise<PasswordLink> {
  return core.store.write((tx) => linkFor(core, tx, input.userId, input.by.user.id))
}

/** The link for the first administrator: once in the life of an installation, and only while there is no password. */
export function makeFirstLink(core: Core): Promise<PasswordLink | undefined> {
  return core.store.write(async (tx) => {
    if ((await findMeta(tx, 'first_link')) !== undefined || (await findPassword(tx, 1)) !== undefined) return undefined
    return (await setMeta(tx, 'first_link', 'made', undefined)) ? linkFor(core, tx, 1, 1) : undefined
  })
}

async function linkFor(core: Core, tx: Tx, userId: number, by: number): Promise<PasswordLink> {
  const user = await findUser(tx, userId)
  if (!user || !isPerson(user)) throw new SignalboxError('not_found', `no user ${userId}`)
  const token = mintToken('passwordLink', tx.random)
  const expiresAt = tx.now + sessionTimes.linkMs
  await savePasswordLink(tx, { userId, tokenHash: hashToken(token), expiresAt })
  await record(core, tx, { kind: 'password.link_made', data: { user: userId, by } })
  return { token, expiresAt }
}

/**
 * Sets the password of the user whom the link was made for, and ends all its sessions. Throws `unauthenticated` for a link that is
 * used, replaced, over or a blocked user's; `invalid` with `details.field`, and then the link is still good.
 */
export async function usePasswordLink(core: Core, input: { token: string; password: string }): Promise<User> {
  const tokenHash = hashToken(input.token)
  const userId = await findPasswordLink(core.store.read, tokenHash)
  const user = userId === undefined ? undefined : await findUser(core.store.read, userId)
  if (user?.state !== 'active') throw deadLink()
  checkPassword(input.password, user)
  const hash = await core.memory.passwords.hash(input.password)
  return core.store.write(async (tx) => {
    if ((await findPasswordLink(tx, tokenHash)) !== user.id) throw deadLink()
    if (!(await deletePasswordLink(tx, user.id, tokenHash))) throw deadLink()
    await setPassword(core, tx, { userId: user.id, hash, by: user.id })
    return user
  })
}

const deadLink = () => new SignalboxError('unauthenticated', 'this link is not good any more: ask for another one')

/**
 * Changes the password of who acts, and ends all its sessions but the one it acts in. Throws `forbidden` where none has been set
 * yet or the present one is wrong; `invalid` with `details.field`.
 */
export async function changePassword(
  core: Core,
  { by, current, password }: { by: Actor; current: string; password: string },
): Promise<void> {
  const kept = await findPassword(core.store.read, by.user.id)
  checkPassword(password, by.user)
  const wrong = () => new SignalboxError('forbidden', 'the present password is wrong')
  if (!(await core.memory.passwords.fits(current, kept))) throw wrong()
  const hash = await core.memory.passwords.hash(password)
  await core.store.write(async (tx) => {
    if ((await findPassword(tx, by.user.id)) !== kept) throw wrong()
    await setPassword(core, tx, { userId: by.user.id, hash, by: by.user.id, but: by.sessionId })
  })
}

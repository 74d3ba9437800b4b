/** Somebody signs in who has shown an OpenID provider who it is, or takes an identity there as a further way to sign in. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Identity, OpenIdPerson, OpenIdRules } from '../openid.js'
import { followClaims } from '../steps/follow-claims.js'
import { makePerson } from '../steps/make-person.js'
import { type Browser, type OpenedSession, openSession } from '../steps/open-session.js'
import { record } from '../steps/record.js'
import {
  deleteIdentity,
  findUserByIdentity,
  hasIdentities,
  insertIdentity,
  listIdentities,
  listPeopleByEmail,
} from '../store/identities.js'
import { deleteSessions, listSessions } from '../store/sessions.js'
import { findUser, type User } from '../store/users.js'
import type { Tx } from '../store/write.js'

export interface OpenIdSignIn {
  person: OpenIdPerson
  rules: OpenIdRules
  browser: Browser
}

/**
 * Opens a session for whoever has this identity; who is new gets a user, where the rules allow it. Throws `forbidden` for somebody
 * who is blocked, or is not known and may not sign up.
 */
export async function signInByOpenId(core: Core, input: OpenIdSignIn): Promise<OpenedSession> {
  const { person, rules, browser } = input
  const opened = await core.store.write(async (tx) => {
    const user = (await findUserByIdentity(tx, person)) ?? (await newcomer(core, tx, person, rules))
    if (user?.state !== 'active') {
      const data = { user: user?.id ?? null, name: person.username?.slice(0, 255) ?? '', issuer: person.issuer }
      await record(core, tx, { kind: 'session.refused', data: { ...data, address: browser.address, by: null } })
      return user ? 'blocked' : 'unknown'
    }
    await followClaims(core, tx, { user, person, rules })
    return openSession(core, tx, { userId: user.id, way: 'openid', issuer: person.issuer, browser })
  })
  if (opened === 'blocked') throw new SignalboxError('forbidden', 'this user is blocked')
  if (opened !== 'unknown') return opened
  throw new SignalboxError('forbidden', 'nobody here is known by this account: an administrator makes users')
}

/** Undefined: whoever has no user yet gets none. */
async function newcomer(core: Core, tx: Tx, person: OpenIdPerson, rules: OpenIdRules): Promise<User | undefined> {
  if (rules.linkByEmail && person.email !== undefined) {
    const [user, other] = await listPeopleByEmail(tx, person.email)
    if (user && !other && !(await hasIdentityAt(tx, user.id, person.issuer))) {
      await keepIdentity(core, tx, { userId: user.id, identity: person, by: user.id })
      return user
    }
  }
  if (!rules.signUp) return undefined
  const isAdmin = rules.firstIsAdmin && !(await hasIdentities(tx))
  const user = await makePerson(core, tx, person, isAdmin)
  await keepIdentity(core, tx, { userId: user.id, identity: person, by: user.id })
  return user
}

/**
 * Takes an identity as a further way to sign in, for who acts in the session. Throws `unauthenticated` where that session has ended;
 * `conflict` for an identity of somebody else, and where the user has another one at the provider.
 */
export function linkIdentity(
  core: Core,
  input: { userId: number; sessionId: number; person: Identity },
): Promise<User> {
  const { userId, sessionId, person } = input
  return core.store.write(async (tx) => {
    const user = await findUser(tx, userId)
    const isOpen = (await listSessions(tx, userId)).some((session) => session.id === sessionId)
    if (!isOpen || user?.state !== 'active') throw new SignalboxError('unauthenticated', 'sign in first')
    const owner = await findUserByIdentity(tx, person)
    if (owner?.id === userId) return user
    if (owner) throw new SignalboxError('conflict', 'somebody else here has this account')
    if (await hasIdentityAt(tx, userId, person.issuer)) {
      throw new SignalboxError('conflict', 'you have another account at this provider: unlink that first')
    }
    await keepIdentity(core, tx, { userId, identity: person, by: userId })
    return user
  })
}

/** Takes a user's identity at a provider away, and ends the sessions that were opened by it. Throws `not_found`. */
export function unlinkIdentity(core: Core, input: { userId: number; issuer: string; by: number }): Promise<void> {
  const { userId, issuer, by } = input
  return core.store.write(async (tx) => {
    if (!(await deleteIdentity(tx, userId, issuer))) throw new SignalboxError('not_found', 'there is no such identity')
    for (const session of await listSessions(tx, userId)) {
      if (session.issuer !== issuer) continue
      await deleteSessions(tx, userId, { id: session.id })
      await record(core, tx, { kind: 'session.ended', data: { session: session.id, user: userId, by } })
    }
    await record(core, tx, { kind: 'user.changed', data: { user: userId, unlinked: issuer, by } })
  })
}

async function hasIdentityAt(tx: Tx, userId: number, issuer: string): Promise<boolean> {
  return (await listIdentities(tx, userId)).some((one) => one.issuer === issuer)
}

async function keepIdentity(
  core: Core,
  tx: Tx,
  { userId, identity, by }: { userId: number; identity: Identity; by: number },
): Promise<void> {
  await insertIdentity(tx, userId, identity)
  const { issuer, subject } = identity
  await record(core, tx, { kind: 'user.changed', data: { user: userId, linked: issuer, subject, by } })
}

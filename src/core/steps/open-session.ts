/** A session for somebody who has shown who it is. It always gets a new token: none that was there before becomes another's. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { mostSessions, type Session, sessionEnd } from '../session.js'
import { deleteExpiredSessions, deleteSession, deleteSessions, insertSession, listSessions } from '../store/sessions.js'
import { findUser, isPerson, type User } from '../store/users.js'
import type { Tx } from '../store/write.js'
import { hashToken, mintToken } from '../tokens/token.js'
import { record } from './record.js'

/** The browser that signs in. */
export interface Browser {
  address: string
  agent: string
  /** The token of the cookie that it has sent. */
  token?: string | undefined
}

/** A session with its token: shown this once. */
export interface OpenedSession {
  user: User
  session: Session
  token: string
}

const longestAgent = 255

/**
 * Opens a session; the one that the browser had ends, and the user's oldest if there are too many. Throws `unauthenticated` for
 * somebody who is blocked, or is not a person.
 */
export async function openSession(
  core: Core,
  tx: Tx,
  {
    userId,
    way,
    issuer = null,
    browser,
  }: Pick<Session, 'userId' | 'way'> & { issuer?: string | null; browser: Browser },
): Promise<OpenedSession> {
  const user = await findUser(tx, userId)
  if (user?.state !== 'active' || !isPerson(user)) throw wrongCredentials()
  await deleteExpiredSessions(tx)
  const before = browser.token === undefined ? undefined : await deleteSession(tx, hashToken(browser.token))
  if (before) await record(core, tx, { kind: 'session.ended', data: { session: before.id, user: before.userId } })
  const open = await listSessions(tx, user.id)
  for (const { id } of open.slice(mostSessions - 1)) {
    await deleteSessions(tx, user.id, { id })
    await record(core, tx, { kind: 'session.ended', data: { session: id, user: user.id, by: user.id } })
  }
  const token = mintToken('session', tx.random)
  const session = await insertSession(tx, {
    userId: user.id,
    tokenHash: hashToken(token),
    way,
    issuer,
    address: browser.address,
    agent: browser.agent.slice(0, longestAgent),
    expiresAt: sessionEnd(tx.now, tx.now),
  })
  const data = {
    session: session.id,
    user: user.id,
    way,
    ...(issuer === null ? {} : { issuer }),
    address: browser.address,
    by: user.id,
  }
  await record(core, tx, { kind: 'session.opened', data })
  return { user, session, token }
}

/** The same for everything that may be wrong, so that it tells nobody which names there are. */
export function wrongCredentials(): SignalboxError {
  return new SignalboxError('unauthenticated', 'the user name or the password is wrong')
}

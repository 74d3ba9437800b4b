/** Somebody signs in with a password, or signs out. */
import type { Actor } from '../authorize.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { type Browser, type OpenedSession, openSession, wrongCredentials } from '../steps/open-session.js'
import { record } from '../steps/record.js'
import { findPassword } from '../store/passwords.js'
import { deleteSessions } from '../store/sessions.js'
import { findUserByName } from '../store/users.js'

/**
 * Opens a session for who knows the password. Throws `unauthenticated` for a wrong one, and just so for a name that is not there,
 * is blocked or has no password; `rate_limited`.
 */
export async function signIn(
  core: Core,
  { username, password, browser }: { username: string; password: string; browser: Browser },
): Promise<OpenedSession> {
  const { read } = core.store
  const user = await findUserByName(read, username)
  const kept = user && (await findPassword(read, user.id))
  const fits = await core.memory.passwords.fits(password, kept)
  if (!user || !fits || user.state !== 'active') {
    const data = { user: user?.id ?? null, name: username.slice(0, 255), address: browser.address, by: null }
    await core.store.write((tx) => record(core, tx, { kind: 'session.refused', data }))
    throw wrongCredentials()
  }
  return core.store.write(async (tx) => {
    // It may have been changed while it was compared.
    if ((await findPassword(tx, user.id)) !== kept) throw wrongCredentials()
    return openSession(core, tx, { userId: user.id, way: 'password', browser })
  })
}

/** Ends one session of a user, or all of them. Throws `not_found` for one that is not open. */
export function signOut(core: Core, input: { userId: number; which: number | 'all'; by: Actor }): Promise<void> {
  const { userId, which, by } = input
  return core.store.write(async (tx) => {
    const ended = await deleteSessions(tx, userId, which === 'all' ? {} : { id: which })
    if (ended.length === 0 && which !== 'all') throw new SignalboxError('not_found', `no session ${which}`)
    for (const session of ended) {
      await record(core, tx, { kind: 'session.ended', data: { session, user: userId, by: by.user.id } })
    }
  })
}

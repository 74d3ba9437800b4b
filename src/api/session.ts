/**
 * Signing in and out, for browsers: who has signed in has a session, whose token is in a cookie that no script can read. Passwords
 * are set by a link that is good once, or changed by who knows the present one.
 */
import { SignalboxError } from '../core/errors.js'
import { changePassword, makePasswordLink, usePasswordLink } from '../core/operations/edit-password.js'
import { signIn, signOut } from '../core/operations/sign-in.js'
import type { Session } from '../core/session.js'
import { listSessions } from '../core/store/sessions.js'
import type { User } from '../core/store/users.js'
import { addressOf, headerOf } from '../http/access.js'
import { type Call, idFrom, type Reply, type Route, type UserCall } from '../http/call.js'
import { refuseOtherSites, sessionCookie, sessionTokenOf } from '../http/session-cookie.js'
import type { OpenIdProviders } from './openid/routes.js'
import { passwordLinkUrl } from './password-page.js'
import { adminRoute, signedInRoute } from './route.js'

export function sessionRoutes(providers: OpenIdProviders): readonly Route[] {
  return [
    signedInRoute('get', '/session', showSession),
    { method: 'post', path: '/session', streams: false, handle: openSession },
    signedInRoute('delete', '/session', (call) => endSession(call, providers)),
    signedInRoute('get', '/sessions', showSessions),
    signedInRoute('delete', '/sessions', endSessions),
    signedInRoute('delete', '/sessions/:session_id', endOneSession),
    { method: 'post', path: '/password', streams: false, handle: setPassword },
    signedInRoute('put', '/password', changeOwn),
    adminRoute('post', '/users/:user_id/password-link', makeLink),
  ]
}

const longestInput = 1024

/** Who asks, and in which session; by an access token in none. */
async function showSession({ core, actor }: UserCall): Promise<Reply> {
  const sessions = actor.sessionId === undefined ? [] : await listSessions(core.store.read, actor.user.id)
  const session = sessions.find(({ id }) => id === actor.sessionId)
  return { status: 200, body: { user: toUser(actor.user), session: session ? toSession(session, session.id) : null } }
}

/** Signs in with a password. The answer sets the cookie; a session that the browser had before ends. */
async function openSession({ core, access, req, params }: Call): Promise<Reply> {
  const externalUrl = core.externalUrl()
  refuseOtherSites(req, externalUrl, { unsaid: true })
  const username = params.requiredText('username', { max: longestInput })
  const password = params.requiredText('password', { max: longestInput })
  const browser = {
    address: addressOf(req),
    agent: headerOf(req, 'user-agent') ?? '',
    token: sessionTokenOf(req, externalUrl),
  }
  const opened = await access.signIn(req, username, () => signIn(core, { username, password, browser }))
  const maxAgeS = Math.floor((opened.session.expiresAt - core.clock.now()) / 1000)
  return {
    status: 201,
    headers: { 'Set-Cookie': sessionCookie(externalUrl, opened.token, maxAgeS) },
    body: { user: toUser(opened.user), session: toSession(opened.session, opened.session.id) },
  }
}

/** Signs out: the session of the cookie ends. `sign_out_url`: where it goes on to sign out at the OpenID provider. */
async function endSession({ core, actor }: UserCall, providers: OpenIdProviders): Promise<Reply> {
  const id = actor.sessionId
  if (id === undefined) throw new SignalboxError('not_found', 'this request has no session')
  const session = (await listSessions(core.store.read, actor.user.id)).find((one) => one.id === id)
  await signOut(core, { userId: actor.user.id, which: id, by: actor })
  const externalUrl = core.externalUrl()
  const headers = { 'Set-Cookie': sessionCookie(externalUrl) }
  const provider = [...providers.values()].find(({ settings }) => settings.issuer === session?.issuer)
  const url = await provider?.signOutUrl(`${externalUrl}/`)
  return url === undefined ? { status: 204, headers } : { status: 200, headers, body: { sign_out_url: url } }
}

/** One's own sessions, the newest first. */
async function showSessions({ core, actor }: UserCall): Promise<Reply> {
  const sessions = await listSessions(core.store.read, actor.user.id)
  return { status: 200, body: sessions.map((session) => toSession(session, actor.sessionId)) }
}

/** Signs out everywhere. Access tokens stay. */
async function endSessions({ core, actor }: UserCall): Promise<Reply> {
  await signOut(core, { userId: actor.user.id, which: 'all', by: actor })
  return { status: 204, headers: { 'Set-Cookie': sessionCookie(core.externalUrl()) } }
}

/** Ends one of one's own sessions. */
async function endOneSession({ core, actor, path }: UserCall): Promise<Reply> {
  const which = idFrom(path('session_id'))
  if (which === undefined) throw new SignalboxError('not_found', 'there is no such session')
  await signOut(core, { userId: actor.user.id, which, by: actor })
  return { status: 204 }
}

/** Sets a password by the token of a link. */
async function setPassword({ core, access, req, params }: Call): Promise<Reply> {
  const token = params.requiredText('token', { max: longestInput })
  const password = params.requiredText('password', { max: longestInput })
  const user = await access.signIn(req, `link ${addressOf(req)}`, () => usePasswordLink(core, { token, password }))
  return { status: 200, body: { user: toUser(user) } }
}

/** Changes one's own password; one's other sessions end. */
async function changeOwn({ core, access, req, params, actor }: UserCall): Promise<Reply> {
  const current = params.requiredText('current_password', { max: longestInput })
  const password = params.requiredText('password', { max: longestInput })
  await access.signIn(req, actor.user.username, () => changePassword(core, { by: actor, current, password }))
  return { status: 204 }
}

/** Makes a link that sets a user's password once; the one before is dead. */
async function makeLink({ core, actor, path }: UserCall): Promise<Reply> {
  const userId = idFrom(path('user_id'))
  if (userId === undefined) throw new SignalboxError('not_found', 'there is no such user')
  const { token, expiresAt } = await makePasswordLink(core, { userId, by: actor })
  return {
    status: 201,
    body: { url: passwordLinkUrl(core.externalUrl(), token), expires_at: new Date(expiresAt).toISOString() },
  }
}

function toUser(user: User): object {
  const { id, username, name, email, isAdmin } = user
  return { id, username, name, email, is_admin: isAdmin === 1 }
}

function toSession(session: Session, current: number | undefined): object {
  return {
    id: session.id,
    current: session.id === current,
    signed_in_by: session.way,
    address: session.address,
    agent: session.agent,
    created_at: new Date(session.createdAt).toISOString(),
    last_used_at: new Date(session.seenAt).toISOString(),
    expires_at: new Date(session.expiresAt).toISOString(),
  }
}

/**
 * A sign-in that is under way: kept by the browser, sealed, in a cookie that the browser sends back from the provider. So it
 * outlives a restart, costs nothing where a stranger begins a thousand, and nobody else's browser can end it.
 */
import type { IncomingMessage } from 'node:http'
import type { Core } from '../../core/core.js'
import { cookieHeader, cookieOf } from '../../http/session-cookie.js'
import type { Checks } from './provider.js'

/** What is known of it when it comes back. */
export interface Flow extends Checks {
  provider: string
  /** The address of ours that is shown then. */
  to: string
  /** Who takes the identity as a further way to sign in; absent: somebody signs in. */
  link?: { userId: number; sessionId: number }
  endsAt: number
}

const cookieName = 'signalbox_openid'
/** How long somebody may take at the provider, in milliseconds. */
export const flowMs = 10 * 60_000

/** `Set-Cookie` that keeps it. */
export function flowCookie(core: Core, flow: Omit<Flow, 'endsAt'>): string {
  const kept: Flow = { ...flow, endsAt: core.clock.now() + flowMs }
  const sealed = core.keys.seal(Buffer.from(`openid ${JSON.stringify(kept)}`)).toString('base64url')
  return cookieHeader(core.externalUrl(), cookieName, sealed, flowMs / 1000)
}

/** `Set-Cookie` that forgets it. */
export function noFlowCookie(core: Core): string {
  return cookieHeader(core.externalUrl(), cookieName)
}

/** The one that this browser has begun; undefined: none, or it is over, or somebody has made it up. */
export function flowOf(core: Core, req: IncomingMessage): Flow | undefined {
  const sealed = cookieOf(req, core.externalUrl(), cookieName)
  if (sealed === undefined) return undefined
  let text: string
  try {
    text = core.keys.open(Buffer.from(sealed, 'base64url')).toString()
  } catch {
    return undefined
  }
  // Other things are sealed with this key too.
  if (!text.startsWith('openid ')) return undefined
  const flow: Flow = JSON.parse(text.slice('openid '.length))
  return flow.endsAt > core.clock.now() ? flow : undefined
}

/** An address of the page to go to; what would lead anywhere else is its start. */
export function ownPath(to: string | undefined): string {
  if (to === undefined || !/^\/(?![/\\])[\x21-\x7e]*$/.test(to) || to.includes('\\')) return '/'
  const base = 'http://signalbox.invalid'
  const url = URL.canParse(to, base) ? new URL(to, base) : undefined
  // Dots may make two slashes of one, and two slashes are another host.
  return url?.origin === base && !url.pathname.startsWith('//') ? url.pathname + url.search + url.hash : '/'
}

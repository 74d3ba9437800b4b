/**
 * The cookie of a session, and what keeps other sites from using it. Over HTTPS its name begins with `__Host-`, so that neither
 * plain HTTP nor a neighbour's subdomain can plant one (RFC 6265bis §4.1.3.2).
 */
import type { IncomingMessage } from 'node:http'
import { SignalboxError } from '../core/errors.js'

const plainName = 'signalbox_session'

const isSecure = (externalUrl: string) => externalUrl.startsWith('https:')

const nameAt = (externalUrl: string, name: string) => (isSecure(externalUrl) ? `__Host-${name}` : name)

/** The session's token of a request; undefined: there is none, or several. */
export function sessionTokenOf(req: IncomingMessage, externalUrl: string): string | undefined {
  return cookieOf(req, externalUrl, plainName)
}

/** The value of one of our cookies; undefined: there is none, or several. */
export function cookieOf(req: IncomingMessage, externalUrl: string, ours: string): string | undefined {
  const name = nameAt(externalUrl, ours)
  const found = (req.headers.cookie ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
  return found.length === 1 ? found[0]!.slice(name.length + 1) || undefined : undefined
}

/** `Set-Cookie` for a session until it ends; without a token it takes the cookie away. */
export function sessionCookie(externalUrl: string, token?: string, maxAgeS = 0): string {
  return cookieHeader(externalUrl, plainName, token, maxAgeS)
}

/** `Set-Cookie` for one of ours; without a value it takes the cookie away. */
export function cookieHeader(externalUrl: string, ours: string, value = '', maxAgeS = 0): string {
  const secure = isSecure(externalUrl) ? '; Secure' : ''
  return `${nameAt(externalUrl, ours)}=${value}; Path=/; Max-Age=${maxAgeS}; HttpOnly; SameSite=Lax${secure}`
}

/**
 * Throws `forbidden` for a request that a page of another site has made the browser send. Browsers say where a request comes from
 * in `Sec-Fetch-Site`, or in `Origin`: https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html.
 * One that says neither is let in where `unsaid`.
 */
export function refuseOtherSites(req: IncomingMessage, externalUrl: string, { unsaid }: { unsaid: boolean }): void {
  const site = req.headers['sec-fetch-site']
  const origin = req.headers.origin
  const isOurs = () => {
    if (site !== undefined) return site === 'same-origin'
    return origin === undefined ? unsaid : ownOrigins(req, externalUrl).includes(origin)
  }
  if (!isOurs()) throw new SignalboxError('forbidden', 'this request comes from another site')
}

/** Under which people reach us: a browser says in `Host` where it sends the request, and no page can change that. */
function ownOrigins(req: IncomingMessage, externalUrl: string): string[] {
  const { protocol, origin } = new URL(externalUrl)
  return [origin, `${protocol}//${req.headers.host ?? ''}`]
}

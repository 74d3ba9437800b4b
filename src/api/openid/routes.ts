/** Signing in by an OpenID provider: which there are, how it begins, and which identities somebody has. */
import { SignalboxError } from '../../core/errors.js'
import type { OpenIdSettings } from '../../core/openid.js'
import { unlinkIdentity } from '../../core/operations/sign-in-openid.js'
import { listIdentities } from '../../core/store/identities.js'
import type { Call, Reply, Route, UserCall } from '../../http/call.js'
import { refuseOtherSites } from '../../http/session-cookie.js'
import { signedInRoute } from '../route.js'
import { flowCookie, ownPath } from './flow.js'
import { OpenIdProvider } from './provider.js'

/** The configured providers, by their names. */
export type OpenIdProviders = ReadonlyMap<string, OpenIdProvider>

export function providersOf(settings: readonly OpenIdSettings[]): OpenIdProviders {
  return new Map(settings.map((one) => [one.name, new OpenIdProvider(one)]))
}

/** Where a provider sends people back to. */
export const callbackPath = (name: string) => `/-/openid/${name}/callback`

const longestPath = 1024

export function openIdRoutes(providers: OpenIdProviders): readonly Route[] {
  return [
    { method: 'get', path: '/sign-in', streams: false, handle: () => showWays(providers) },
    { method: 'post', path: '/session/openid/:provider', streams: false, handle: (call) => begin(call, providers) },
    signedInRoute('get', '/identities', (call) => showIdentities(call, providers)),
    signedInRoute('post', '/identities/:provider', (call) => beginLink(call, providers)),
    signedInRoute('delete', '/identities/:provider', (call) => unlink(call, providers)),
  ]
}

/** How one can sign in. */
async function showWays(providers: OpenIdProviders): Promise<Reply> {
  const openid = [...providers.values()].map(({ settings }) => ({ name: settings.name, label: settings.label }))
  return { status: 200, body: { password: true, openid } }
}

/** Begins a sign-in: the browser goes to `url` next, and comes back to the address `to` of the page. */
async function begin(call: Call, providers: OpenIdProviders): Promise<Reply> {
  refuseOtherSites(call.req, call.core.externalUrl(), { unsaid: true })
  return start(call, providerOf(call, providers))
}

/** Begins to link: who comes back from `url` can sign in by that identity from then on. It takes a session. */
async function beginLink(call: UserCall, providers: OpenIdProviders): Promise<Reply> {
  const { actor } = call
  if (actor.sessionId === undefined) throw new SignalboxError('forbidden', 'this is done in a browser, signed in')
  return start(call, providerOf(call, providers), { userId: actor.user.id, sessionId: actor.sessionId })
}

/** One's own identities. */
async function showIdentities({ core, actor }: UserCall, providers: OpenIdProviders): Promise<Reply> {
  const identities = await listIdentities(core.store.read, actor.user.id)
  const nameOf = (issuer: string) =>
    [...providers.values()].find((one) => one.settings.issuer === issuer)?.settings.name
  return {
    status: 200,
    body: identities.map(({ issuer, subject }) => ({ provider: nameOf(issuer) ?? null, issuer, subject })),
  }
}

/** Signs nobody in by this identity any more; sessions that were opened by it end. */
async function unlink(call: UserCall, providers: OpenIdProviders): Promise<Reply> {
  const { core, actor } = call
  const { issuer } = providerOf(call, providers).settings
  await unlinkIdentity(core, { userId: actor.user.id, issuer, by: actor.user.id })
  return { status: 204 }
}

async function start(
  { core, params }: Call,
  provider: OpenIdProvider,
  link?: { userId: number; sessionId: number },
): Promise<Reply> {
  const to = ownPath(params.text('to', { max: longestPath }))
  const { name } = provider.settings
  const { url, checks } = await provider.begin(core.externalUrl() + callbackPath(name))
  const flow = { ...checks, provider: name, to, ...(link ? { link } : {}) }
  return { status: 200, headers: { 'Set-Cookie': flowCookie(core, flow) }, body: { url } }
}

function providerOf({ path }: Call, providers: OpenIdProviders): OpenIdProvider {
  const provider = providers.get(path('provider'))
  if (!provider) throw new SignalboxError('not_found', 'there is no such provider')
  return provider
}

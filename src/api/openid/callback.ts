/** Where an OpenID provider sends people back to: they are signed in and go on to the page, or are told why not. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Core } from '../../core/core.js'
import { SignalboxError } from '../../core/errors.js'
import type { OpenIdPerson } from '../../core/openid.js'
import { linkIdentity, signInByOpenId } from '../../core/operations/sign-in-openid.js'
import { type Access, addressOf, headerOf } from '../../http/access.js'
import { queryOf } from '../../http/read-params.js'
import { sessionCookie, sessionTokenOf } from '../../http/session-cookie.js'
import { statusByCode } from '../errors.js'
import { escaped, sendPlainPage } from '../plain-page.js'
import { type Flow, flowOf, noFlowCookie } from './flow.js'
import type { OpenIdProvider } from './provider.js'
import { callbackPath, type OpenIdProviders } from './routes.js'

/** The provider whose address this is; undefined: it is none's. */
export function providerAt(providers: OpenIdProviders, pathname: string): OpenIdProvider | undefined {
  return [...providers.values()].find(({ settings }) => callbackPath(settings.name) === pathname)
}

/** Answers who comes back. Each sign-in can come back once. Never rejects. */
export async function answerCallback(
  { core, access }: { core: Core; access: Access },
  provider: OpenIdProvider,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const cookies = [noFlowCookie(core)]
  try {
    if (req.method !== 'GET') throw new SignalboxError('invalid', 'a browser comes here by GET')
    const flow = flowOf(core, req)
    const { name } = provider.settings
    if (flow?.provider !== name) throw notBegun()
    const address = new URL(`${core.externalUrl()}${callbackPath(name)}?${queryOf(req.url ?? '')}`)
    if (address.searchParams.get('state') !== flow.state) throw notBegun()
    const finish = () => provider.finish(address, flow)
    const person = await access.signIn(req, `openid ${addressOf(req)}`, finish)
    if (flow.link) await linkIdentity(core, { ...flow.link, person })
    else cookies.push(await open(core, provider, req, person))
    goOn(res, flow, cookies)
  } catch (thrown) {
    const error = SignalboxError.from(thrown)
    if (error.code === 'internal' || error.cause !== undefined) {
      core.log.warn({ err: error.cause ?? error, provider: provider.settings.name }, 'a sign-in by OpenID failed')
    }
    const text = `<p>${escaped(error.message)}</p><p><a href="/">Back to the page</a></p>`
    sendPlainPage(res, { status: statusByCode[error.code], title: 'Sign in', body: text, cookies })
  }
}

const notBegun = () =>
  new SignalboxError('invalid', 'this sign-in was not begun in this browser, or took too long: start again')

async function open(core: Core, provider: OpenIdProvider, req: IncomingMessage, person: OpenIdPerson): Promise<string> {
  const externalUrl = core.externalUrl()
  const browser = {
    address: addressOf(req),
    agent: headerOf(req, 'user-agent') ?? '',
    token: sessionTokenOf(req, externalUrl),
  }
  const opened = await signInByOpenId(core, { person, rules: provider.settings.rules, browser })
  const maxAgeS = Math.floor((opened.session.expiresAt - core.clock.now()) / 1000)
  return sessionCookie(externalUrl, opened.token, maxAgeS)
}

function goOn(res: ServerResponse, flow: Flow, cookies: string[]): void {
  if (res.destroyed) return
  res.writeHead(303, {
    Location: flow.to,
    'Set-Cookie': cookies,
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'no-referrer',
    'Content-Length': 0,
  })
  res.end()
}

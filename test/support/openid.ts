/** OpenID providers for tests: a real one, and one that tells what it should not; and a browser that goes between them and us. */
import { createSign, generateKeyPairSync, type JsonWebKey, type KeyObject, randomUUID } from 'node:crypto'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider, { type Configuration } from 'oidc-provider'

/** Somebody at the provider. */
export interface Account {
  sub: string
  preferred_username?: string
  name?: string
  email?: string
  email_verified?: boolean
  groups?: string[]
}

export const client = { id: 'signalbox', secret: 'a-secret-of-the-client-that-nobody-guesses' }

async function listening(
  handler: http.RequestListener,
): Promise<{ url: string; close: () => Promise<void>; server: http.Server }> {
  const server = http.createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close, server }
}

/** Runs oidc-provider. Who comes is `account` of that moment; undefined: they press "cancel". */
export class RealProvider {
  account: Account | undefined
  readonly issuer: string
  readonly close: () => Promise<void>
  readonly #accounts = new Map<string, Account>()
  #handler: http.RequestListener = (_, res) => res.writeHead(503).end()

  private constructor({ url, close }: { url: string; close: () => Promise<void> }) {
    this.issuer = url
    this.close = close
  }

  static async start(): Promise<RealProvider> {
    const ref: { one?: RealProvider } = {}
    ref.one = new RealProvider(await listening((req, res) => ref.one!.#handler(req, res)))
    return ref.one
  }

  /** From now on it sends people back to this coordinator. */
  serve(coordinator: string): void {
    const provider = new Provider(this.issuer, this.#configuration(coordinator))
    // What it prints of a browser that goes away is nobody's business.
    provider.on('server_error', () => undefined)
    const callback = provider.callback()
    this.#handler = (req, res) => {
      if (req.url?.startsWith('/interaction/')) void this.#interact(provider, req, res)
      else void callback(req, res)
    }
  }

  async #interact(provider: Provider, req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    const { account } = this
    if (!account) {
      await provider.interactionFinished(req, res, { error: 'access_denied', error_description: 'canceled' })
      return
    }
    this.#accounts.set(account.sub, account)
    await provider.interactionFinished(req, res, { login: { accountId: account.sub, remember: false } })
  }

  #configuration(coordinator: string): Configuration {
    return {
      clients: [
        {
          client_id: client.id,
          client_secret: client.secret,
          redirect_uris: [`${coordinator}/-/openid/corp/callback`],
          post_logout_redirect_uris: [`${coordinator}/`],
        },
      ],
      cookies: { keys: ['a key of the tests'] },
      claims: {
        openid: ['sub'],
        profile: ['name', 'preferred_username'],
        email: ['email', 'email_verified'],
        groups: ['groups'],
      },
      scopes: ['openid', 'profile', 'email', 'groups'],
      features: { devInteractions: { enabled: false } },
      interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
      pkce: { required: () => true },
      ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, IdToken: 600, AuthorizationCode: 60 },
      findAccount: (_, sub) => ({ accountId: sub, claims: async () => ({ ...this.#accounts.get(sub), sub }) }),
      // They have agreed to everything.
      async loadExistingGrant(ctx) {
        const grant = new ctx.oidc.provider.Grant({
          clientId: ctx.oidc.client!.clientId,
          accountId: ctx.oidc.session!.accountId!,
        })
        grant.addOIDCScope('openid profile email groups')
        await grant.save()
        return grant
      },
    }
  }
}

/** Answers with tokens as a test wants them. */
export interface Told {
  /** Changes the claims of the next tokens. */
  claims: (claims: Record<string, unknown>) => Record<string, unknown>
  /** Signs with this key instead of the one that it publishes; `none`: not at all. */
  key?: KeyObject | 'none'
  /** Answers a token request so. */
  token?: (res: http.ServerResponse) => void
  /** Changes what it says of itself. */
  metadata?: Record<string, unknown>
}

/** A provider that sends everybody back at once, and whose tokens are the test's. */
export async function startHostileProvider(): Promise<{ issuer: string; told: Told; close: () => Promise<void> }> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const told: Told = { claims: (claims) => claims }
  const nonces = new Map<string, string>()
  const json = (res: http.ServerResponse, body: unknown, status = 200) => {
    res.writeHead(status, { 'Content-Type': 'application/json' })
    res.end(JSON.stringify(body))
  }
  const place = await listening((req, res) => {
    const url = new URL(req.url ?? '/', place.url)
    if (url.pathname === '/.well-known/openid-configuration') {
      return json(res, {
        issuer: place.url,
        authorization_endpoint: `${place.url}/auth`,
        token_endpoint: `${place.url}/token`,
        jwks_uri: `${place.url}/keys`,
        response_types_supported: ['code'],
        id_token_signing_alg_values_supported: ['RS256'],
        ...told.metadata,
      })
    }
    if (url.pathname === '/keys') {
      const jwk: JsonWebKey = publicKey.export({ format: 'jwk' })
      return json(res, { keys: [{ ...jwk, kid: 'one', alg: 'RS256', use: 'sig' }] })
    }
    if (url.pathname === '/auth') {
      const code = randomUUID()
      nonces.set(code, url.searchParams.get('nonce') ?? '')
      const back = new URL(url.searchParams.get('redirect_uri')!)
      back.searchParams.set('code', code)
      back.searchParams.set('state', url.searchParams.get('state') ?? '')
      return res.writeHead(302, { Location: back.href }).end()
    }
    if (url.pathname !== '/token') return res.writeHead(404).end()
    if (told.token) return told.token(res)
    let body = ''
    req.on('data', (piece) => {
      body += String(piece)
    })
    req.on('end', () => {
      const now = Math.floor(Date.now() / 1000)
      const nonce = nonces.get(new URLSearchParams(body).get('code') ?? '')
      const claims = told.claims({ iss: place.url, sub: 'mallory', aud: client.id, iat: now, exp: now + 300, nonce })
      json(res, { access_token: 'at', token_type: 'Bearer', id_token: jwtOf(claims, told.key ?? privateKey) })
    })
    return undefined
  })
  return { issuer: place.url, told, close: place.close }
}

function jwtOf(claims: object, key: KeyObject | 'none'): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${part({ alg: key === 'none' ? 'none' : 'RS256', kid: 'one' })}.${part(claims)}`
  return `${text}.${key === 'none' ? '' : createSign('sha256').update(text).sign(key, 'base64url')}`
}

/** Where a chain of redirects has ended. */
export interface Arrival {
  url: string
  status: number
  text: string
}

/** Goes where it is sent, and keeps cookies for each origin. */
export class Wanderer {
  readonly cookies = new Map<string, Map<string, string>>()

  /** One request, without going on. */
  async send(url: string, init: RequestInit = {}): Promise<Response> {
    const jar = this.#jar(url)
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = { ...(init.headers as Record<string, string>), ...(cookie === '' ? {} : { Cookie: cookie }) }
    const response = await fetch(url, { ...init, headers, redirect: 'manual' })
    for (const set of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set)!
      if (value === '' || /max-age=0\b/i.test(set)) jar.delete(name!)
      else jar.set(name!, value!)
    }
    return response
  }

  /** Goes on until it is sent no further, or to an address that begins with `until`. */
  async go(url: string, until?: string): Promise<Arrival> {
    let at = url
    for (let i = 0; i < 20; i++) {
      if (until !== undefined && at.startsWith(until)) return { url: at, status: 0, text: '' }
      const response = await this.send(at)
      const to = response.headers.get('location')
      const text = await response.text()
      if (to === null) return { url: at, status: response.status, text }
      at = new URL(to, at).href
    }
    throw new Error('sent in circles')
  }

  cookie(url: string, name: string): string | undefined {
    return this.#jar(url).get(name)
  }

  #jar(url: string): Map<string, string> {
    const { origin } = new URL(url)
    const jar = this.cookies.get(origin) ?? new Map<string, string>()
    this.cookies.set(origin, jar)
    return jar
  }
}

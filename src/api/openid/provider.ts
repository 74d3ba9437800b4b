/**
 * One OpenID provider: where people are sent, what it says of who comes back, and where they sign out. OpenID Connect Core 1.0
 * §3.1 with PKCE (RFC 7636), by openid-client, which is loaded when somebody first signs in so.
 */
import type { Configuration, CustomFetch, IDToken, UserInfoResponse } from 'openid-client'
import { SignalboxError } from '../../core/errors.js'
import { longestSubject, type OpenIdPerson, type OpenIdSettings } from '../../core/openid.js'

/** What is made for one sign-in, and must be the same when it comes back. */
export interface Checks {
  state: string
  nonce: string
  verifier: string
}

/** For each answer of a provider, in seconds. */
const answerWithinS = 10
/** No answer of a provider is longer, in bytes. */
const longestAnswer = 1024 * 1024
/** Clocks may differ by this, in seconds. */
const clockToleranceS = 60
/** How long it is believed where a provider has what, in milliseconds. */
const discoverEveryMs = 3_600_000
const mostGroups = 1000

export class OpenIdProvider {
  readonly settings: OpenIdSettings
  #found: { config: Promise<Configuration>; at: number } | undefined

  constructor(settings: OpenIdSettings) {
    this.settings = settings
  }

  /** Where the browser is sent, and what must fit when it comes back. Throws `unavailable`. */
  async begin(redirectUri: string): Promise<{ url: string; checks: Checks }> {
    const client = await import('openid-client')
    const config = await this.#config()
    const checks = {
      state: client.randomState(),
      nonce: client.randomNonce(),
      verifier: client.randomPKCECodeVerifier(),
    }
    const url = client.buildAuthorizationUrl(config, {
      redirect_uri: redirectUri,
      scope: this.settings.scopes.join(' '),
      state: checks.state,
      nonce: checks.nonce,
      code_challenge: await client.calculatePKCECodeChallenge(checks.verifier),
      code_challenge_method: 'S256',
    })
    return { url: url.href, checks }
  }

  /**
   * Who has come back to this address. Throws `unauthenticated` for a code, a token or an answer that is not right; `forbidden`
   * where the person or the provider has refused; `unavailable` where the provider does not answer.
   */
  async finish(address: URL, checks: Checks): Promise<OpenIdPerson> {
    const client = await import('openid-client')
    const config = await this.#config()
    try {
      const tokens = await client.authorizationCodeGrant(config, address, {
        expectedState: checks.state,
        expectedNonce: checks.nonce,
        pkceCodeVerifier: checks.verifier,
        idTokenExpected: true,
      })
      const claims = tokens.claims()!
      const has = config.serverMetadata().userinfo_endpoint !== undefined
      const more = has ? await client.fetchUserInfo(config, tokens.access_token, claims.sub) : undefined
      return this.#personOf(claims, more)
    } catch (error) {
      throw refusalOf(error, this.settings.label)
    }
  }

  /** Where the provider ends its own session too; undefined: it has no such address, or it is not wanted. */
  async signOutUrl(returnTo: string): Promise<string | undefined> {
    if (!this.settings.signOut) return undefined
    try {
      const client = await import('openid-client')
      const config = await this.#config()
      if (config.serverMetadata().end_session_endpoint === undefined) return undefined
      return client.buildEndSessionUrl(config, { post_logout_redirect_uri: returnTo }).href
    } catch {
      // It is away: our own session ends all the same.
      return undefined
    }
  }

  #config(): Promise<Configuration> {
    const now = performance.now()
    if (this.#found && now - this.#found.at < discoverEveryMs) return this.#found.config
    const found = { config: this.#discover(), at: now }
    this.#found = found
    // Who asks next asks it again.
    found.config.catch(() => {
      if (this.#found === found) this.#found = undefined
    })
    return found.config
  }

  async #discover(): Promise<Configuration> {
    const client = await import('openid-client')
    const { issuer, clientId, clientSecret, label } = this.settings
    const metadata = { [client.clockTolerance]: clockToleranceS }
    const shows = clientSecret === '' ? client.None() : client.ClientSecretBasic(clientSecret)
    try {
      const config = await client.discovery(new URL(issuer), clientId, metadata, shows, {
        timeout: answerWithinS,
        [client.customFetch]: boundedFetch,
        // Settings let plain text through for this machine only.
        execute: issuer.startsWith('http:') ? [client.allowInsecureRequests] : [],
      })
      // Signatures are looked at too, and not only where the token came from.
      client.enableNonRepudiationChecks(config)
      return config
    } catch (error) {
      throw new SignalboxError('unavailable', `${label} cannot be reached, or is no OpenID provider`, { cause: error })
    }
  }

  #personOf(claims: IDToken, more: UserInfoResponse | undefined): OpenIdPerson {
    if (claims.sub === '' || claims.sub.length > longestSubject) throw wrong('its subject is not valid')
    const all: Record<string, unknown> = { ...claims, ...more }
    const textOf = (name: string) => (typeof all[name] === 'string' && all[name] !== '' ? String(all[name]) : undefined)
    const email = all.email_verified === true ? textOf('email') : undefined
    return {
      issuer: this.settings.issuer,
      subject: claims.sub,
      username: textOf('preferred_username'),
      name: textOf('name'),
      email: email !== undefined && /^[^\s@]{1,64}@[^\s@]{1,190}$/.test(email) ? email : undefined,
      groups: groupsOf(all[this.settings.groupsClaim]),
    }
  }
}

/** A list of names, or one name. */
function groupsOf(claim: unknown): string[] {
  const given: unknown[] = Array.isArray(claim) ? claim : [claim]
  return given.filter((one) => typeof one === 'string').slice(0, mostGroups)
}

const wrong = (why: string, cause?: unknown) =>
  new SignalboxError('unauthenticated', `the sign-in did not work: ${why}. Start again.`, { cause })

/** What openid-client says, in our words: `code`s of https://github.com/panva/oauth4webapi, errors of RFC 6749 §4.1.2.1 and §5.2. */
function refusalOf(error: unknown, label: string): SignalboxError {
  if (error instanceof SignalboxError) return error
  const { code, error: told } = error as { code?: string; error?: string }
  if (code === 'OAUTH_AUTHORIZATION_RESPONSE_ERROR') {
    if (told === 'access_denied') return new SignalboxError('forbidden', `${label} did not let you in`)
    return wrong(`${label} refused it (${told})`, error)
  }
  if (code === 'OAUTH_RESPONSE_BODY_ERROR') return wrong(`${label} refused the code (${told})`, error)
  if (isAway(error)) return new SignalboxError('unavailable', `${label} does not answer`, { cause: error })
  if (code === 'OAUTH_JWT_TIMESTAMP_CHECK_FAILED') {
    return wrong(`the token of ${label} is over or not good yet: its clock and ours may differ`, error)
  }
  return wrong(`the answer of ${label} is not right`, error)
}

/** Whether it comes of no connection, no answer in time, one without an end, or a server that has failed. */
function isAway(error: unknown): boolean {
  for (let at: unknown = error, depth = 0; at !== undefined && depth < 5; depth++) {
    if (at instanceof SignalboxError) return true
    if (at instanceof Response && at.status >= 500) return true
    const { name, message, cause } = at as { name?: string; message?: string; cause?: unknown }
    if (name === 'TimeoutError' || name === 'AbortError' || message === 'fetch failed') return true
    at = cause
  }
  return false
}

/** As `fetch`, but for answers that have an end. */
const boundedFetch: CustomFetch = async (url, options) => {
  const response = await fetch(url, options as RequestInit)
  if (!response.body) return response
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of response.body) {
    length += piece.length
    if (length > longestAnswer) throw new SignalboxError('unavailable', 'an answer of the OpenID provider is too long')
    pieces.push(piece)
  }
  const { status, statusText, headers } = response
  return new Response(Buffer.concat(pieces), { status, statusText, headers })
}

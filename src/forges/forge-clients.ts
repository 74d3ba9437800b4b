/** Speaks to forges over their APIs: what is chosen by a user is asked as carefully as a webhook is told (`http/exchange.ts`). */
import { SignalboxError } from '../core/errors.js'
import {
  type CommitStatus,
  type ForgeAccess,
  ForgeError,
  type ForgeHook,
  type ForgeKind,
  type ForgePlace,
  type ForgeRepository,
  type Forges,
} from '../core/forge.js'
import { version } from '../core/version.js'
import { type Exchanged, type ExchangeOptions, exchange, type Outgoing } from '../http/exchange.js'
import { type Json, parseJson } from '../http/json.js'
import type { Ask, Driver } from './driver.js'
import { gitea } from './gitea/index.js'
import { github } from './github/index.js'
import { gitlab } from './gitlab/index.js'
import { kindByHost, placeOf, readAddress } from './locate.js'
import { troubleOf } from './trouble.js'

const drivers: Record<ForgeKind, Driver> = { github, gitlab, gitea }

const askWithinMs = 10_000
const answerBytes = 4 * 1024 * 1024
const answerLimits = { depth: 32, entries: 100_000 }

/** `hosts`: those that may be private addresses, and be spoken to without TLS. */
export type ForgeClientOptions = Pick<ExchangeOptions, 'hosts' | 'resolve'> & {
  /** In milliseconds since 1970. */
  now: () => number
}

export class ForgeClients implements Forges {
  readonly #options: ForgeClientOptions

  constructor(options: ForgeClientOptions) {
    this.#options = options
  }

  async locate(url: string, given?: ForgeKind): Promise<ForgePlace> {
    const address = readAddress(url)
    if (!address.origin.startsWith('https:') && !this.#options.hosts.includes(address.host)) {
      const message = 'must be an https URL, unless the operator trusts its host'
      throw new SignalboxError('invalid', `url ${message}`, { details: { field: 'url', message } })
    }
    const kind = given ?? kindByHost(address.host) ?? (await this.#probe(address.origin, address.parts))
    return placeOf(address, kind)
  }

  /** Asks an unknown host for what only one kind of forge has. */
  async #probe(origin: string, parts: readonly string[]): Promise<ForgeKind> {
    const below = [origin, ...parts.slice(0, -2)].join('/')
    const gitea = await this.#get(`${below}/api/v1/version`)
    if (gitea.status === 200 && gitea.body.includes('"version"')) return 'gitea'
    const gitlab = await this.#get(`${origin}/api/v4/version`)
    if (
      gitlab.headers['x-gitlab-meta'] !== undefined ||
      (gitlab.status === 401 && gitlab.body.includes('Unauthorized'))
    )
      return 'gitlab'
    const github = await this.#get(`${below}/api/v3/meta`)
    if (github.headers['x-github-request-id'] !== undefined) return 'github'
    throw new ForgeError(
      'rejected',
      `${origin} is none of GitHub, GitLab, Gitea and Forgejo, or does not say so: name its kind`,
    )
  }

  inspect(access: ForgeAccess): Promise<ForgeRepository> {
    return drivers[access.kind].inspect(this.#asking(access), access)
  }

  async putHook(access: ForgeAccess, { url, secret, id }: ForgeHook): Promise<{ id: string; repaired: boolean }> {
    const driver = drivers[access.kind]
    const ask = this.#asking(access)
    const ours = (await driver.listHooks(ask, access)).filter((hook) => hook.url === url || hook.id === id)
    const kept = ours.find((hook) => hook.id === id) ?? ours[0]
    for (const other of ours) if (other !== kept) await driver.deleteHook(ask, access, other.id)
    if (!kept) return { id: await driver.makeHook(ask, access, { url, secret }), repaired: true }
    const repaired = kept.id !== id || !kept.fits || kept.url !== url || ours.length > 1
    // Always: no forge tells which secret it has.
    return { id: await driver.setHook(ask, access, kept.id, { url, secret }), repaired }
  }

  async removeHook(access: ForgeAccess, hookId: string): Promise<void> {
    try {
      await drivers[access.kind].deleteHook(this.#asking(access), access, hookId)
    } catch (error) {
      if (!(error instanceof ForgeError && error.trouble === 'missing')) throw error
    }
  }

  report(access: ForgeAccess, status: CommitStatus): Promise<void> {
    return drivers[access.kind].report(this.#asking(access), access, status)
  }

  requestRef(kind: ForgeKind, number: number): string {
    return drivers[kind].requestRef(number)
  }

  #asking({ kind, baseUrl, token }: ForgeAccess): Ask {
    const driver = drivers[kind]
    const base = driver.apiUrl(baseUrl)
    return async (method, path, body) => {
      const answer = await this.#exchange({
        method,
        url: base + path,
        headers: { ...driver.headers(token), ...(body ? { 'content-type': 'application/json' } : {}) },
        body: body && JSON.stringify(body),
      })
      const read = readBody(answer)
      if (answer.status >= 200 && answer.status < 300) return read ?? null
      throw troubleOf(new URL(base).host, { ...answer, body: read }, this.#options.now())
    }
  }

  async #get(url: string): Promise<{ status: number; headers: Exchanged['headers']; body: string }> {
    const answer = await this.#exchange({ method: 'GET', url, headers: { accept: 'application/json' } })
    return { ...answer, body: answer.body.toString('latin1') }
  }

  async #exchange(message: Omit<Outgoing, 'verifiesTls'>): Promise<Exchanged> {
    const headers = { 'user-agent': `signalbox/${version}`, ...message.headers }
    const options = { ...this.#options, timeoutMs: askWithinMs, answerBytes }
    try {
      return await exchange({ ...message, headers, verifiesTls: true }, options)
    } catch (error) {
      const { name, message: why } = error as Error
      const reason = name === 'TimeoutError' || name === 'AbortError' ? 'did not answer in time' : why
      throw new ForgeError('away', `${new URL(message.url).host} could not be asked: ${reason}`)
    }
  }
}

/** Undefined for what is no JSON: an error page, or nothing. */
function readBody({ body }: Exchanged): Json | undefined {
  try {
    return parseJson(body.toString('utf8'), answerLimits)
  } catch {
    return undefined
  }
}

/**
 * Files of the web that configurations include. Whoever writes a configuration chooses the address, so: only https, only
 * hosts that the operator has named, only public addresses, looked up once and connected to as they were checked, few
 * redirects, each checked again, little time, little text, and no credentials.
 */
import { lookup } from 'node:dns/promises'
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import type { IncludeAnswer } from '../ci-config/compilation.js'
import { isPublicAddress } from '../public-address.js'

/** Why a file of the web is not fetched, and who can change that. */
export const switchedOff = {
  remote: 'remote includes are switched off: the operator names the hosts they may come from (remote_hosts)',
  template: 'templates are switched off: none are built in, the operator names where they lie (templates_url)',
} as const

/** Which hosts may be asked, and how long and how much of them. */
export interface RemoteFilesOptions {
  /** `HOST` or `HOST:PORT`, as they stand in URLs. */
  hosts: readonly string[]
  /** Folder that `include:template` names files of, its host allowed; undefined: templates are switched off. */
  templatesUrl?: string
  /** Those of the hosts whose addresses need not be public: named by whoever's machine this is. */
  privateHosts?: readonly string[]
  /** Addresses of a name; default: the system's. */
  resolve?: (name: string) => Promise<string[]>
  /** Opens a connection; default: `https.request`. */
  request?: typeof https.request
  /** For one file with all redirects; default 5,000. */
  timeoutMs?: number
}

const redirects = 2
const longestBytes = 1024 * 1024

/** Why a file could not be had: ends in the message of an error. */
class Blocked extends Error {
  override readonly name = 'Blocked'
}

/** Fetches files from the hosts that are allowed, and from no others. */
export class RemoteFiles {
  readonly #hosts: ReadonlySet<string>
  readonly #private: ReadonlySet<string>
  readonly #options: RemoteFilesOptions

  constructor(options: RemoteFilesOptions) {
    this.#options = options
    const { hosts, templatesUrl } = options
    const all = templatesUrl === undefined ? hosts : [...hosts, new URL(templatesUrl).host]
    this.#hosts = new Set(all.map((host) => host.toLowerCase()))
    this.#private = new Set((options.privateHosts ?? []).map((host) => host.toLowerCase()))
  }

  /** Never rejects. */
  async fetch(url: string): Promise<IncludeAnswer> {
    const signal = AbortSignal.timeout(this.#options.timeoutMs ?? 5_000)
    try {
      return { ok: true, content: await this.#follow(new URL(url), signal) }
    } catch (error) {
      if (error instanceof Blocked) return { ok: false, reason: error.message }
      return { ok: false, reason: signal.aborted ? 'could not be fetched in time' : 'could not be fetched' }
    }
  }

  /** The file that GitLab calls a template. Never rejects. */
  async fetchTemplate(name: string): Promise<IncludeAnswer> {
    const { templatesUrl } = this.#options
    if (templatesUrl === undefined) return { ok: false, reason: switchedOff.template }
    if (!/^[\w-]+(?:[./][\w-]+)*$/.test(name)) return { ok: false, reason: 'no name of a template' }
    return this.fetch(`${templatesUrl.replace(/\/+$/, '')}/${name}`)
  }

  async #follow(first: URL, signal: AbortSignal): Promise<string> {
    let url = first
    for (let turn = 0; turn <= redirects; turn++) {
      const response = await this.#get(url, signal)
      const { statusCode = 0 } = response
      if (statusCode === 200) return readText(response)
      response.destroy()
      if (![301, 302, 303, 307, 308].includes(statusCode)) throw new Blocked(`answered with status ${statusCode}`)
      const target = response.headers.location
      if (target === undefined || !URL.canParse(target, url.href)) throw new Blocked('redirected to nowhere')
      url = new URL(target, url)
    }
    throw new Blocked(`redirected more than ${redirects} times`)
  }

  async #get(url: URL, signal: AbortSignal): Promise<IncomingMessage> {
    if (url.protocol !== 'https:') throw new Blocked('is blocked: only https is fetched')
    if (url.username !== '' || url.password !== '') throw new Blocked('is blocked: it has credentials')
    if (!this.#hosts.has(url.host.toLowerCase())) throw new Blocked(`is blocked: ${url.host} is not an allowed host`)
    const name = url.hostname.replace(/^\[|\]$/g, '')
    const isPrivate = this.#private.has(url.host.toLowerCase())
    const host = await this.#addressOf(name, isPrivate)
    return new Promise((resolve, reject) => {
      const request = (this.#options.request ?? https.request)({
        host,
        port: url.port || 443,
        path: `${url.pathname}${url.search}`,
        // The certificate must be the name's, whatever the address.
        ...(isIP(name) === 0 ? { servername: name } : {}),
        headers: { host: url.host, accept: '*/*', 'user-agent': 'signalbox' },
        agent: false,
        signal,
      })
      request.on('response', resolve)
      request.on('error', reject)
      request.end()
    })
  }

  /** One that was checked. A name with a single address that is not public is refused whole. */
  async #addressOf(name: string, mayBePrivate: boolean): Promise<string> {
    const resolve = this.#options.resolve ?? allAddresses
    const addresses = isIP(name) === 0 ? await resolve(name) : [name]
    const [first] = addresses
    if (first === undefined || !(mayBePrivate || addresses.every(isPublicAddress))) {
      throw new Blocked(`is blocked: ${name} has an address that is not public`)
    }
    return first
  }
}

async function allAddresses(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address)
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    // Leaving the loop destroys the response.
    if (bytes > longestBytes) throw new Blocked(`has more than ${longestBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

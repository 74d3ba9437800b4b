/**
 * One request to an address that a user has chosen: only public addresses unless the operator has named the host, looked
 * up once and connected to as they were checked, no redirects, little time, and no more of the answer than is wanted.
 */
import { lookup } from 'node:dns/promises'
import http, { type IncomingHttpHeaders } from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import { isPublicAddress } from '../core/public-address.js'

export interface Outgoing {
  method: string
  url: string
  headers: Record<string, string>
  /** Undefined: none. */
  body?: string | undefined
  verifiesTls: boolean
}

export interface ExchangeOptions {
  /** `HOST` or `HOST:PORT` that may be spoken to whatever their address. */
  hosts: readonly string[]
  /** Addresses of a name; default: the system's. */
  resolve?: (name: string) => Promise<string[]>
  timeoutMs: number
  /** The most that is read of an answer, in bytes; default: nothing. */
  answerBytes?: number
}

export interface Exchanged {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
}

/** Returns the answer. Rejects when there is none, or it is longer than is wanted. */
export async function exchange(message: Outgoing, options: ExchangeOptions): Promise<Exchanged> {
  const url = new URL(message.url)
  const name = url.hostname.replace(/^\[|\]$/g, '')
  const addresses = isIP(name) === 0 ? await (options.resolve ?? allAddresses)(name) : [name]
  const [address] = addresses
  if (address === undefined) throw new Error(`${name} has no address`)
  if (!options.hosts.includes(url.host) && !addresses.every(isPublicAddress)) {
    throw new Error(`${name} has an address that is not public`)
  }
  const secure = url.protocol === 'https:'
  const body = message.body === undefined ? undefined : Buffer.from(message.body)
  return new Promise((resolve, reject) => {
    const request = (secure ? https : http).request({
      host: address,
      port: url.port || (secure ? 443 : 80),
      method: message.method,
      path: `${url.pathname}${url.search}`,
      ...(url.username ? { auth: `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}` } : {}),
      // The certificate must be the name's, whatever the address.
      ...(isIP(name) === 0 ? { servername: name } : {}),
      rejectUnauthorized: message.verifiesTls,
      headers: { ...message.headers, host: url.host, ...(body ? { 'content-length': body.length } : {}) },
      agent: false,
      signal: AbortSignal.timeout(options.timeoutMs),
    })
    request.on('response', (response) => {
      readAnswer(response, options.answerBytes ?? 0).then(resolve, reject)
    })
    request.on('error', reject)
    request.end(body)
  })
}

async function readAnswer(response: http.IncomingMessage, limit: number): Promise<Exchanged> {
  const { statusCode: status = 0, headers } = response
  if (limit === 0) {
    response.destroy()
    return { status, headers, body: Buffer.alloc(0) }
  }
  const parts: Buffer[] = []
  let length = 0
  for await (const part of response as AsyncIterable<Buffer>) {
    length += part.length
    if (length > limit) throw new Error(`the answer has more than ${limit} bytes`)
    parts.push(part)
  }
  return { status, headers, body: Buffer.concat(parts) }
}

async function allAddresses(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address)
}

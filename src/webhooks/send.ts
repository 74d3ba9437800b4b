/**
 * One request to an address that a user has chosen: only public addresses unless the operator has named the host, looked
 * up once and connected to as they were checked, no redirects, little time, and the answer's body is not read.
 */
import { lookup } from 'node:dns/promises'
import http from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import { isPublicAddress } from '../core/public-address.js'

export interface Message {
  url: string
  headers: Record<string, string>
  body: string
  verifiesTls: boolean
}

export interface SendOptions {
  /** `HOST` or `HOST:PORT` that may be told whatever their address. */
  hosts: readonly string[]
  /** Addresses of a name; default: the system's. */
  resolve?: (name: string) => Promise<string[]>
  timeoutMs: number
}

/** Returns the status of the answer. Rejects when there is none. */
export async function send(message: Message, options: SendOptions): Promise<number> {
  const url = new URL(message.url)
  const name = url.hostname.replace(/^\[|\]$/g, '')
  const addresses = isIP(name) === 0 ? await (options.resolve ?? allAddresses)(name) : [name]
  const [address] = addresses
  if (address === undefined) throw new Error(`${name} has no address`)
  if (!options.hosts.includes(url.host) && !addresses.every(isPublicAddress)) {
    throw new Error(`${name} has an address that is not public`)
  }
  const secure = url.protocol === 'https:'
  const body = Buffer.from(message.body)
  return new Promise((resolve, reject) => {
    const request = (secure ? https : http).request({
      host: address,
      port: url.port || (secure ? 443 : 80),
      method: 'POST',
      path: `${url.pathname}${url.search}`,
      ...(url.username ? { auth: `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}` } : {}),
      // The certificate must be the name's, whatever the address.
      ...(isIP(name) === 0 ? { servername: name } : {}),
      rejectUnauthorized: message.verifiesTls,
      headers: { ...message.headers, host: url.host, 'content-length': body.length },
      agent: false,
      signal: AbortSignal.timeout(options.timeoutMs),
    })
    request.on('response', (response) => {
      response.destroy()
      resolve(response.statusCode ?? 0)
    })
    request.on('error', reject)
    request.end(body)
  })
}

async function allAddresses(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address)
}

/** `fetch` for coordinators whose certificate a CA of one's own has signed, or that want to see one of the client. */
import https from 'node:https'
import { Readable } from 'node:stream'
import { type ClientTls, optionsOf, readClientTls, type TlsFileNames } from '../runner/client-tls.js'
import { Exit, exitCodes } from './exit.js'

/** Like `fetch` as far as the commands use it, without redirects: those are errors. */
export type Fetch = (url: string, init?: RequestInit) => Promise<Response>

/** What the environment and flags say of TLS. Throws `Exit` (2) for files that cannot be used. */
export function clientTls(env: NodeJS.ProcessEnv, flags: TlsFileNames = {}): ClientTls | undefined {
  const given = (flag: string | undefined, variable: string) => flag ?? (env[variable] || undefined)
  const names = {
    tlsCaFile: given(flags.tlsCaFile, 'SIGNALBOX_TLS_CA_FILE'),
    tlsCertFile: given(flags.tlsCertFile, 'SIGNALBOX_TLS_CERT_FILE'),
    tlsKeyFile: given(flags.tlsKeyFile, 'SIGNALBOX_TLS_KEY_FILE'),
  }
  try {
    return readClientTls(Object.fromEntries(Object.entries(names).filter(([, file]) => file !== undefined)))
  } catch (error) {
    throw new Exit(exitCodes.usage, (error as Error).message)
  }
}

/** Node's own `fetch` where there are no files: it cannot be given any. */
export function fetchBy(tls: ClientTls | undefined): Fetch {
  if (tls === undefined) return (url, init) => fetch(url, init)
  return (url, init = {}) => (url.startsWith('https:') ? ask(tls, url, init) : fetch(url, init))
}

function ask(tls: ClientTls, url: string, { method = 'GET', headers, body, signal }: RequestInit): Promise<Response> {
  return new Promise((resolve, reject) => {
    const options = {
      method,
      headers: headers as Record<string, string>,
      ...optionsOf(tls),
      ...(signal ? { signal } : {}),
    }
    const request = https.request(url, options, (answer) => {
      const status = answer.statusCode ?? 500
      if (status >= 300 && status < 400) {
        answer.destroy()
        reject(new Error('it answered with a redirect'))
        return
      }
      const kept = Object.entries(answer.headers).map(([name, value]) => [name, String(value)] as [string, string])
      const isEmpty = status === 204 || status === 304
      if (isEmpty) answer.resume()
      const stream = isEmpty ? null : (Readable.toWeb(answer) as ReadableStream<Uint8Array>)
      resolve(new Response(stream, { status, headers: kept }))
    })
    request.on('error', reject)
    request.end(body as string | undefined)
  })
}

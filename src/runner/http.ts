/** HTTP requests to the coordinator, tried again where that may help. */
import { randomBytes } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ClientTls, optionsOf, type TlsFileNames } from './client-tls.js'
import type { RunnerRequest } from './events.js'
import { userAgent } from './identity.js'

export interface HttpCall {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH'
  url: URL
  headers?: Record<string, string>
  /** A stream is made anew for each try. */
  body?: Buffer | (() => Readable)
  signal?: AbortSignal
}

export interface HttpAnswer {
  status: number
  /** `201 Created`, for people. */
  statusText: string
  headers: http.IncomingHttpHeaders
  body: Buffer
}

/**
 * HTTP as GitLab Runner speaks it: connections are kept, redirects are the caller's business (a token must not travel
 * with one), and what a server asks to have repeated is repeated. Sources: `network/client.go`,
 * `network/retry_requester.go` of GitLab Runner.
 */
export class HttpClient {
  readonly #agents

  /** `watch` hears of each request of the runner API; it must not throw. */
  constructor(
    private readonly tls?: ClientTls,
    private readonly watch?: (request: RunnerRequest) => void,
  ) {
    this.#agents = {
      'http:': new http.Agent({ keepAlive: true }),
      'https:': new https.Agent({ keepAlive: true, ...optionsOf(tls) }),
    }
  }

  /** The files by which it knows the coordinator and shows itself, for git. */
  get tlsFiles(): TlsFileNames {
    return this.tls?.files ?? {}
  }

  /**
   * One logical call: repeated up to five times for 408, 429, 500, 502, 503, 504 and from 512 on, under one
   * `X-Request-Id`. Rejects if no answer came; such a call is not repeated here.
   */
  async call(call: HttpCall): Promise<HttpAnswer> {
    return this.#repeat(call, async (response) => {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk as Buffer)
      return toAnswer(response, Buffer.concat(chunks))
    })
  }

  /** The same for an answer whose body is large: with status 200 it is handed to `sink` as it comes. */
  async download(call: HttpCall, sink: (body: Readable) => Promise<void>): Promise<HttpAnswer> {
    return this.#repeat(call, async (response) => {
      if (response.statusCode === 200) await sink(response)
      else response.resume()
      return toAnswer(response, Buffer.alloc(0))
    })
  }

  close(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy()
  }

  async #repeat(call: HttpCall, read: (response: http.IncomingMessage) => Promise<HttpAnswer>): Promise<HttpAnswer> {
    const headers = { 'user-agent': userAgent, 'x-request-id': randomBytes(16).toString('hex'), ...call.headers }
    const answered = this.#tell(call)
    let status = 0
    let tries = 0
    try {
      for (;;) {
        tries++
        const answer = await read(await this.#send({ ...call, headers }))
        status = answer.status
        if (tries === maxAttempts || !isRepeatable(answer.status)) return answer
        await sleep(pauseMs(answer.headers, tries), undefined, call.signal === undefined ? {} : { signal: call.signal })
      }
    } finally {
      answered(status, tries)
    }
  }

  /** Tells that a request is on its way. Call what it gives when it is over. */
  #tell({ method, url }: HttpCall): (status: number, tries: number) => void {
    const endpoint = endpointOf(method, url)
    if (endpoint === undefined || this.watch === undefined) return () => undefined
    const { watch } = this
    const since = performance.now()
    watch({ endpoint, method })
    return (status, tries) =>
      watch({ endpoint, method, answer: { status, seconds: (performance.now() - since) / 1000, tries } })
  }

  async #send(call: HttpCall): Promise<http.IncomingMessage> {
    try {
      return await this.#sendOnce(call)
    } catch (error) {
      // A kept connection that the server closed at this very moment: the request has not been seen.
      if (error instanceof StaleConnectionError) return this.#sendOnce(call)
      throw error
    }
  }

  #sendOnce(call: HttpCall): Promise<http.IncomingMessage> {
    const { method, url, headers, body, signal } = call
    const secure = url.protocol === 'https:'
    const agent = this.#agents[secure ? 'https:' : 'http:']
    return new Promise((resolve, reject) => {
      const request = (secure ? https : http).request(url, { method, headers, agent, ...(signal ? { signal } : {}) })
      request.setTimeout(headersWithinMs, () => request.destroy(new Error(`no answer from ${url.host} in time`)))
      request.on('response', (response) => {
        // One that came before the server had read everything: its rest is not wanted, and nothing can follow on this
        // connection.
        if (!request.writableFinished) response.on('close', () => request.destroy())
        resolve(response)
      })
      request.on('error', (error: NodeJS.ErrnoException) => {
        const stale = request.reusedSocket && error.code === 'ECONNRESET' && typeof body !== 'function'
        reject(stale ? new StaleConnectionError() : error)
      })
      if (typeof body !== 'function') {
        request.end(body)
        return
      }
      const source = body()
      source.on('error', (error) => request.destroy(error))
      request.on('response', () => source.destroy())
      request.on('close', () => source.destroy())
      source.pipe(request)
    })
  }
}

/** Whether a call failed because nobody was there or the connection broke, rather than for a fault of ours. */
export function isDisconnect(error: unknown): boolean {
  return ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'].includes(
    String((error as NodeJS.ErrnoException).code),
  )
}

/** Names of GitLab Runner: network/api_requests_collector.go. */
function endpointOf(method: string, { pathname }: URL): RunnerRequest['endpoint'] | undefined {
  if (method === 'POST' && pathname.endsWith('/jobs/request')) return 'request_job'
  if (method === 'PATCH' && pathname.endsWith('/trace')) return 'patch_trace'
  return method === 'PUT' && /\/jobs\/\d+$/.test(pathname) ? 'update_job' : undefined
}

class StaleConnectionError extends Error {}

const maxAttempts = 5
const headersWithinMs = 10 * 60_000

function isRepeatable(status: number): boolean {
  return [408, 429, 500, 502, 503, 504].includes(status) || status >= 512
}

/** How long to wait before the next try: what the server says, else 100 ms, 200 ms, 400 ms… with jitter. */
function pauseMs(headers: http.IncomingHttpHeaders, attempt: number): number {
  const reset = headers['ratelimit-resettime']
  const until = typeof reset === 'string' ? Date.parse(reset) - Date.now() : Number.NaN
  if (until > 0) return until
  const { 'retry-after': after } = headers
  if (after !== undefined && /^\d+$/.test(after)) return Number(after) * 1000
  return Math.min(60_000, 100 * 2 ** (attempt - 1) * (0.5 + Math.random()))
}

function toAnswer(response: http.IncomingMessage, body: Buffer): HttpAnswer {
  const status = response.statusCode ?? 0
  return { status, statusText: `${status} ${response.statusMessage ?? ''}`.trim(), headers: response.headers, body }
}

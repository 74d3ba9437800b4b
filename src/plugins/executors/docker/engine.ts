/**
 * Docker's HTTP API, as far as the executor needs it, over a socket of this host or TCP. Podman serves the same.
 * https://docs.docker.com/reference/api/engine/
 */
import http from 'node:http'
import https from 'node:https'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { EngineAddress } from './find-engine.js'

/** An answer of the engine that is no success. */
export class EngineError extends Error {
  override readonly name = 'EngineError'
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message)
  }
}

export interface EngineCall {
  query?: Record<string, string | number | boolean | undefined>
  body?: unknown
  headers?: Record<string, string>
  signal?: AbortSignal
  /** After so long without an answer the call has failed; 0: never. Default two minutes. */
  timeoutMs?: number
}

// The newest that this was written for; older engines say what they have.
const newestVersion = [1, 47] as const
const defaultTimeoutMs = 120_000

export class Engine {
  #version: Promise<string> | undefined

  constructor(private readonly address: EngineAddress) {}

  /** Where it is, for people. */
  get name(): string {
    return this.address.kind === 'socket'
      ? `unix://${this.address.path}`
      : `tcp://${this.address.host}:${this.address.port}`
  }

  /** What the engine says of itself. Rejects if none answers. */
  async about(): Promise<{ version: string; apiVersion: string; platform: string }> {
    const found = await this.#json<{
      Version?: string
      ApiVersion?: string
      Platform?: { Name?: string }
      Components?: { Name?: string }[]
    }>('GET', '/version', { timeoutMs: 10_000 })
    const platform = found.Components?.[0]?.Name ?? found.Platform?.Name ?? 'engine'
    return { version: found.Version ?? '', apiVersion: found.ApiVersion ?? '1.41', platform }
  }

  /** Calls and reads a JSON answer; nothing for an empty one. Throws `EngineError` for an answer of 400 and above. */
  async call<T = unknown>(method: string, path: string, options: EngineCall = {}): Promise<T> {
    return this.#json<T>(method, `${await this.#prefix()}${path}`, options)
  }

  /** Calls and hands over the body as it comes. */
  async stream(method: string, path: string, options: EngineCall = {}): Promise<http.IncomingMessage> {
    const answer = await this.#send(method, `${await this.#prefix()}${path}`, options)
    if (answer instanceof http.IncomingMessage) return answer
    throw new Error('the engine has changed the protocol unasked')
  }

  /** Takes the connection over, for the raw streams of a container. */
  async hijack(path: string, options: EngineCall = {}): Promise<Duplex> {
    const headers = { connection: 'Upgrade', upgrade: 'tcp', ...options.headers }
    const answer = await this.#send('POST', `${await this.#prefix()}${path}`, { ...options, headers, timeoutMs: 0 })
    // Older engines answer 200 and speak raw from there on.
    return answer instanceof http.IncomingMessage ? answer.socket : answer
  }

  #prefix(): Promise<string> {
    this.#version ??= this.about().then(({ apiVersion }) => {
      const [major = 1, minor = 41] = apiVersion.split('.').map(Number)
      const known = major > newestVersion[0] || (major === newestVersion[0] && minor > newestVersion[1])
      return `/v${known ? newestVersion.join('.') : apiVersion}`
    })
    this.#version.catch(() => {
      this.#version = undefined
    })
    return this.#version
  }

  async #json<T>(method: string, path: string, options: EngineCall): Promise<T> {
    const answer = await this.#send(method, path, options)
    if (!(answer instanceof http.IncomingMessage)) throw new Error('the engine has changed the protocol unasked')
    const body = await text(answer)
    return (body === '' ? undefined : JSON.parse(body)) as T
  }

  #send(method: string, path: string, options: EngineCall): Promise<http.IncomingMessage | Duplex> {
    const { query = {}, body, headers = {}, signal, timeoutMs = defaultTimeoutMs } = options
    const given = Object.entries(query).filter(([, value]) => value !== undefined)
    const search = new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)])).toString()
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    return new Promise((resolve, reject) => {
      const request = this.#open({
        method,
        path: search === '' ? path : `${path}?${search}`,
        headers: {
          host: 'engine',
          ...(payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': payload.length }),
          ...headers,
        },
        ...(signal === undefined ? {} : { signal }),
      })
      if (timeoutMs > 0)
        request.setTimeout(timeoutMs, () => request.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)))
      request.once('response', (answer) => {
        const { statusCode = 0 } = answer
        if (statusCode < 400) return resolve(answer)
        text(answer).then(
          (said) => reject(new EngineError(statusCode, messageIn(said) || `HTTP ${statusCode}`)),
          reject,
        )
      })
      request.once('upgrade', (_answer, socket, head) => {
        if (head.length > 0) socket.unshift(head)
        // Whoever reads it meets the error, too.
        socket.on('error', () => undefined)
        resolve(socket)
      })
      request.on('error', (error) =>
        reject(new Error(`the engine at ${this.name}: ${error.message}`, { cause: error })),
      )
      request.end(payload)
    })
  }

  #open(options: http.RequestOptions): http.ClientRequest {
    const { address } = this
    // One connection a call: a stream may hold it for hours, and on a socket of the host a new one costs nothing.
    if (address.kind === 'socket') return http.request({ ...options, socketPath: address.path, agent: false })
    const { host, port, tls } = address
    if (tls === undefined) return http.request({ ...options, host, port, agent: false })
    const { ca, cert, key, verify } = tls
    return https.request({ ...options, host, port, agent: false, ca, cert, key, rejectUnauthorized: verify })
  }
}

/** The engine's own sentence: `{"message": "…"}`. */
function messageIn(body: string): string {
  try {
    const { message, cause } = JSON.parse(body) as { message?: string; cause?: string }
    return (message ?? cause ?? '').trim()
  } catch {
    return body.trim().slice(0, 500)
  }
}

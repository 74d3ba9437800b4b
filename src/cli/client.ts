/** Speaks to a coordinator for the commands: one request, and either its answer or the program's end with the right code. */
import { readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { type ClientTls, tlsTrouble } from '../runner/client-tls.js'
import { Exit, exitCodes } from './exit.js'
import { clientTls, fetchBy } from './tls-fetch.js'

/** Which coordinator, and as whom. */
export interface ClientSettings {
  url: string
  token: string
  tls?: ClientTls | undefined
}

/** Where the coordinator is and who asks: the environment, or what `serve` uses by default in this folder. */
export function clientSettings(env: NodeJS.ProcessEnv, cwd: string): ClientSettings {
  const url = (env.SIGNALBOX_URL || 'http://127.0.0.1:8080').replace(/\/+$/, '')
  if (!URL.canParse(url)) throw new Exit(exitCodes.usage, `SIGNALBOX_URL is not a URL: ${url}`)
  const token = env.SIGNALBOX_TOKEN || tokenFile(env, cwd)
  if (!token) {
    throw new Exit(
      exitCodes.usage,
      'no token: set SIGNALBOX_TOKEN',
      'where the coordinator runs, its administrator’s token is in signalbox-data/admin-token',
    )
  }
  return { url, token, tls: clientTls(env) }
}

function tokenFile(env: NodeJS.ProcessEnv, cwd: string): string {
  const file = path.join(env.SIGNALBOX_DATA_DIR || path.join(cwd, 'signalbox-data'), 'admin-token')
  try {
    const text = readFileSync(file, 'utf8').trim()
    if ((statSync(file).mode & 0o077) !== 0) process.stderr.write(`warning: others can read ${file}\n`)
    return text
  } catch {
    return ''
  }
}

const longestAnswer = 64 * 1024 * 1024

const codeOfStatus: Record<number, number> = {
  400: exitCodes.usage,
  401: exitCodes.notAllowed,
  403: exitCodes.notAllowed,
  404: exitCodes.notFound,
  409: exitCodes.conflict,
  422: exitCodes.conflict,
}

/** A coordinator, as the commands ask it. */
export class Client {
  readonly #settings: ClientSettings

  constructor(settings: ClientSettings) {
    this.#settings = settings
  }

  get url(): string {
    return this.#settings.url
  }

  get<T>(route: string): Promise<T> {
    return this.#json('GET', route)
  }

  post<T>(route: string, body: unknown = {}): Promise<T> {
    return this.#json('POST', route, body)
  }

  put<T>(route: string, body: unknown): Promise<T> {
    return this.#json('PUT', route, body)
  }

  async delete(route: string): Promise<void> {
    await this.#request('DELETE', route)
  }

  /** A deletion that answers with what is left. */
  remove<T>(route: string): Promise<T> {
    return this.#json('DELETE', route)
  }

  /** An answer as it comes: logs and events. */
  async stream(route: string, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const response = await this.#request('GET', route, undefined, signal)
    return this.#read(response, signal)
  }

  async *#read(response: Response, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    try {
      yield* (response.body ?? []) as unknown as AsyncIterable<Uint8Array>
    } catch (error) {
      if (signal?.aborted) throw error
      throw new Exit(exitCodes.unreachable, `${this.url} broke off in the middle of its answer`)
    }
  }

  /** Every page of a list. */
  async list<T>(route: string, limit = 100): Promise<T[]> {
    const items: T[] = []
    for (let page = '1'; page !== '' && items.length < limit; ) {
      const mark = route.includes('?') ? '&' : '?'
      const response = await this.#request('GET', `${route}${mark}per_page=${Math.min(limit, 100)}&page=${page}`)
      items.push(...(await this.#parse<T[]>(response)))
      page = response.headers.get('x-next-page') ?? ''
    }
    return items.slice(0, limit)
  }

  async #json<T>(method: string, route: string, body?: unknown): Promise<T> {
    return this.#parse<T>(await this.#request(method, route, body))
  }

  async #parse<T>(response: Response): Promise<T> {
    const text = await this.#text(response)
    try {
      return JSON.parse(text) as T
    } catch {
      throw new Exit(exitCodes.unreachable, `${this.url} did not answer with JSON (status ${response.status})`)
    }
  }

  async #text(response: Response): Promise<string> {
    const chunks: Uint8Array[] = []
    let length = 0
    for await (const chunk of this.#read(response)) {
      length += chunk.length
      if (length > longestAnswer) throw new Exit(exitCodes.unreachable, `${this.url} sent too much`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks).toString('utf8')
  }

  async #request(method: string, route: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
    let response: Response
    try {
      response = await fetchBy(this.#settings.tls)(`${this.url}${route}`, {
        method,
        // The token must not follow a redirect to another host.
        redirect: 'error',
        headers: {
          'PRIVATE-TOKEN': this.#settings.token,
          Accept: 'application/json, text/plain, text/event-stream',
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal ? { signal } : {}),
      })
    } catch (error) {
      if (signal?.aborted) throw error
      const cause = (error as { cause?: { code?: string; message?: string } }).cause
      const trouble = tlsTrouble(cause ?? error)
      if (trouble !== undefined) {
        const hint = 'SIGNALBOX_TLS_CA_FILE names a CA of your own'
        throw new Exit(exitCodes.unreachable, `${this.url}: ${trouble}`, hint)
      }
      throw new Exit(
        exitCodes.unreachable,
        `no coordinator answers at ${this.url} (${cause?.code ?? cause?.message ?? (error as Error).message})`,
        'start one with `signalbox serve`, or set SIGNALBOX_URL',
      )
    }
    if (response.ok) return response
    throw new Exit(codeOfStatus[response.status] ?? exitCodes.unreachable, await this.#refusal(response))
  }

  async #refusal(response: Response): Promise<string> {
    const text = await this.#text(response)
    try {
      const { message, error, detail, title } = JSON.parse(text)
      const said = message ?? error ?? detail ?? title
      return typeof said === 'string' ? said : flatten(said)
    } catch {
      const isSentence = response.headers.get('content-type')?.startsWith('text/plain') && text.length < 300
      return `${this.url} answered with status ${response.status}${isSentence ? `: ${text.trim()}` : ''}`
    }
  }
}

/** GitLab's `{"base": ["…"]}` as lines. */
function flatten(message: unknown): string {
  if (message === null || typeof message !== 'object') return String(message)
  return Object.entries(message)
    .flatMap(([field, value]) => [value].flat().map((line) => (field === 'base' ? String(line) : `${field} ${line}`)))
    .join('\n')
}

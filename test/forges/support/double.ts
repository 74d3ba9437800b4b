/** A forge that is none: a server that keeps webhooks and statuses of one repository, and can be away, slow or in a bad mood. */
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Json } from '../../openapi/fits.js'

export interface Asked {
  method: string
  /** Below the API. */
  path: string
  headers: http.IncomingHttpHeaders
  body: Json
}

export interface Given {
  status: number
  headers?: Record<string, string>
  body?: Json
}

export abstract class Double implements AsyncDisposable {
  abstract readonly prefix: string
  readonly asked: Asked[] = []
  readonly hooks = new Map<string, Json>()
  lastHook = 0
  /** Every status of a commit that it has taken, in the order in which they came. */
  readonly told: Json[] = []
  token = 'forge-token-1'
  gone = false
  /** Answered in place of what it would answer, next first; `away`: the connection is cut. */
  moods: (Given | 'away')[] = []
  /** Until it is set back. */
  away = false
  #server = http.createServer((req, res) => void this.#serve(req, res))

  abstract answer(asked: Asked): Given

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get url(): string {
    return `http://${this.host}`
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return this
  }

  async #serve(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    let text = ''
    for await (const chunk of req) text += String(chunk)
    const path = (req.url ?? '').replace(this.prefix, '')
    const asked = { method: req.method!, path, headers: req.headers, body: text === '' ? undefined : JSON.parse(text) }
    this.asked.push(asked)
    const given = this.away ? 'away' : (this.moods.shift() ?? this.answer(asked))
    if (given === 'away') return void req.socket.destroy()
    res.writeHead(given.status, { 'content-type': 'application/json', ...given.headers })
    res.end(given.body === undefined ? '' : JSON.stringify(given.body))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

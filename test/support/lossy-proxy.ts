/**
 * A link that fails: an HTTP proxy that decides about each answer of the server whether it arrives, how often and how much
 * of it. What the client sent has always arrived and been done.
 */
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'

/**
 * What becomes of an answer. `cut`: the connection ends after so many of its bytes, those of the head included; `repeat`:
 * the request reaches the server twice, and the second answer comes back; `delay`: it waits until this settles.
 */
export type Fate = 'pass' | 'swallow' | 'repeat' | { cut: number } | { delay: Promise<unknown> }

export interface Passing {
  method: string
  /** Without the query. */
  path: string
  status: number
  /** Answers to this method and path before. */
  before: number
}

export class LossyProxy implements AsyncDisposable {
  /** Decides about each answer; the first thing is to let all pass. */
  fate: (answer: Passing) => Fate = () => 'pass'
  /** Looks at each answer as the server gave it. */
  seen: (answer: { status: number; body: Buffer }) => void = () => undefined
  readonly #server: http.Server
  readonly #target: string
  readonly #pools = new Map<Socket, http.Agent>()
  readonly #shared: http.Agent | undefined
  readonly #counts = new Map<string, number>()
  lost = 0

  /** `pooled`: like most reverse proxies it keeps its own connections to the server, whatever its clients do. */
  private constructor(target: string, pooled: boolean) {
    this.#target = target
    this.#shared = pooled ? new http.Agent({ keepAlive: true }) : undefined
    this.#server = http.createServer((req, res) => {
      this.#pass(req, res).catch(() => res.destroy())
    })
    this.#server.on('connection', (socket) => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
      this.#pools.set(socket, agent)
      socket.on('close', () => {
        agent.destroy()
        this.#pools.delete(socket)
      })
    })
  }

  static async before(target: string, { pooled = false } = {}): Promise<LossyProxy> {
    const proxy = new LossyProxy(target, pooled)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async #pass(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    const body = await buffer(req)
    let answer = await this.#ask(req, body)
    this.seen(answer)
    const path = (req.url ?? '').replace(/\?.*/, '')
    const key = `${req.method} ${path}`
    const before = this.#counts.get(key) ?? 0
    this.#counts.set(key, before + 1)
    const fate = this.fate({ method: req.method ?? '', path, status: answer.status, before })
    if (fate === 'repeat') answer = await this.#ask(req, body)
    else if (typeof fate === 'object' && 'delay' in fate) await fate.delay
    const whole = Buffer.concat([Buffer.from(answer.head), answer.body])
    const { socket } = req
    if (fate === 'swallow') {
      this.lost++
      socket.destroy()
    } else if (typeof fate === 'object' && 'cut' in fate) {
      this.lost++
      socket.write(whole.subarray(0, Math.min(fate.cut, whole.length - 1)), () => socket.destroy())
    } else {
      res.writeHead(answer.status, answer.headers).end(answer.body)
    }
  }

  #ask(req: http.IncomingMessage, body: Buffer) {
    return new Promise<{ status: number; headers: http.IncomingHttpHeaders; head: string; body: Buffer }>(
      (resolve, reject) => {
        const { 'transfer-encoding': _, connection: __, ...headers } = req.headers
        const agent = this.#shared ?? this.#pools.get(req.socket)
        const options = { method: req.method, agent, headers: { ...headers, 'content-length': body.length } }
        const asked = http.request(this.#target + req.url, options as http.RequestOptions, (answer) => {
          const status = answer.statusCode ?? 0
          const { connection: ___, 'transfer-encoding': ____, ...kept } = answer.headers
          const lines = Object.entries(kept).map(([name, value]) => `${name}: ${String(value)}\r\n`)
          const head = `HTTP/1.1 ${status} ${answer.statusMessage}\r\n${lines.join('')}\r\n`
          buffer(answer).then((body) => resolve({ status, headers: kept, head, body }), reject)
        })
        asked.on('error', reject)
        asked.end(body)
      },
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#shared?.destroy()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

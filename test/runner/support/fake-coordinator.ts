import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import type { GoodbyeCode } from '../../../src/gen/signalbox/runner/v1/runner.js'
import { RunnerMessage, ServerMessage } from '../../../src/gen/signalbox/runner/v1/runner.js'
import { FakeJob } from './fake-job.js'
import { buildPayload, type PayloadSpec } from './payload.js'
import { StreamPeer } from './stream-peer.js'
import { Changing } from './until.js'

export const runnerToken = 'glrt-t1_FakeRunner01234567'

/**
 * A coordinator that does what a test says: it keeps everything in memory, decides nothing by itself, and serves the
 * doors that a runner can come through.
 */
export class FakeCoordinator extends Changing {
  readonly jobs: FakeJob[] = []
  readonly peers = new Set<StreamPeer>()
  readonly goodbyes: GoodbyeCode[] = []
  /** Requests that came over REST: method, path and headers. */
  readonly requests: { method: string; path: string; headers: http.IncomingHttpHeaders }[] = []
  tokens = new Set([runnerToken])
  epoch = 0
  leaseMs = 60_000
  renewEveryMs = 20_000
  pingIntervalMs = 20_000
  drained = false
  /** Receives and says nothing: a connection that leads nowhere. */
  mute = false
  http = ''
  #server: http.Server
  #port = 0
  #losses = new Map<number, number>()

  private constructor() {
    super()
    this.#server = http.createServer()
  }

  static async start(): Promise<FakeCoordinator> {
    const box = new FakeCoordinator()
    await box.listen()
    return box
  }

  /** Adds a job that waits for a runner. */
  add(spec: PayloadSpec = {}): FakeJob {
    const id = this.jobs.length + 1
    const token = `glcbt-job${id}TokenOfThisJob`
    const job = new FakeJob(id, buildPayload(id, token, this.http, spec), spec.name ?? `job-${id}`, token)
    this.jobs.push(job)
    for (const peer of this.peers) peer.offer()
    this.changed()
    return job
  }

  job(id: number): FakeJob | undefined {
    return this.jobs.find((job) => job.id === id)
  }

  cancel(job: FakeJob, mode: 'graceful' | 'force', graceMs = 10_000): void {
    job.cancel = { revision: (job.cancel?.revision ?? 0) + 1, mode, graceMs }
    job.status = mode === 'force' ? 'canceled' : 'canceling'
    for (const peer of this.peers) peer.cancel(job)
  }

  /** The next pieces of a job's log arrive and are forgotten. */
  lose(job: FakeJob, pieces: number): void {
    this.#losses.set(job.id, pieces)
  }

  losesNext(job: FakeJob, _data: Buffer): boolean {
    const left = this.#losses.get(job.id) ?? 0
    if (left > 0) this.#losses.set(job.id, left - 1)
    return left > 0
  }

  /** The one stream that is open. */
  peer(): Promise<StreamPeer> {
    return this.until(() => [...this.peers].find((peer) => peer.hello !== undefined && peer.open), 'a stream')
  }

  /** Cuts every connection. */
  cut(): void {
    for (const peer of this.peers) peer.wire.cut()
    this.#server.closeAllConnections()
  }

  async listen(): Promise<void> {
    this.#server = http.createServer((_request, response) => response.writeHead(404).end())
    const sockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      handleProtocols: (offered) => [...offered].find((name) => name.startsWith('signalbox.v1+')) ?? false,
    })
    this.#server.on('upgrade', (request, socket, head) => {
      const token = request.headers.authorization?.replace('Bearer ', '') ?? ''
      if (request.url !== '/runner/v1/stream' || !this.tokens.has(token)) {
        const status = this.tokens.has(token) ? '404 Not Found' : '401 Unauthorized'
        socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
        return
      }
      sockets.handleUpgrade(request, socket, head, (ws) => {
        const json = ws.protocol.endsWith('json')
        const peer = new StreamPeer(
          this,
          {
            send: (message) => {
              const frame = json
                ? JSON.stringify(ServerMessage.toJSON(message))
                : ServerMessage.encode(message).finish()
              ws.send(frame, { binary: !json })
            },
            end: () => ws.close(1000),
            cut: () => ws.terminate(),
          },
          true,
        )
        this.peers.add(peer)
        ws.on('message', (data: Buffer) => {
          peer.receive(json ? RunnerMessage.fromJSON(JSON.parse(data.toString())) : RunnerMessage.decode(data))
        })
        ws.on('error', () => undefined)
        ws.on('close', () => peer.closed())
      })
    })
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve))
    this.#port = (this.#server.address() as AddressInfo).port
    this.http = `http://127.0.0.1:${this.#port}`
  }

  /** Goes away; `listen` brings it back at the same address. */
  async unlisten(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
    this.peers.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unlisten()
  }
}

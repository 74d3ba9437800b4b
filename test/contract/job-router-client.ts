/**
 * A runner's end of GitLab's Job Router for tests, from the facts of the wire alone: HTTP/2 by hand, protobuf by hand,
 * over TCP or in a WebSocket. It shares no code with the server.
 */
import { once } from 'node:events'
import http2 from 'node:http2'
import { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import type { CoreSettings } from '../../src/core/core.js'
import type { Engine } from '../../src/core/store/write.js'
import { answerUpgrade } from '../../src/raw-sockets.js'
import type { ShimOptions } from '../../src/shim/app.js'
import { createJobRouter } from '../../src/shim/job-router/service.js'
import { createRouterTunnel, type RouterTunnel } from '../../src/shim/job-router/tunnel.js'
import { type GrpcServer, startGrpc } from '../../src/transports/grpc/service.js'
import { StreamHub } from '../../src/transports/stream-hub.js'
import { ShimBox } from '../shim/support/box.js'
import { startTestCore } from '../support/core.js'

export const doors = ['grpc', 'tunnel'] as const
export type DoorName = (typeof doors)[number]

/** A shim with the Job Router on a gRPC port and in a WebSocket tunnel. */
export class RouterBox implements AsyncDisposable {
  private constructor(
    readonly shim: ShimBox,
    readonly grpc: GrpcServer,
    readonly tunnel: RouterTunnel,
  ) {}

  static async start(
    engine: Engine,
    options: ShimOptions = {},
    settings: Partial<CoreSettings> = {},
  ): Promise<RouterBox> {
    const test = await startTestCore(engine, settings)
    const box = await new ShimBox(test, { routerUrl: () => 'ws://box.test/runner/v1/router', ...options }).start()
    const { polls } = box.shim
    const grpc = await startGrpc(test.core, new StreamHub(test.core), '127.0.0.1:0', [createJobRouter(polls)])
    const tunnel = createRouterTunnel(test.core, polls.access, (connection) => grpc.inject(connection))
    box.server.on('upgrade', (req, socket, head) => answerUpgrade(tunnel, req, socket, head, test.core.log))
    return new RouterBox(box, grpc, tunnel)
  }

  async connect(door: DoorName, token: string): Promise<RouterClient> {
    if (door === 'grpc') {
      const session = http2.connect(`http://127.0.0.1:${this.grpc.port}`)
      await once(session, 'connect')
      return new RouterClient(token, session)
    }
    const tunnel = await this.open(token)
    return new RouterClient(token, http2.connect('http://tunnel', { createConnection: () => tunnel }), tunnel)
  }

  /** The WebSocket alone. Rejects with the status of a refused handshake. */
  open(token: string | undefined, protocol = 'ws-tunnel', headers: Record<string, string> = {}): Promise<Tunnel> {
    const authorization = token === undefined ? {} : { Authorization: `Bearer ${token}` }
    const ws = new WebSocket(`ws://127.0.0.1:${this.shim.port}/runner/v1/router`, [protocol], {
      headers: { ...authorization, ...headers },
      perMessageDeflate: false,
    })
    return new Promise((resolve, reject) => {
      ws.once('open', () => resolve(new Tunnel(ws)))
      ws.once('unexpected-response', (_, res) => reject(new Error(`status ${res.statusCode}`)))
      ws.once('error', reject)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shim.shim.close()
    await this.grpc.close()
    this.tunnel.close()
    await this.shim[Symbol.asyncDispose]()
  }
}

/** Bytes in binary messages, cut wherever it pleases. */
export class Tunnel extends Duplex {
  readonly closeCode: Promise<number>

  constructor(readonly ws: WebSocket) {
    super()
    this.closeCode = new Promise((resolve) => ws.once('close', resolve))
    ws.on('message', (data: Buffer, isBinary) => {
      if (!isBinary) ws.close(1003)
      this.push(data)
    })
    ws.on('close', () => this.push(null))
  }

  override _read(): void {}

  override _write(chunk: Buffer, _: string, done: () => void): void {
    const half = Math.ceil(chunk.length / 2)
    this.ws.send(chunk.subarray(0, half))
    if (half < chunk.length) this.ws.send(chunk.subarray(half))
    done()
  }

  override _final(done: () => void): void {
    this.ws.close(1000)
    done()
  }
}

export interface RouterAnswer {
  /** `grpc-status`. */
  code: number
  message: string
  /** Initial metadata, and nothing of the trailers. */
  metadata: http2.IncomingHttpHeaders
  trailers: http2.IncomingHttpHeaders
  /** `job_response`. */
  job: Buffer
}

export class RouterClient implements AsyncDisposable {
  constructor(
    readonly token: string,
    readonly session: http2.ClientHttp2Session,
    readonly tunnel?: Tunnel,
  ) {
    session.on('error', () => undefined)
  }

  /** `job_request`: what `POST /jobs/request` takes. */
  getJob(jobRequest: object, metadata: Record<string, string> = {}): Promise<RouterAnswer> & { cancel(): void } {
    return this.call(bytesField(1, Buffer.from(JSON.stringify(jobRequest))), metadata)
  }

  /** A call with any message. */
  call(message: Buffer, metadata: Record<string, string> = {}): Promise<RouterAnswer> & { cancel(): void } {
    const stream = this.session.request({
      ':method': 'POST',
      // What gRPC makes of a tunnel's URL; nobody looks at it.
      ...(this.tunnel ? { ':authority': 'ws%3A%2F%2F127.0.0.1%2Frunner%2Fv1%2Frouter' } : {}),
      ':path': '/gitlab.agent.job_router.rpc.JobRouter/GetJob',
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': 'gitlab-runner 19.4.0 (main; go1.26.5; linux/amd64) grpc-go/1.80.0',
      'gitlab-agent-type': 'runner',
      authorization: `Bearer ${this.token}`,
      ...metadata,
    })
    const length = Buffer.alloc(5)
    length.writeUInt32BE(message.length, 1)
    stream.end(Buffer.concat([length, message]))
    const answer = new Promise<RouterAnswer>((resolve, reject) => {
      let head: http2.IncomingHttpHeaders = {}
      let trailers: http2.IncomingHttpHeaders = {}
      const chunks: Buffer[] = []
      stream.on('response', (headers) => {
        head = headers
      })
      stream.on('trailers', (headers) => {
        trailers = headers
      })
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('error', reject)
      stream.on('close', () => {
        const end = 'grpc-status' in trailers ? trailers : head
        if (end['grpc-status'] === undefined) return reject(new Error('the call broke'))
        resolve({
          code: Number(end['grpc-status']),
          message: String(end['grpc-message'] ?? ''),
          metadata: head,
          trailers,
          job: readBytesField(1, Buffer.concat(chunks).subarray(5)),
        })
      })
    })
    return Object.assign(answer, { cancel: () => stream.close(http2.constants.NGHTTP2_CANCEL) })
  }

  ping(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.session.ping((error, duration) => (error ? reject(error) : resolve(duration)))
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.session.destroy()
    this.tunnel?.ws.terminate()
  }
}

/** A length-delimited field: https://protobuf.dev/programming-guides/encoding. */
export function bytesField(number: number, bytes: Buffer): Buffer {
  const size: number[] = []
  let rest = bytes.length
  for (; rest > 127; rest = Math.floor(rest / 128)) size.push((rest % 128) + 128)
  return Buffer.concat([Buffer.from([number * 8 + 2, ...size, rest]), bytes])
}

function readBytesField(number: number, message: Buffer): Buffer {
  if (message.length === 0) return Buffer.alloc(0)
  if (message[0] !== number * 8 + 2) throw new Error(`field ${number} was expected`)
  let [at, length, unit] = [1, 0, 1]
  for (; (message[at]! & 128) !== 0; at++, unit *= 128) length += (message[at]! & 127) * unit
  length += message[at]! * unit
  return message.subarray(at + 1, at + 1 + length)
}

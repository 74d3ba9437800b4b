/** Runner ends of the stream for tests: they send and collect envelopes, and know no rules. */
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import grpc from '@grpc/grpc-js'
import { WebSocket } from 'ws'
import type { Engine } from '../../src/core/store/write.js'
import {
  type Hello,
  RunnerMessage,
  RunnerServiceService,
  ServerMessage,
} from '../../src/gen/signalbox/runner/v1/runner.js'
import { answerUpgrade } from '../../src/raw-sockets.js'
import { startGrpc } from '../../src/transports/grpc/service.js'
import { StreamHub, type StreamHubOptions } from '../../src/transports/stream-hub.js'
import { createWebSocketDoor } from '../../src/transports/websocket/service.js'
import { startTestCore, type TestCore } from '../support/core.js'

type RunnerBody = NonNullable<RunnerMessage['body']>
type ServerBody = NonNullable<ServerMessage['body']>
type Case = ServerBody['$case']
type ValueOf<C extends Case> = Extract<ServerBody, { $case: C }>['value']
type SentValue<C extends RunnerBody['$case']> = Extract<RunnerBody, { $case: C }>['value']

export const carriers = ['grpc', 'websocket proto', 'websocket json'] as const
export type CarrierName = (typeof carriers)[number]

/** A node with both stream doors open on free ports. */
export class StreamBox implements AsyncDisposable {
  private constructor(
    readonly box: TestCore,
    readonly hub: StreamHub,
    readonly httpPort: number,
    readonly grpcPort: number,
    readonly close: () => Promise<void>,
  ) {}

  static async start(engine: Engine = 'sqlite', options: StreamHubOptions = {}): Promise<StreamBox> {
    const box = await startTestCore(engine)
    const hub = new StreamHub(box.core, options)
    const grpcServer = await startGrpc(box.core, hub, '127.0.0.1:0')
    const door = createWebSocketDoor(box.core, hub)
    const server = http.createServer()
    server.on('upgrade', (req, socket, head) => answerUpgrade(door, req, socket, head, box.core.log))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const close = async () => {
      hub.close()
      await door.close()
      await grpcServer.close()
      await new Promise<void>((resolve) => server.close(() => resolve()))
      await box[Symbol.asyncDispose]()
    }
    return new StreamBox(box, hub, (server.address() as AddressInfo).port, grpcServer.port, close)
  }

  connect(carrier: CarrierName, token: string): Promise<TestStream> {
    return carrier === 'grpc'
      ? TestStream.overGrpc(this.grpcPort, token)
      : TestStream.overWebSocket(this.httpPort, token, carrier === 'websocket json')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

export const hello = (more: Partial<Hello> = {}): Hello => ({
  token: '',
  systemId: 's_0123456789ab',
  bootId: 'boot-1',
  protocolMin: 1,
  protocolMax: 1,
  name: 'test',
  version: '1',
  revision: '',
  platform: 'linux',
  architecture: 'amd64',
  executor: 'shell',
  features: ['cancel_gracefully', 'return_exit_code'],
  labels: {},
  capacity: 4,
  running: [],
  protocolFeatures: [],
  ...more,
})

interface Wire {
  send(bytes: Buffer, message: RunnerMessage): void
  close(): void
}

export class TestStream {
  /** Every envelope received, in order. */
  readonly received: ServerMessage[] = []
  /** How the stream ended: gRPC's status code, or the WebSocket's close code. */
  readonly ended: Promise<number>
  readonly #waiting: (() => void)[] = []
  #wire!: Wire
  #seq = 0
  #taken = 0
  #end!: (code: number) => void
  /** What the next envelopes say they have processed; everything received by default. */
  ack: number | undefined

  private constructor() {
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  static async overGrpc(port: number, token: string): Promise<TestStream> {
    const stream = new TestStream()
    const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    })
    const metadata = new grpc.Metadata()
    if (token) metadata.set('authorization', `Bearer ${token}`)
    const raw = (bytes: Buffer) => bytes
    const call = client.makeBidiStreamRequest<Buffer, Buffer>(RunnerServiceService.connect.path, raw, raw, metadata)
    call.on('data', (bytes: Buffer) => stream.#receive(ServerMessage.decode(bytes)))
    call.on('status', (status) => {
      stream.#end(status.code)
      client.close()
    })
    call.on('error', () => undefined)
    stream.#wire = {
      send: (bytes) => call.write(bytes),
      close: () => call.cancel(),
    }
    await new Promise<void>((resolve) => {
      call.once('metadata', () => resolve())
      call.once('status', () => resolve())
    })
    return stream
  }

  static async overWebSocket(port: number, token: string, json: boolean): Promise<TestStream> {
    const stream = new TestStream()
    const socket = new WebSocket(
      `ws://127.0.0.1:${port}/runner/v1/stream`,
      json ? 'signalbox.v1+json' : 'signalbox.v1+proto',
      {
        headers: token ? { authorization: `Bearer ${token}` } : {},
      },
    )
    socket.on('message', (data: Buffer) =>
      stream.#receive(json ? ServerMessage.fromJSON(JSON.parse(data.toString())) : ServerMessage.decode(data)),
    )
    socket.on('close', (code) => stream.#end(code))
    socket.on('error', () => undefined)
    stream.#wire = {
      send: (bytes, message) => socket.send(json ? JSON.stringify(RunnerMessage.toJSON(message)) : bytes),
      close: () => socket.terminate(),
    }
    await new Promise<void>((resolve, reject) => {
      socket.once('open', () => resolve())
      socket.once('error', reject)
    })
    return stream
  }

  send<C extends RunnerBody['$case']>($case: C, value: SentValue<C>): number {
    const message: RunnerMessage = {
      seq: ++this.#seq,
      ack: this.ack ?? this.received.at(-1)?.seq ?? 0,
      body: { $case, value } as RunnerBody,
    }
    this.#wire.send(Buffer.from(RunnerMessage.encode(message).finish()), message)
    return this.#seq
  }

  /** Sends bytes that need not be an envelope. */
  sendRaw(bytes: Buffer, message: RunnerMessage = { seq: 1, ack: 0 }): void {
    this.#wire.send(bytes, message)
  }

  /** The next envelope with this body among those not taken yet; those before it are passed over. */
  async next<C extends Case>($case: C): Promise<ValueOf<C>> {
    for (;;) {
      while (this.#taken < this.received.length) {
        const { body } = this.received[this.#taken++]!
        if (body?.$case === $case) return body.value as ValueOf<C>
      }
      await Promise.race([
        new Promise<void>((resolve) => this.#waiting.push(resolve)),
        this.ended.then((code) => {
          if (this.#taken >= this.received.length) throw new Error(`the stream ended (${code}) before ${$case}`)
        }),
      ])
    }
  }

  /** How many envelopes with this body have come. */
  count($case: Case): number {
    return this.received.filter((message) => message.body?.$case === $case).length
  }

  /** A ping that has been answered: everything sent before it has been handled. */
  async settled(): Promise<void> {
    const nonce = this.#seq + 1000
    this.send('ping', { nonce })
    while ((await this.next('pong')).nonce !== nonce);
  }

  /** Breaks the link without a word. */
  cut(): void {
    this.#wire.close()
  }

  #receive(message: ServerMessage): void {
    this.received.push(message)
    for (const wake of this.#waiting.splice(0)) wake()
  }
}

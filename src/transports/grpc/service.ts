/**
 * The runner stream over gRPC. Envelopes are decoded and encoded here, not by the library: what is malformed is answered
 * with a reason, and what waits to be sent is counted in bytes.
 */
import type { Duplex } from 'node:stream'
import grpc from '@grpc/grpc-js'
import { HealthImplementation } from 'grpc-health-check'
import type { Core } from '../../core/core.js'
import { guarded } from '../../core/guarded.js'
import { bearerToken } from '../../core/tokens/token.js'
import {
  type GoodbyeCode,
  RunnerMessage,
  RunnerServiceService,
  ServerMessage,
} from '../../gen/signalbox/runner/v1/runner.js'
import type { TlsFiles } from '../../tls-files.js'
import type { Carrier } from '../carrier.js'
import { maxMessageBytes } from '../convert.js'
import type { RunnerConnection } from '../runner-connection.js'
import type { StreamHub } from '../stream-hub.js'
import { toStatus } from './errors.js'
import { listenTls } from './tls.js'

type Call = grpc.ServerDuplexStream<Buffer, Buffer>

export interface GrpcServer {
  /** The port that it listens on. */
  port: number
  /** Serves HTTP/2 on a connection that came some other way. */
  inject(connection: Duplex): void
  /** Ends what is still open and stops listening. */
  close(): Promise<void>
}

/** A service that another door has on this server. */
export interface GrpcService {
  /** Its full name, under which its health is told. */
  name: string
  definition: grpc.ServiceDefinition
  implementation: grpc.UntypedServiceImplementation
}

const raw = (bytes: Buffer) => bytes

const service = {
  connect: {
    path: RunnerServiceService.connect.path,
    requestStream: true,
    responseStream: true,
    requestSerialize: raw,
    requestDeserialize: raw,
    responseSerialize: raw,
    responseDeserialize: raw,
  },
} as const

/** Limits and keepalive of a connection; the application's own pings come on top. */
const options: grpc.ServerOptions = {
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.max_connection_age_ms': 3_600_000,
  'grpc.max_connection_age_grace_ms': 120_000,
  'grpc.max_concurrent_streams': 64,
  'grpc.max_receive_message_length': 4 * 1024 * 1024,
}

/**
 * Starts the gRPC server, with other doors' services beside the runner stream. `address` is `host:port`; port 0 takes a
 * free one. Rejects if it cannot listen.
 */
export async function startGrpc(
  core: Core,
  hub: StreamHub,
  address: string,
  services: readonly GrpcService[] = [],
  files?: TlsFiles,
): Promise<GrpcServer> {
  const server = new grpc.Server(options)
  server.addService(service, { connect: (call: Call) => serve(core, hub, call) })
  for (const one of services) server.addService(one.definition, one.implementation)
  const names = ['', 'signalbox.runner.v1.RunnerService', ...services.map(({ name }) => name)]
  new HealthImplementation(Object.fromEntries(names.map((name) => [name, 'SERVING']))).addToServer(server)
  const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure())
  const listener = files && (await listenTls(address, files, (socket) => injector.injectConnection(socket)))
  const port = listener?.port ?? (await bind(server, address))
  return {
    port,
    inject: (connection) => injector.injectConnection(connection),
    close: () =>
      new Promise<void>((resolve) => {
        listener?.close()
        // Streams have been told goodbye; whoever has not left by now is cut off.
        const force = setTimeout(() => server.forceShutdown(), 1000)
        server.tryShutdown(() => {
          clearTimeout(force)
          resolve()
        })
      }),
  }
}

function bind(server: grpc.Server, address: string): Promise<number> {
  const plain = grpc.ServerCredentials.createInsecure()
  return new Promise((resolve, reject) => {
    server.bindAsync(address, plain, (error, bound) => (error ? reject(bindError(error)) : resolve(bound)))
  })
}

/** grpc-js tells the system's error in its text only. */
function bindError(error: Error): Error {
  const code = /\bE[A-Z]{4,}\b/.exec(error.message)?.[0]
  return code === undefined ? error : Object.assign(error, { code, syscall: 'listen' })
}

function serve(core: Core, hub: StreamHub, call: Call): void {
  // Headers at once, or a client that waits for them would not send its Hello.
  call.sendMetadata(new grpc.Metadata())
  const carrier = new GrpcCarrier(call)
  const connection: RunnerConnection = hub.open(carrier)
  const take = (bytes: Buffer) => {
    if (bytes.length > maxMessageBytes) {
      connection.malformed(`a message may have ${maxMessageBytes} bytes`)
      return
    }
    let message: RunnerMessage
    try {
      message = RunnerMessage.decode(bytes)
    } catch (error) {
      connection.malformed(`not a message: ${(error as Error).message}`)
      return
    }
    connection.receive(message, bytes.length)
  }
  const fail = (error: unknown) => {
    core.log.error({ err: error }, 'a message on a gRPC stream failed')
    call.emit('error', { code: grpc.status.INTERNAL, details: 'internal error' })
  }
  call.on('data', guarded(take, fail))
  call.on('end', () => {
    connection.gone()
    carrier.end()
  })
  call.on('cancelled', () => connection.gone())
  call.on('error', (error: Error) => {
    core.log.debug({ err: error }, 'a gRPC stream broke')
    connection.gone()
  })
}

class GrpcCarrier implements Carrier {
  readonly door = 'grpc'
  readonly remoteAddress: string | null
  readonly token: string
  readonly #call: Call
  #queue: Buffer[] = []
  #queued = 0
  #blocked = false
  #ended = false

  constructor(call: Call) {
    this.#call = call
    this.remoteAddress = hostOf(call.getPeer())
    const header = String(call.metadata.get('authorization')[0] ?? '')
    this.token = bearerToken(header) ?? ''
  }

  send(message: ServerMessage): void {
    if (this.#ended) return
    const encoded = ServerMessage.encode(message).finish()
    const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength)
    if (this.#blocked) {
      this.#queue.push(bytes)
      this.#queued += bytes.length
      return
    }
    this.#write(bytes)
  }

  queuedBytes(): number {
    return this.#queued
  }

  pause(): void {
    this.#call.pause()
  }

  resume(): void {
    this.#call.resume()
  }

  close(code: GoodbyeCode, reason: string): void {
    if (this.#ended) return
    const status = toStatus(code)
    if (status === grpc.status.OK) {
      this.end()
      return
    }
    this.#ended = true
    this.#call.emit('error', { code: status, details: reason })
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#call.end()
  }

  #write(bytes: Buffer): void {
    if (this.#call.write(bytes)) return
    this.#blocked = true
    this.#call.once('drain', () => {
      this.#blocked = false
      while (this.#queue.length > 0 && !this.#blocked && !this.#ended) {
        const next = this.#queue.shift()!
        this.#queued -= next.length
        this.#write(next)
      }
    })
  }
}

/** `127.0.0.1:1234` and `[::1]:1234` without the port. */
function hostOf(peer: string): string | null {
  const host = peer.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
  return host === '' || host === 'unknown' ? null : host
}

/** The stream over gRPC. */
import grpc from '@grpc/grpc-js'
import { RunnerMessage, ServerMessage } from '../../gen/signalbox/runner/v1/runner.js'
import { type ClientTls, tlsTrouble } from '../client-tls.js'
import { userAgent } from '../identity.js'
import type { Carrier, CarrierEnd, CarrierHandlers, Transport, TransportSettings } from './transport.js'

/** The stream as one call of `RunnerService.Connect`. */
export function grpcTransport({ url, token, tls }: TransportSettings): Transport {
  const secure = url.protocol === 'grpcs:'
  const address = `dns:${url.hostname}:${url.port || (secure ? '443' : '80')}`
  return {
    name: 'grpc',
    open(handlers) {
      const credentials = secure ? secureBy(tls) : grpc.credentials.createInsecure()
      // A client of its own for each stream: it looks the address up anew, and brings no back-off beside ours.
      const client = new grpc.Client(address, credentials, channelOptions)
      return new GrpcCarrier(client, token, handlers)
    },
  }
}

function secureBy(tls: ClientTls | undefined): grpc.ChannelCredentials {
  const { ca, cert, key } = tls ?? { files: {} }
  const bytes = (text: string | undefined) => (text === undefined ? null : Buffer.from(text))
  return grpc.credentials.createSsl(bytes(ca?.join('\n')), bytes(key), bytes(cert))
}

const channelOptions: grpc.ClientOptions = {
  'grpc.primary_user_agent': userAgent,
  // Slower than the pings of the node, which would otherwise be right to complain.
  'grpc.keepalive_time_ms': 45_000,
  'grpc.keepalive_timeout_ms': 10_000,
  // The number: any other value counts as off.
  'grpc.keepalive_permit_without_calls': 1,
  // Trying again is the link's business, and the library would keep what was written for its own attempts.
  'grpc.enable_retries': 0,
  'grpc.max_receive_message_length': 16 * 1024 * 1024,
  'grpc.use_local_subchannel_pool': 1,
  // One stream needs one connection, so it is not `round_robin`, which opens one to every node.
  'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ pick_first: { shuffleAddressList: true } }] }),
}

// Bytes that may wait in the stream: its own limit counts messages, not bytes.
const highWaterBytes = 1024 * 1024
const lowWaterBytes = 256 * 1024
const closeDeadlineMs = 5_000

class GrpcCarrier implements Carrier {
  readonly #call: grpc.ClientDuplexStream<RunnerMessage, ServerMessage>
  #queuedBytes = 0
  #full = false
  #blocked = false
  #reason: string | undefined
  #ended = false

  constructor(
    private readonly client: grpc.Client,
    token: string,
    private readonly handlers: CarrierHandlers,
  ) {
    const metadata = new grpc.Metadata()
    metadata.set('authorization', `Bearer ${token}`)
    this.#call = client.makeBidiStreamRequest(
      '/signalbox.runner.v1.RunnerService/Connect',
      (message: RunnerMessage) => Buffer.from(RunnerMessage.encode(message).finish()),
      (bytes: Buffer) => ServerMessage.decode(bytes),
      metadata,
    )
    this.#call.on('data', (message: ServerMessage) => this.handlers.message(message))
    this.#call.on('drain', () => {
      this.#full = false
      this.#drained()
    })
    // The same is told by `status`; without a listener it would end the process.
    this.#call.on('error', () => undefined)
    this.#call.on('status', (status: grpc.StatusObject) => this.#finish(status))
    // There is nothing to wait for: what is sent before the connection stands is kept by the call.
    queueMicrotask(() => this.handlers.opened())
  }

  get writable(): boolean {
    return !this.#full && this.#queuedBytes < highWaterBytes
  }

  send(message: RunnerMessage): void {
    if (this.#ended || this.#call.writableEnded) return
    const bytes = message.body?.$case === 'logChunk' ? message.body.value.data.length : 0
    this.#queuedBytes += bytes
    const room = this.#call.write(message, () => {
      this.#queuedBytes -= bytes
      this.#drained()
    })
    if (!room) this.#full = true
    if (!this.writable) this.#blocked = true
  }

  close(): void {
    if (this.#ended) return
    this.#call.end()
    setTimeout(() => this.#call.cancel(), closeDeadlineMs).unref()
  }

  abort(reason: string): void {
    this.#reason ??= reason
    this.#call.cancel()
  }

  #drained(): void {
    if (!this.#blocked || this.#full || this.#queuedBytes >= lowWaterBytes) return
    this.#blocked = false
    this.handlers.drained()
  }

  #finish(status: grpc.StatusObject): void {
    if (this.#ended) return
    this.#ended = true
    this.client.close()
    this.handlers.closed(toEnd(status, this.#reason))
  }
}

function toEnd({ code, details }: grpc.StatusObject, reason: string | undefined): CarrierEnd {
  const message =
    reason ?? tlsTrouble({ message: details }) ?? (details === '' ? `the stream ended (${grpc.status[code]})` : details)
  const refused = code === grpc.status.UNAUTHENTICATED || code === grpc.status.PERMISSION_DENIED
  return { kind: refused ? 'unauthorized' : 'failed', message }
}

/** The stream over a WebSocket. */
import type { IncomingMessage } from 'node:http'
import { WebSocket } from 'ws'
import { RunnerMessage, ServerMessage } from '../../gen/signalbox/runner/v1/runner.js'
import { optionsOf, tlsTrouble } from '../client-tls.js'
import { userAgent } from '../identity.js'
import { messageOf } from '../runner-error.js'
import { baseOf } from './poll-settings.js'
import type { Carrier, CarrierEnd, CarrierHandlers, Transport, TransportSettings } from './transport.js'

export interface WebSocketSettings extends TransportSettings {
  /** Text frames instead of binary ones; for tests and for people who look at the wire. */
  json?: boolean
}

/** The stream over a WebSocket: one envelope a frame, at `<url>/runner/v1/stream`. */
export function webSocketTransport(settings: WebSocketSettings): Transport {
  return { name: 'websocket', open: (handlers) => new WebSocketCarrier(settings, handlers) }
}

// Bytes that may wait in the socket before log bytes hold back, and when they go on.
const highWaterBytes = 1024 * 1024
const lowWaterBytes = 256 * 1024
// Limit of a message from the coordinator: an offer carries a whole payload.
const maxPayloadBytes = 16 * 1024 * 1024
const closeDeadlineMs = 5_000

class WebSocketCarrier implements Carrier {
  readonly #socket: WebSocket
  readonly #json: boolean
  #end: CarrierEnd | undefined
  #stopped = false
  #blocked = false

  constructor(
    settings: WebSocketSettings,
    private readonly handlers: CarrierHandlers,
  ) {
    this.#json = settings.json === true
    this.#socket = new WebSocket(streamUrl(settings.url), [`signalbox.v1+${this.#json ? 'json' : 'proto'}`], {
      headers: { authorization: `Bearer ${settings.token}`, 'user-agent': userAgent },
      perMessageDeflate: false,
      maxPayload: maxPayloadBytes,
      handshakeTimeout: 10_000,
      ...optionsOf(settings.tls),
    })
    this.#socket.on('open', () => handlers.opened())
    this.#socket.on('message', (data: Buffer) => this.#receive(data))
    this.#socket.on('unexpected-response', (request, response) => {
      this.#end = refusal(response)
      response.resume()
      request.destroy()
      this.#finish()
    })
    this.#socket.on('error', (error) => {
      this.#end ??= { kind: 'failed', message: tlsTrouble(error) ?? messageOf(error) }
    })
    this.#socket.on('close', (code, reason) => {
      const why = reason.length > 0 ? `: ${reason.toString()}` : ''
      this.#end ??= { kind: 'failed', message: `the connection was closed (${code})${why}` }
      this.#finish()
    })
  }

  get writable(): boolean {
    return this.#socket.bufferedAmount < highWaterBytes
  }

  send(message: RunnerMessage): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return
    const frame = this.#json ? JSON.stringify(RunnerMessage.toJSON(message)) : RunnerMessage.encode(message).finish()
    this.#socket.send(frame, { binary: !this.#json }, () => {
      if (!this.#blocked || this.#socket.bufferedAmount >= lowWaterBytes) return
      this.#blocked = false
      this.handlers.drained()
    })
    if (!this.writable) this.#blocked = true
  }

  close(): void {
    this.#socket.close(1000)
    // A peer that does not answer the close must not hold us.
    setTimeout(() => this.#socket.terminate(), closeDeadlineMs).unref()
  }

  abort(reason: string): void {
    this.#end ??= { kind: 'failed', message: reason }
    this.#socket.terminate()
  }

  #receive(data: Buffer): void {
    let message: ServerMessage
    try {
      message = this.#json ? ServerMessage.fromJSON(JSON.parse(data.toString('utf8'))) : ServerMessage.decode(data)
    } catch (error) {
      this.abort(`the coordinator sent what is no message: ${messageOf(error)}`)
      return
    }
    this.handlers.message(message)
  }

  #finish(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.handlers.closed(this.#end ?? { kind: 'failed', message: 'the connection was closed' })
  }
}

function streamUrl(base: URL): URL {
  const url = new URL(baseOf(base))
  url.protocol = { 'http:': 'ws:', 'https:': 'wss:' }[base.protocol] ?? base.protocol
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/runner/v1/stream`
  return url
}

/** What an answer to the upgrade means that is not a switch of protocols. */
function refusal(response: IncomingMessage): CarrierEnd {
  const status = response.statusCode ?? 0
  const message = `the coordinator answered ${status} ${response.statusMessage ?? ''}`.trim()
  if (status === 401 || status === 403) return { kind: 'unauthorized', message }
  const seconds = Number(response.headers['retry-after'])
  return seconds > 0 ? { kind: 'failed', message, retryAfterMs: seconds * 1000 } : { kind: 'failed', message }
}

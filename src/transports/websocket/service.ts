/**
 * The runner stream over WebSocket: one envelope a message. Sub-protocol `signalbox.v1+proto` takes binary frames,
 * `signalbox.v1+json` text frames in protobuf's JSON mapping.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import type { Core } from '../../core/core.js'
import { guarded } from '../../core/guarded.js'
import { bearerToken } from '../../core/tokens/token.js'
import { type GoodbyeCode, RunnerMessage, ServerMessage } from '../../gen/signalbox/runner/v1/runner.js'
import type { Carrier } from '../carrier.js'
import { maxMessageBytes } from '../convert.js'
import type { StreamHub } from '../stream-hub.js'
import { closeCodes, toCloseCode } from './errors.js'

export const streamPath = '/runner/v1/stream'

const protocols = ['signalbox.v1+proto', 'signalbox.v1+json'] as const
type Protocol = (typeof protocols)[number]

export interface WebSocketDoor {
  /** The status that an upgrade request for `streamPath` is refused with; undefined: it is accepted. */
  refusal(req: IncomingMessage): string | undefined
  /** Takes over a socket, whose errors are listened to. */
  accept(req: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Cuts off what is still open. */
  close(): Promise<void>
}

/** `allowedOrigins`: pages that may open streams; runners send no Origin. */
export function createWebSocketDoor(core: Core, hub: StreamHub, allowedOrigins: readonly string[] = []): WebSocketDoor {
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
    clientTracking: true,
    handleProtocols: (offered) => protocols.find((protocol) => offered.has(protocol)) ?? false,
  })
  return {
    refusal: (req) => refusalOf(req, allowedOrigins),
    accept(req, socket, head) {
      server.handleUpgrade(req, socket, head, (ws) => serve(core, hub, ws, req))
    },
    close: async () => {
      for (const ws of server.clients) ws.terminate()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

function refusalOf(req: IncomingMessage, allowedOrigins: readonly string[]): string | undefined {
  const { origin } = req.headers
  if (origin !== undefined && !allowedOrigins.includes(origin)) return '403 Forbidden'
  const offered = String(req.headers['sec-websocket-protocol'] ?? '')
    .split(',')
    .map((name) => name.trim())
  return protocols.some((protocol) => offered.includes(protocol)) ? undefined : '400 Bad Request'
}

function serve(core: Core, hub: StreamHub, ws: WebSocket, req: IncomingMessage): void {
  const carrier = new WebSocketCarrier(ws, req)
  const connection = hub.open(carrier)
  const take = (data: RawData, isBinary: boolean) => {
    const bytes = data as Buffer
    if (isBinary !== carrier.binary) {
      connection.gone()
      ws.close(closeCodes.wrongFrame, 'wrong frame type')
      return
    }
    let message: RunnerMessage
    try {
      message = carrier.binary
        ? RunnerMessage.decode(bytes)
        : RunnerMessage.fromJSON(JSON.parse(bytes.toString('utf8')))
    } catch (error) {
      connection.malformed(`not a message: ${(error as Error).message.slice(0, 200)}`)
      return
    }
    connection.receive(message, bytes.length)
  }
  const fail = (error: unknown) => {
    core.log.error({ err: error }, 'a message on a WebSocket stream failed')
    connection.gone()
    ws.terminate()
  }
  ws.on('message', guarded(take, fail))
  ws.on('close', () => connection.gone())
  ws.on('error', (error) => core.log.debug({ err: error }, 'a WebSocket stream broke'))
}

class WebSocketCarrier implements Carrier {
  readonly door = 'websocket'
  readonly remoteAddress: string | null
  readonly token: string
  readonly #ws: WebSocket

  constructor(ws: WebSocket, req: IncomingMessage) {
    this.#ws = ws
    this.remoteAddress = req.socket.remoteAddress ?? null
    this.token = bearerToken(req.headers.authorization) ?? ''
  }

  get binary(): boolean {
    return (this.#ws.protocol as Protocol) === 'signalbox.v1+proto'
  }

  send(message: ServerMessage): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return
    if (this.binary) this.#ws.send(ServerMessage.encode(message).finish())
    else this.#ws.send(JSON.stringify(ServerMessage.toJSON(message)))
  }

  queuedBytes(): number {
    return this.#ws.bufferedAmount
  }

  pause(): void {
    this.#ws.pause()
  }

  resume(): void {
    this.#ws.resume()
  }

  close(code: GoodbyeCode, reason: string): void {
    // A reason may have 123 bytes.
    this.#ws.close(toCloseCode(code), reason.slice(0, 40))
  }
}

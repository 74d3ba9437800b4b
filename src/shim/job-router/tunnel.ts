/**
 * HTTP/2 in a WebSocket, so that the Job Router is reached through whatever lets the web through: binary messages make up
 * one stream of bytes, and their borders mean nothing (gitlab-runner router/internal/wstunnel).
 */
import type { IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import type { Core } from '../../core/core.js'
import { SignalboxError } from '../../core/errors.js'
import { guarded } from '../../core/guarded.js'
import { bearerToken } from '../../core/tokens/token.js'
import { type Access, addressOf } from '../../http/access.js'

const protocol = 'ws-tunnel'
const longestMessage = 4 * 1024 * 1024

const closeCodes = { done: 1000, goingAway: 1001, wrongFrame: 1003, failed: 1011 } as const

export interface RouterTunnel {
  /** The status that an upgrade request for the router's path is refused with; undefined: it is accepted. */
  refusal(req: IncomingMessage): Promise<string | undefined>
  /** Takes over a socket, whose errors are listened to. */
  accept(req: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Cuts off what is still open. Safe to repeat. */
  close(): void
}

/** `inject`: hands a connection to the server that the router is part of. */
export function createRouterTunnel(core: Core, access: Access, inject: (connection: Duplex) => void): RouterTunnel {
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: longestMessage,
    clientTracking: true,
    handleProtocols: (offered) => (offered.has(protocol) ? protocol : false),
  })
  return {
    refusal: (req) => refusalOf(access, req),
    accept(req, socket, head) {
      server.handleUpgrade(req, socket, head, (ws) => {
        const connection = new TunnelConnection(ws)
        connection.on('error', (error) => core.log.debug({ err: error }, 'a tunnel broke'))
        inject(connection)
      })
    },
    close() {
      for (const ws of server.clients) {
        ws.close(closeCodes.goingAway)
        ws.terminate()
      }
      server.close()
    },
  }
}

/** The status that a handshake is refused with. Pages, which send an origin, have no business here. */
async function refusalOf(access: Access, req: IncomingMessage): Promise<string | undefined> {
  const { origin, authorization } = req.headers
  if (origin !== undefined) return '403 Forbidden'
  const offered = String(req.headers['sec-websocket-protocol'] ?? '').split(',')
  if (!offered.some((name) => name.trim() === protocol)) return '400 Bad Request'
  const token = bearerToken(authorization)
  if (token === undefined) return '401 Unauthorized\r\nWWW-Authenticate: Bearer'
  try {
    await access.runnerBy({ token, address: addressOf(req) })
    return undefined
  } catch (thrown) {
    const { code } = SignalboxError.from(thrown)
    if (code === 'rate_limited') return '429 Too Many Requests\r\nRetry-After: 1'
    return code === 'forbidden' || code === 'invalid' ? '403 Forbidden' : '503 Service Unavailable'
  }
}

/** A WebSocket as the connection below an HTTP/2 session; neither side gets ahead of the other's reading. */
class TunnelConnection extends Duplex {
  readonly #ws: WebSocket

  constructor(ws: WebSocket) {
    super()
    this.#ws = ws
    const take = (data: RawData, isBinary: boolean) => {
      if (!isBinary) this.#end(closeCodes.wrongFrame)
      else if (!this.push(data as Buffer)) ws.pause()
    }
    ws.on(
      'message',
      guarded(take, (error) => this.destroy(error as Error)),
    )
    ws.on('close', () => {
      this.push(null)
      this.destroy()
    })
    ws.on('error', (error) => this.destroy(error))
  }

  override _read(): void {
    this.#ws.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#ws.send(chunk, { binary: true }, done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#ws.send(Buffer.concat(chunks.map(({ chunk }) => chunk)), { binary: true }, done)
  }

  override _final(done: () => void): void {
    this.#ws.close(closeCodes.done)
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (this.#ws.readyState === this.#ws.OPEN) this.#ws.close(error ? closeCodes.failed : closeCodes.done)
    done(error)
  }

  #end(code: number): void {
    this.#ws.close(code)
    this.destroy()
  }
}

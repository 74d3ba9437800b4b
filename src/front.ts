/**
 * The HTTP port. It listens before there is anything to serve, so that whoever asks a coordinator that starts or stops is
 * told to ask again (503 with `Retry-After`) and does not find a closed door.
 */
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { SignalboxError } from './core/errors.js'
import { guarded } from './core/guarded.js'
import type { Log } from './core/log.js'
import { answerUpgrade, refuseConnect, refuseUnreadable, type UpgradeDoor } from './raw-sockets.js'
import { clientRefusal, type TlsFiles } from './tls-files.js'

export interface Routes {
  route(req: IncomingMessage, res: ServerResponse): Promise<void>
  /** Who takes an upgrade over, or what it is refused with. */
  doorOf(req: IncomingMessage): UpgradeDoor | string
}

/** Slow clients are cut off; uploads have as long as they keep sending. */
const limits: http.ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 0,
  keepAliveTimeout: 65_000,
  maxHeaderSize: 16 * 1024,
  connectionsCheckingInterval: 5000,
}

export const retryLater = { 'Retry-After': '1' }

export class Front {
  readonly #server: http.Server
  #routes: Routes | undefined
  #stopping = false

  /** `tls`: what it is served with; undefined: plain text. */
  constructor(
    log: Log,
    private readonly tls?: TlsFiles,
  ) {
    const answer = async (req: http.IncomingMessage, res: http.ServerResponse) => {
      const refusal = this.#refusalOf(req)
      if (refusal !== undefined) text(res, 403, `${refusal}\n`, { Connection: 'close' })
      else if (namesTwoHosts(req)) text(res, 400, 'the request names more than one host\n')
      else if (!this.#routes || this.#stopping) this.#turnAway(res)
      else await this.#routes.route(req, res)
    }
    const listener = (req: http.IncomingMessage, res: http.ServerResponse) => {
      answer(req, res).catch((error) => {
        log.error({ err: error }, 'a request failed')
        if (res.headersSent) res.destroy()
        else if (SignalboxError.from(error).code === 'unavailable') text(res, 503, 'not available\n', retryLater)
        else text(res, 500, 'internal error\n')
      })
    }
    this.#server = makeServer(listener, tls)
    const cut = (error: unknown, _: unknown, socket: Duplex) => {
      log.error({ err: error }, 'a bare connection could not be answered')
      socket.destroy()
    }
    const closed = '503 Service Unavailable\r\nRetry-After: 1'
    const upgrade = (req: http.IncomingMessage, socket: Duplex, head: Buffer) => {
      const door = this.#routes && !this.#stopping ? this.#routes.doorOf(req) : closed
      const refusal = this.#refusalOf(req)
      const status = refusal === undefined ? '400 Bad Request' : `403 ${refusal}`
      answerUpgrade(refusal !== undefined || namesTwoHosts(req) ? status : door, req, socket, head, log)
    }
    this.#server.on('upgrade', guarded(upgrade, cut))
    this.#server.on('connect', guarded(refuseConnect, cut))
    this.#server.on('clientError', guarded(refuseUnreadable, cut))
  }

  /** Returns the base of every address here, without a slash at the end. Rejects as `server.listen` does. */
  async listen(address: string): Promise<string> {
    const port = Number(address.slice(address.lastIndexOf(':') + 1))
    const server = this.#server
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, hostOf(address).replace(/^\[|\]$/g, '') || '0.0.0.0', () => {
        server.off('error', reject)
        resolve()
      })
    })
    return `${this.tls ? 'https' : 'http'}://${hostOf(address) || '127.0.0.1'}:${(server.address() as AddressInfo).port}`
  }

  /** From now on requests are served. */
  open(routes: Routes): void {
    this.#routes = routes
  }

  /** From now on new ones are not. */
  stop(): void {
    this.#stopping = true
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeIdleConnections()
      setTimeout(() => this.#server.closeAllConnections(), 1000).unref()
    })
  }

  #refusalOf(req: IncomingMessage): string | undefined {
    return this.tls?.mutual ? clientRefusal(req.socket) : undefined
  }

  #turnAway(res: ServerResponse): void {
    text(res, 503, this.#stopping ? 'stopping\n' : 'starting\n', { ...retryLater, Connection: 'close' })
  }
}

function makeServer(listener: http.RequestListener, files: TlsFiles | undefined): http.Server {
  if (files === undefined) return http.createServer(limits, listener)
  const server = https.createServer({ ...limits, ...files.options }, listener)
  files.follow(server)
  return server
}

/** Proxies may take one and we the other, so RFC 9112 §3.2 wants 400; Node refuses only requests without one. */
function namesTwoHosts(req: IncomingMessage): boolean {
  return (req.headersDistinct.host?.length ?? 0) > 1
}

export function text(res: ServerResponse, status: number, body: string, headers: Record<string, string> = {}): void {
  const length = Buffer.byteLength(body)
  res.writeHead(status, { ...headers, 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': length })
  res.end(body)
}

export function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':'))
}

/**
 * Answers on bare sockets: those that Node's HTTP server hands over (upgrades, CONNECT) and those that said what is no
 * HTTP. Nobody else writes to a socket itself. A socket that was handed over has no listener for its errors any more, and
 * a peer may reset the connection at any moment, so it is listened to before anything else is done.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { Log } from './core/log.js'

/** What takes over upgrades for one path. */
export interface UpgradeDoor {
  /** The status line and headers that the request is refused with; undefined: it is accepted. */
  refusal(req: IncomingMessage): string | undefined | Promise<string | undefined>
  /** Takes the socket over. */
  accept(req: IncomingMessage, socket: Duplex, head: Buffer): void
}

/** Answers an upgrade: by `door`, or with the refusal that is given in its place. Never throws. */
export function answerUpgrade(
  door: UpgradeDoor | string,
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  log: Log,
): void {
  socket.on('error', (error) => log.debug({ err: error }, 'an upgraded connection broke'))
  const answer = async () => {
    const refusal = typeof door === 'string' ? door : await door.refusal(req)
    if (refusal !== undefined) refuse(socket, refusal)
    else if (typeof door === 'object' && !socket.destroyed) door.accept(req, socket, head)
  }
  answer().catch((error) => {
    log.error({ err: error }, 'an upgrade failed')
    refuse(socket, '500 Internal Server Error')
  })
}

/** Answers CONNECT: this is no proxy. */
export function refuseConnect(_: IncomingMessage, socket: Duplex): void {
  socket.on('error', () => undefined)
  refuse(socket, '405 Method Not Allowed\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE')
}

/** Answers what Node could not read as a request (RFC 9112 §9.6); half of another answer is not written into. */
export function refuseUnreadable(error: NodeJS.ErrnoException, socket: Duplex): void {
  const { _httpMessage: answering } = socket as Duplex & { _httpMessage?: { headersSent: boolean } | null }
  // Who could not agree on TLS could not read an answer either.
  if (answering?.headersSent || (socket instanceof TLSSocket && !socket.getCipher())) socket.destroy()
  else refuse(socket, statusByCode[error.code ?? ''] ?? '400 Bad Request')
}

const statusByCode: Record<string, string> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Content Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/** What the peer still sends is let flow past for 2 s, so that a reset does not cost it the answer. */
const lingerMs = 2000

function refuse(socket: Duplex, statusAndHeaders: string): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const cut = setTimeout(() => socket.destroy(), lingerMs)
  cut.unref()
  socket.once('close', () => clearTimeout(cut))
  socket.end(`HTTP/1.1 ${statusAndHeaders}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  socket.resume()
}

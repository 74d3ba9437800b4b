/**
 * TLS of the gRPC port. The handshake is made here and not by the library, which could neither take new files nor say why it
 * refuses a client.
 */
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import grpc from '@grpc/grpc-js'
import { guarded } from '../../core/guarded.js'
import { clientRefusal, type TlsFiles } from '../../tls-files.js'

/** Listens at `host:port` and hands over every connection whose client may come in. Rejects as `server.listen` does. */
export async function listenTls(
  address: string,
  files: TlsFiles,
  take: (socket: tls.TLSSocket) => void,
): Promise<{ port: number; close(): void }> {
  const server = tls.createServer({ ...files.options, ALPNProtocols: ['h2'] }, (socket) => {
    socket.on('error', () => socket.destroy())
    const refusal = files.mutual ? clientRefusal(socket) : undefined
    if (refusal === undefined) return take(socket)
    answerRefused(socket, refusal)
  })
  server.on('tlsClientError', (_, socket) => socket.destroy())
  files.follow(server)
  const port = Number(address.slice(address.lastIndexOf(':') + 1))
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '')
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host || '0.0.0.0', () => {
      server.off('error', reject)
      resolve()
    })
  })
  return { port: (server.address() as AddressInfo).port, close: () => server.close() }
}

const refusedWithinMs = 5000

/** Answers every call of the connection that its client may not come in. */
function answerRefused(socket: tls.TLSSocket, reason: string): void {
  const cut = setTimeout(() => socket.destroy(), refusedWithinMs)
  cut.unref()
  socket.once('close', () => clearTimeout(cut))
  const server = http2.createServer()
  server.on('sessionError', () => socket.destroy())
  const refuse = (stream: http2.ServerHttp2Stream) => {
    stream.on('error', () => socket.destroy())
    const status = { 'grpc-status': String(grpc.status.UNAUTHENTICATED), 'grpc-message': encodeURIComponent(reason) }
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...status }, { endStream: true })
  }
  // A stream that is gone already takes no answer.
  server.on(
    'stream',
    guarded(refuse, () => socket.destroy()),
  )
  server.emit('connection', socket)
}

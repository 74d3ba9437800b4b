import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import { RunnerMessage, ServerMessage } from '../../../src/gen/signalbox/runner/v1/runner.js'
import type { Door, FakeCoordinator } from './fake-coordinator.js'
import type { GitServer } from './git-server.js'
import { serveRest } from './rest-face.js'
import { StreamPeer } from './stream-peer.js'

/** The HTTP port: the WebSocket stream, and everything under `/api/v4`. */
export async function openHttpDoor(box: FakeCoordinator, port: number): Promise<Door> {
  const server = http.createServer((request, response) => {
    if (box.git !== undefined && /[.]git[/]/.test(request.url ?? '')) serveGit(box, box.git, request, response)
    else serveRest(box, request, response).catch(() => response.destroy())
  })
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    handleProtocols: (offered) => [...offered].find((name) => name.startsWith('signalbox.v1+')) ?? false,
  })
  server.on('upgrade', (request, socket, head) => {
    const known = box.tokens.has(request.headers.authorization?.replace('Bearer ', '') ?? '')
    if (request.url === '/runner/v1/stream' && known) {
      sockets.handleUpgrade(request, socket, head, (ws) => attach(box, ws))
      return
    }
    const status = known ? '404 Not Found' : '401 Unauthorized'
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => server.closeAllConnections(),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

function serveGit(
  box: FakeCoordinator,
  git: GitServer,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): void {
  const fault = box.takeFault(`${request.method} ${request.url}`)
  if (fault === undefined) git.serve(request, response)
  else response.writeHead(fault.status, fault.headers).end()
}

function attach(box: FakeCoordinator, ws: WebSocket): void {
  const json = ws.protocol.endsWith('json')
  const peer = new StreamPeer(
    box,
    {
      send: (message) => {
        const frame = json ? JSON.stringify(ServerMessage.toJSON(message)) : ServerMessage.encode(message).finish()
        ws.send(frame, { binary: !json })
      },
      end: () => ws.close(1000),
      cut: () => ws.terminate(),
    },
    true,
  )
  box.peers.add(peer)
  ws.on('message', (data: Buffer) => {
    peer.receive(json ? RunnerMessage.fromJSON(JSON.parse(data.toString())) : RunnerMessage.decode(data))
  })
  ws.on('error', () => undefined)
  ws.on('close', () => peer.closed())
}

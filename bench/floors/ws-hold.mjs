// The least that an idle WebSocket costs: a bare `ws` server that holds connections.
import { WebSocket, WebSocketServer } from 'ws'
import { residentBytes, serve } from '../lib.mjs'

if (process.argv[2] === 'server') {
  const held = []
  serve({
    start: () =>
      new Promise((resolve) => {
        const server = new WebSocketServer({ port: 0, host: '127.0.0.1', backlog: 1024 }, () =>
          resolve(server.address().port),
        )
        server.on('connection', (socket) => {
          socket.on('error', () => {})
          held.push(socket)
        })
      }),
    memory: residentBytes,
  })
} else {
  const keep = []
  serve({
    async open({ port, streams }) {
      for (let i = 0; i < streams; i += 200) {
        await Promise.all(
          Array.from({ length: Math.min(200, streams - i) }, () => {
            const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false })
            keep.push(socket)
            return new Promise((resolve, reject) => {
              socket.once('open', resolve)
              socket.once('error', reject)
            })
          }),
        )
      }
    },
  })
}

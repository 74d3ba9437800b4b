/** The doors that a runner under judgement comes through, on free ports of this machine. */
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import grpc from '@grpc/grpc-js'
import { type WebSocket, WebSocketServer } from 'ws'
import { RunnerMessage, RunnerServiceService, ServerMessage } from '../gen/signalbox/runner/v1/runner.js'
import { Stream, type StreamOwner } from './stream.js'

export type CarrierName = 'websocket' | 'grpc'

export interface Door {
  url: string
  close(): void
}

type Opened = (stream: Stream) => void

const bare = (header: string | Buffer | undefined) => (header ?? '').toString().replace(/^Bearer /, '')
const reasonOf = (error: unknown) => (error as Error).message

/** Opens the door of the carrier; `opened` hears of each stream. */
export function openDoor(carrier: CarrierName, owner: StreamOwner, opened: Opened): Promise<Door> {
  return carrier === 'grpc' ? openGrpc(owner, opened) : openWebSocket(owner, opened)
}

async function openWebSocket(owner: StreamOwner, opened: Opened): Promise<Door> {
  const server = http.createServer((_, res) => res.writeHead(404).end())
  const names = ['signalbox.v1+proto', 'signalbox.v1+json']
  const sockets = new WebSocketServer({
    server,
    path: '/runner/v1/stream',
    perMessageDeflate: false,
    maxPayload: 1024 * 1024,
    handleProtocols: (offered) => names.find((name) => offered.has(name)) ?? false,
  })
  sockets.on('connection', (ws: WebSocket, req) => {
    const isJson = ws.protocol === names[1]
    const wire = {
      send: (message: ServerMessage) =>
        ws.send(isJson ? JSON.stringify(ServerMessage.toJSON(message)) : ServerMessage.encode(message).finish()),
      cut: () => ws.terminate(),
      end: () => ws.close(1000),
    }
    const stream = new Stream(owner, wire, bare(req.headers.authorization))
    if (ws.protocol === '') owner.broken(`the WebSocket offers neither of ${names.join(', ')}`)
    ws.on('message', (data, isBinary) => {
      const bytes = data as Buffer
      if (isBinary === isJson) return stream.malformed('a frame of the wrong type for its sub-protocol')
      try {
        stream.receive(isJson ? RunnerMessage.fromJSON(JSON.parse(bytes.toString())) : RunnerMessage.decode(bytes))
      } catch (error) {
        stream.malformed(reasonOf(error))
      }
    })
    ws.on('close', () => stream.closed())
    ws.on('error', () => stream.closed())
    opened(stream)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      for (const client of sockets.clients) client.terminate()
      server.close()
      server.closeAllConnections()
    },
  }
}

async function openGrpc(owner: StreamOwner, opened: Opened): Promise<Door> {
  const server = new grpc.Server()
  const { path } = RunnerServiceService.connect
  const raw = (bytes: Buffer) => bytes
  const method = { path, requestStream: true, responseStream: true, requestSerialize: raw, requestDeserialize: raw }
  const connect = { ...method, responseSerialize: raw, responseDeserialize: raw } as const
  server.addService({ connect } as never, {
    connect: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
      call.sendMetadata(new grpc.Metadata())
      const wire = {
        send: (message: ServerMessage) => call.write(Buffer.from(ServerMessage.encode(message).finish())),
        cut: () => call.emit('error', { code: grpc.status.UNAVAILABLE, details: 'cut' }),
        end: () => call.end(),
      }
      const stream = new Stream(owner, wire, bare(call.metadata.get('authorization')[0]))
      call.on('data', (bytes: Buffer) => {
        try {
          stream.receive(RunnerMessage.decode(bytes))
        } catch (error) {
          stream.malformed(reasonOf(error))
        }
      })
      call.on('error', () => stream.closed())
      call.on('cancelled', () => stream.closed())
      call.on('end', () => {
        stream.closed()
        call.end()
      })
      opened(stream)
    },
  })
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  )
  return { url: `grpc://127.0.0.1:${port}`, close: () => server.forceShutdown() }
}

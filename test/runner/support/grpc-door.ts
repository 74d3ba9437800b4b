import net, { type AddressInfo } from 'node:net'
import grpc from '@grpc/grpc-js'
import {
  type RunnerMessage,
  RunnerServiceService,
  type ServerMessage,
} from '../../../src/gen/signalbox/runner/v1/runner.js'
import type { Door, FakeCoordinator } from './fake-coordinator.js'
import { StreamPeer } from './stream-peer.js'

/** The gRPC port. */
export async function openGrpcDoor(box: FakeCoordinator, port: number): Promise<Door> {
  const server = new grpc.Server()
  server.addService(RunnerServiceService, {
    connect: (call: grpc.ServerDuplexStream<RunnerMessage, ServerMessage>) => {
      const [authorization] = call.metadata.get('authorization')
      if (!box.tokens.has(String(authorization).replace('Bearer ', ''))) {
        call.emit('error', { code: grpc.status.UNAUTHENTICATED, details: 'unknown token' })
        return
      }
      const peer = new StreamPeer(
        box,
        {
          send: (message) => void call.write(message),
          end: () => call.end(),
          cut: () => call.destroy(new Error('cut')),
        },
        true,
      )
      box.peers.add(peer)
      call.on('data', (message: RunnerMessage) => peer.receive(message))
      call.on('error', () => undefined)
      call.on('end', () => call.end())
      call.on('close', () => peer.closed())
      call.on('cancelled', () => peer.closed())
    },
  })
  const credentials = grpc.ServerCredentials.createInsecure()
  const inner = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, given) => (error ? reject(error) : resolve(given)))
  })
  const relay = await openRelay(inner, port)
  return {
    ...relay,
    close: async () => {
      await relay.close()
      server.forceShutdown()
    },
  }
}

/** A relay whose cables can be pulled, which the library's server does not offer. */
async function openRelay(target: number, port: number): Promise<Door> {
  const sockets = new Set<net.Socket>()
  const relay = net.createServer((near) => {
    const far = net.connect(target, '127.0.0.1')
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
      socket.pipe(other)
    }
  })
  await new Promise<void>((resolve) => relay.listen(port, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (relay.address() as AddressInfo).port,
    cut,
    close: () => {
      const closed = new Promise<void>((resolve) => relay.close(() => resolve()))
      cut()
      return closed
    },
  }
}

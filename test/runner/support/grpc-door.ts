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
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, given) => (error ? reject(error) : resolve(given)))
  })
  return {
    port: bound,
    cut: () => undefined,
    close: async () => server.forceShutdown(),
  }
}

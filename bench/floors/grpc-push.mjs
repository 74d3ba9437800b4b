// The least that a push over gRPC costs: raw buffers on streams that are held open. `server` and `client` are processes of
// their own.
import grpc from '@grpc/grpc-js'
import { nowUs, residentBytes, serve, sleep } from '../lib.mjs'

const raw = (bytes) => bytes
const service = {
  hold: {
    path: '/bench.Floor/Hold',
    requestStream: true,
    responseStream: true,
    requestSerialize: raw,
    requestDeserialize: raw,
    responseSerialize: raw,
    responseDeserialize: raw,
  },
}

if (process.argv[2] === 'server') {
  const held = []
  const server = new grpc.Server()
  server.addService(service, {
    hold(call) {
      held.push(call)
      call.on('data', () => {})
      call.on('error', () => {})
      call.sendMetadata(new grpc.Metadata())
    },
  })
  serve({
    start: () =>
      new Promise((resolve, reject) => {
        server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
          error ? reject(error) : resolve(port),
        )
      }),
    memory: residentBytes,
    async push({ count, gapMs }) {
      for (let i = 0; i < count; i++) {
        const message = Buffer.alloc(64)
        message.writeDoubleLE(nowUs())
        held[i % held.length].write(message)
        await sleep(gapMs)
      }
    },
  })
} else {
  const samples = []
  const keep = []
  serve({
    async open({ port, streams }) {
      const ready = []
      for (let i = 0; i < streams; i++) {
        const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
          'grpc.use_local_subchannel_pool': 1,
        })
        const call = client.makeBidiStreamRequest('/bench.Floor/Hold', raw, raw)
        keep.push(call)
        call.on('error', () => {})
        call.on('data', (message) => samples.push(nowUs() - message.readDoubleLE()))
        ready.push(new Promise((resolve) => call.once('metadata', resolve)))
        if (i % 200 === 199) await Promise.all(ready.slice(-200))
      }
      await Promise.all(ready)
    },
    samples: () => samples.splice(0),
  })
}

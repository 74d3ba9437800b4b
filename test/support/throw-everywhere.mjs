// Loaded into a coordinator: at the first SIGUSR2 it throws in a callback of each kind, at the second one a fault of storage.
import { spawn } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { createReadStream } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { Worker } from 'node:worker_threads'

const fail = (kind) => {
  throw new Error(`thrown in ${kind}`)
}

/** Each ends in one exception that nobody catches. */
const kinds = [
  () => setTimeout(() => fail('a timer')),
  () => {
    const interval = setInterval(() => {
      clearInterval(interval)
      fail('an interval')
    }, 1)
  },
  () => setImmediate(() => fail('an immediate')),
  () => queueMicrotask(() => fail('a microtask')),
  () => process.nextTick(() => fail('a tick')),
  () => void Promise.reject(new Error('thrown in a promise')),
  () => void Promise.reject(undefined),
  () => setImmediate(() => new EventEmitter().emit('error', new Error('thrown in an emitter'))),
  () => createReadStream('/nowhere'),
  () => new Worker('throw new Error("thrown in a worker")', { eval: true }),
  () =>
    new Worker('require("node:worker_threads").parentPort.postMessage(1)', { eval: true }).on('message', () =>
      fail('a message'),
    ),
  () => spawn('/nowhere'),
  () => spawn('true').on('exit', () => fail('an exit')),
  () => spawn('echo').stdout.on('data', () => fail('an output')),
  () => spawn('true').stdin.write(Buffer.alloc(1024 * 1024)),
  () => {
    const server = net
      .createServer((socket) => socket.resetAndDestroy())
      .listen(0, '127.0.0.1', () => {
        net.connect(server.address().port, '127.0.0.1').on('close', () => server.close())
      })
  },
  () => {
    const server = http.createServer((req) => {
      req.socket.on('close', () => server.close())
      req.socket.destroy()
      fail('a request')
    })
    server.listen(0, '127.0.0.1', () =>
      http.get({ port: server.address().port, host: '127.0.0.1' }).on('error', () => undefined),
    )
  },
]

process.once('SIGUSR2', () => {
  for (const kind of kinds) kind()
  process.once('SIGUSR2', () => {
    setImmediate(() => {
      throw new Error('a body failed', {
        cause: Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_FSYNC' }),
      })
    })
  })
})

// Many simulated runners in one process, each with a stream of its own: they hold it, or take jobs and finish them at once.
import grpc from '@grpc/grpc-js'
import { WebSocket } from 'ws'
import { RunnerMessage, RunnerServiceService, ServerMessage } from '../../dist/gen/signalbox/runner/v1/runner.js'
import { nowUs, serve, sleep } from '../lib.mjs'
import { submit } from './submit.mjs'

const streams = []
let arrived = []
let finished = 0
let target
/** Told of each job that is finished. */
let jobFinished = () => {}

const raw = (bytes) => bytes
const encode = (message) => {
  const bytes = RunnerMessage.encode(message).finish()
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** `log`: bytes that each job writes; 0: none. */
let logBytes = 0
let line = Buffer.alloc(0)
let lineCrc = 0

/** Jobs are not finished, but talk as fast as they are heard: 4 KiB at a time. */
let talks = false
let acknowledged = 0
const chunk = Buffer.alloc(4096, 'y')

class Stream {
  seq = 0
  heard = 0
  said = 0
  running = 0
  constructor(write, name, capacity) {
    this.write = write
    this.name = name
    this.capacity = capacity
  }

  send($case, value) {
    this.write(encode({ seq: ++this.seq, ack: this.heard, body: { $case, value } }))
  }

  hello() {
    this.send('hello', {
      token: '',
      systemId: this.name,
      bootId: 'b',
      protocolMin: 1,
      protocolMax: 1,
      name: 'bench',
      version: '1',
      revision: '',
      platform: 'linux',
      architecture: 'amd64',
      executor: 'shell',
      features: ['cancel_gracefully'],
      labels: {},
      capacity: this.capacity,
      running: [],
      protocolFeatures: [],
    })
  }

  receive(bytes) {
    const at = nowUs()
    const { seq, body } = ServerMessage.decode(bytes)
    this.heard = seq
    switch (body?.$case) {
      case 'welcome':
        this.welcomed()
        return
      case 'offer':
        arrived.push(at)
        this.running++
        this.send('accept', body.value)
        return
      case 'leaseState':
        for (const lease of body.value.leases) {
          if (lease.expiresInMs <= 0) continue
          if (talks) this.talk(lease, 0, 256 * 1024)
          else this.finish(lease)
        }
        return
      case 'logAck':
        this.talk(body.value, body.value.durableOffset, body.value.windowBytes)
        return
      case 'stateAck':
        if (++finished === target?.count) target.resolve(nowUs())
        jobFinished()
        return
      case 'ping':
        this.send('pong', body.value)
    }
  }

  /** Fills the window. */
  talk({ jobId, fence }, durable, window) {
    acknowledged += durable - (this.durable ?? 0)
    this.durable = durable
    while (this.said + chunk.length <= durable + window) {
      this.send('logChunk', { jobId, fence, offset: this.said, data: chunk })
      this.said += chunk.length
    }
  }

  finish({ jobId, fence }) {
    if (logBytes > 0) this.send('logChunk', { jobId, fence, offset: 0, data: line })
    this.send('stateUpdate', {
      jobId,
      fence,
      revision: 1,
      state: 'JOB_STATE_SUCCESS',
      failureReason: '',
      message: '',
      logLength: logBytes,
      logCrc32: lineCrc,
    })
    this.running--
    this.send('want', { credits: this.capacity - this.running })
  }
}

/** `capacity`: jobs that each stream can have at once. */
async function open({ carrier, url, token, count, work, capacity = 1, from = 0 }) {
  const welcomes = []
  for (let i = 0; i < count; i++) {
    let stream
    if (carrier === 'grpc') {
      const client = new grpc.Client(new URL(url.replace('grpc', 'http')).host, grpc.credentials.createInsecure(), {
        'grpc.use_local_subchannel_pool': 1,
      })
      const metadata = new grpc.Metadata()
      metadata.set('authorization', `Bearer ${token}`)
      const call = client.makeBidiStreamRequest(RunnerServiceService.connect.path, raw, raw, metadata)
      call.on('error', () => {})
      stream = new Stream((bytes) => call.write(bytes), `s_${from + i}`, capacity)
      call.on('data', (bytes) => stream.receive(bytes))
      stream.hello()
    } else {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/runner/v1/stream`, 'signalbox.v1+proto', {
        headers: { authorization: `Bearer ${token}` },
        perMessageDeflate: false,
      })
      socket.on('error', () => {})
      stream = new Stream((bytes) => socket.send(bytes), `s_${from + i}`, capacity)
      socket.on('message', (bytes) => stream.receive(bytes))
      socket.on('open', () => stream.hello())
    }
    streams.push(stream)
    welcomes.push(
      new Promise((resolve) => {
        stream.welcomed = () => {
          stream.send('want', { credits: work ? capacity : 0 })
          resolve()
        }
      }),
    )
    if (i % 200 === 199) await Promise.all(welcomes.slice(-200))
  }
  await Promise.all(welcomes)
}

serve({
  open,
  /** From here on every job writes so many bytes of log. */
  async log({ bytes }) {
    const { crc32 } = await import('node:zlib')
    logBytes = bytes
    line = Buffer.alloc(bytes, 'x')
    lineCrc = crc32(line)
  },
  talk() {
    talks = true
  },
  /** Bytes acknowledged a second, once all jobs talk. */
  async acknowledged({ jobs, seconds }) {
    while (streams.filter((stream) => stream.durable > 0).length < jobs) await sleep(20)
    const from = acknowledged
    const started = nowUs()
    await sleep(seconds * 1000)
    return (acknowledged - from) / ((nowUs() - started) / 1e6)
  },
  arm({ count }) {
    arrived = []
    finished = 0
    target = { count }
    target.promise = new Promise((resolve) => {
      target.resolve = resolve
    })
  },
  /**
   * Submits pipelines of `jobs` each so that at most `outstanding` jobs are submitted and not finished, until all
   * `pipelines` are finished. Gives lives a second.
   */
  async lives({ to, jobs, pipelines, outstanding }) {
    const started = nowUs()
    let left = pipelines
    let open = 0
    return new Promise((resolve, reject) => {
      const more = () => {
        for (; left > 0 && open + jobs <= outstanding; left--) {
          open += jobs
          submit(to).catch(reject)
        }
        if (left === 0 && open === 0) resolve((pipelines * jobs) / ((nowUs() - started) / 1e6))
      }
      jobFinished = () => {
        open--
        more()
      }
      more()
    })
  },
  /** When the last of the jobs was finished, and when each arrived. */
  async wait() {
    const at = await Promise.race([target.promise, sleep(120_000)])
    return { at, finished, arrived }
  },
})

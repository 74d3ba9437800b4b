// BullMQ on Redis that syncs its append-only file each second: from before `add` to the handler's first line.
import { spawn } from 'node:child_process'
import net from 'node:net'
import { child, freePort, inFolder, nowUs, percentile, runs, serve, sleep, summary } from '../lib.mjs'
import { peer } from './require.mjs'

const role = process.argv[2]

/** Microseconds, p50, one job every `gapMs`; undefined where BullMQ or redis-server is not installed. */
export async function pacedLatency({ count, gapMs }) {
  if (!peer('bullmq')) return undefined
  return inFolder(async (dir) => {
    const port = await freePort()
    const redis = spawn(
      'redis-server',
      ['--port', port, '--bind', '127.0.0.1', '--dir', dir, '--appendonly', 'yes', '--maxmemory-policy', 'noeviction'],
      { stdio: 'ignore' },
    )
    const missing = new Promise((resolve) => redis.once('error', () => resolve(true)))
    if (await Promise.race([missing, answers(port).then(() => false)])) return undefined
    const worker = child('peers/bullmq.mjs', ['worker'])
    const producer = child('peers/bullmq.mjs', ['producer'])
    await worker.ask('start', { port })
    await producer.ask('start', { port })
    const values = []
    for (let i = 0; i < runs + 1; i++) {
      await producer.ask('paced', { count, gapMs })
      const samples = await worker.ask('samples', { count })
      if (i > 0) values.push(percentile(samples, 0.5))
    }
    for (const one of [producer, worker]) await one.stop()
    redis.kill('SIGKILL')
    return summary(values)
  })
}

if (role === 'worker') {
  const samples = []
  serve({
    async start({ port }) {
      const { Worker } = peer('bullmq')
      const handle = async (job) => void samples.push(nowUs() - job.data.at)
      await new Worker('q', handle, { connection: { host: '127.0.0.1', port }, concurrency: 10 }).waitUntilReady()
    },
    async samples({ count }) {
      while (samples.length < count) await sleep(5)
      return samples.splice(0)
    },
  })
}

if (role === 'producer') {
  let queue
  serve({
    start({ port }) {
      const { Queue } = peer('bullmq')
      queue = new Queue('q', { connection: { host: '127.0.0.1', port } })
    },
    async paced({ count, gapMs }) {
      const added = []
      for (let i = 0; i < count; i++) {
        added.push(queue.add('j', { at: nowUs(), pad: 'p'.repeat(200) }))
        await sleep(gapMs)
      }
      await Promise.all(added)
    },
  })
}

async function answers(port) {
  for (;;) {
    const up = await new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1')
      socket.once('connect', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', () => resolve(false))
    })
    if (up) return
    await sleep(50)
  }
}

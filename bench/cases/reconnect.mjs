// 5,000 gRPC runners come back: from the first connection until the last can be given a job, beside opening as many bare
// streams.
import { child, idleStreams as count, inFolder, repeat, runs, sleep } from '../lib.mjs'

const times = Math.min(3, runs)

export async function* measure() {
  yield {
    figure: `${count.toLocaleString('en')} gRPC runners reconnect`,
    unit: 's',
    ours: await inFolder(product),
    floor: await repeat(bare, times),
    against: 'opening bare streams',
    bar: 1.5,
    stretch: 1.2,
  }
}

async function bare() {
  const server = child('floors/grpc-push.mjs', ['server'])
  const client = child('floors/grpc-push.mjs', ['client'])
  const port = await server.ask('start')
  await client.ask('open', { port, streams: 50 })
  const started = performance.now()
  await client.ask('open', { port, streams: count })
  const seconds = (performance.now() - started) / 1000
  await client.stop()
  await server.stop()
  return seconds
}

async function product(dir) {
  const server = child('product/server.mjs')
  const { grpc } = await server.ask('start', { dir })
  const [runner] = await server.ask('runners', { count: 1 })
  const open = async () => {
    const runners = child('product/runners.mjs')
    const to = { carrier: 'grpc', url: grpc, token: runner.token, work: true }
    await runners.ask('open', { ...to, count: 50, from: count })
    const started = performance.now()
    await runners.ask('open', { ...to, count })
    await waiters(server, (now) => now === count + 50)
    const seconds = (performance.now() - started) / 1000
    await runners.stop()
    await waiters(server, (now) => now === 0)
    return seconds
  }
  // The first time their rows are made.
  await open()
  const seconds = await repeat(open, times)
  await server.ask('stop')
  await server.stop()
  return seconds
}

async function waiters(server, wanted) {
  while (!wanted((await server.ask('stat')).waiters)) await sleep(5)
}

// Resident memory of the coordinator for each idle runner on a stream, beside bare streams of the same library.
import { child, idleStreams as count, inFolder, repeat, runs } from '../lib.mjs'

const kib = 1024
const times = Math.min(3, runs)
const execArgv = ['--expose-gc']

export async function* measure() {
  yield {
    figure: `memory an idle gRPC runner, ${count} of them`,
    unit: 'KiB',
    ours: await repeat(() => product('grpc'), times),
    floor: await repeat(() => bare('floors/grpc-push.mjs'), times),
    against: 'bare gRPC stream',
    bar: 1.5,
    stretch: 1.25,
  }
  yield {
    figure: `memory an idle WebSocket runner, ${count} of them`,
    unit: 'KiB',
    ours: await repeat(() => product('websocket'), times),
    floor: await repeat(() => bare('floors/ws-hold.mjs'), times),
    against: 'bare ws connection',
    bar: 2,
    stretch: 1.5,
  }
}

async function bare(file) {
  const server = child(file, ['server'], { execArgv })
  const client = child(file, ['client'])
  const port = await server.ask('start')
  await client.ask('open', { port, streams: 50 })
  const before = await server.ask('memory')
  await client.ask('open', { port, streams: count })
  const after = await server.ask('memory')
  await client.stop()
  await server.stop()
  return (after - before) / kib / count
}

async function product(carrier) {
  return inFolder(async (dir) => {
    const server = child('product/server.mjs', [], { execArgv })
    const { http, grpc } = await server.ask('start', { dir })
    const [runner] = await server.ask('runners', { count: 1 })
    const clients = child('product/runners.mjs')
    const to = { carrier, url: carrier === 'grpc' ? grpc : http, token: runner.token, work: true }
    await clients.ask('open', { ...to, count: 50 })
    const before = await server.ask('memory')
    await clients.ask('open', { ...to, count, from: 50 })
    const after = await server.ask('memory')
    await clients.stop()
    await server.stop()
    return (after - before) / kib / count
  })
}

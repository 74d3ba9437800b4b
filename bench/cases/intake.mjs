// Log bytes a second that come in over streams: 16 jobs, chunks of 4 KiB, acknowledged when they are on disk; beside plain
// appends to a file, synced every fifty.
import { child, inFolder, repeat, scaled } from '../lib.mjs'

const jobs = 16
const config = JSON.stringify(
  Object.fromEntries(Array.from({ length: jobs }, (_, i) => [`job-${i}`, { script: 'true' }])),
)

export async function* measure() {
  yield {
    figure: `log intake over streams, ${jobs} jobs, 4 KiB chunks, durable`,
    unit: 'B/s',
    ours: await inFolder(product),
    floor: await inFolder(bare),
    against: 'appends to a file, fdatasync every 50',
    bar: 0.3,
    stretch: 0.6,
    better: 'more',
  }
}

async function bare(dir) {
  const file = child('floors/append-file.mjs')
  await file.ask('append', { dir, syncs: scaled(50, 3) })
  const rate = await repeat(() => file.ask('append', { dir, syncs: scaled(150, 5) }))
  await file.stop()
  return rate
}

async function product(dir) {
  const server = child('product/server.mjs')
  const { http, grpc, token } = await server.ask('start', { dir, toml: '[limits]\ntrace_bytes = 4000000000\n' })
  const [runner] = await server.ask('runners', { count: 1 })
  const project = await server.ask('project', { name: 'intake', config })
  const runners = child('product/runners.mjs')
  await runners.ask('talk')
  await runners.ask('open', { carrier: 'grpc', url: grpc, token: runner.token, count: jobs, work: true })
  const submitter = child('product/submitter.mjs')
  await submitter.ask('burst', { to: { url: http, token, project }, count: 1, atOnce: 1 })
  await submitter.stop()
  await runners.ask('acknowledged', { jobs, seconds: scaled(1, 0.2) })
  const rate = await repeat(() => runners.ask('acknowledged', { jobs, seconds: scaled(1, 0.2) }))
  await runners.stop()
  await server.ask('stop')
  await server.stop()
  return rate
}

// Appends of 4 KiB to the logs of 64 jobs over REST, each answered when it is on disk, beside Express that appends to a file
// and syncs it.
import { child, inFolder, repeat, scaled } from '../lib.mjs'

const jobs = scaled(64, 4)
const config = JSON.stringify(
  Object.fromEntries(Array.from({ length: jobs }, (_, i) => [`job-${i}`, { script: 'true' }])),
)

export async function* measure() {
  yield {
    figure: `trace PATCHes a second, 4 KiB, ${jobs} jobs, durable`,
    unit: '1/s',
    ours: await inFolder(product),
    floor: await inFolder(bare),
    against: 'Express 5 PATCH to a file + fdatasync',
    bar: 0.6,
    stretch: 0.8,
    better: 'more',
  }
}

async function bare(dir) {
  const server = child('floors/express-patch.mjs')
  const patcher = child('product/patcher.mjs')
  const port = await server.ask('start', { dir, jobs })
  const some = Array.from({ length: jobs }, (_, i) => ({ id: i + 1, token: 'x'.repeat(300) }))
  return measured(patcher, { port, jobs: some }, server)
}

async function product(dir) {
  const server = child('product/server.mjs')
  const { http, token } = await server.ask('start', { dir, toml: '[poll]\nhold = 0\nrate = 0\n' })
  const [runner] = await server.ask('runners', { count: 1 })
  const project = await server.ask('project', { name: 'patches', config })
  const submitter = child('product/submitter.mjs')
  await submitter.ask('burst', { to: { url: http, token, project }, count: 1, atOnce: 1 })
  await submitter.stop()
  const patcher = child('product/patcher.mjs')
  const port = Number(new URL(http).port)
  const taken = await patcher.ask('take', { port, token: runner.token, count: jobs })
  return measured(patcher, { port, jobs: taken }, server)
}

async function measured(patcher, to, server) {
  await patcher.ask('append', { ...to, seconds: scaled(1, 0.2) })
  const rate = await repeat(() => patcher.ask('append', { ...to, seconds: scaled(1, 0.2) }))
  await patcher.stop()
  await server.ask('stop')
  await server.stop()
  return rate
}

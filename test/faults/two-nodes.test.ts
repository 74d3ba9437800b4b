/**
 * Two coordinators, each a process of its own, on one PostgreSQL, one bucket and one folder of repositories, behind the
 * balancers of `deploy/`: what one has begun the other goes on with, when that one is killed in the middle.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import pg from 'pg'
import { expect, it } from 'vitest'
import { git } from '../git/support/git.js'
import { eventually } from '../support/eventually.js'
import { postgresPlace } from '../support/postgres-place.js'
import { Coordinator, program } from '../support/processes.js'
import { ObjectStore } from '../support/s3.js'

const balancers = {
  haproxy: { file: 'haproxy.cfg', command: (file: string) => ['haproxy', '-db', '-f', file] },
  nginx: {
    file: 'nginx.conf',
    command: (file: string) => ['nginx', '-c', file, '-e', 'stderr', '-g', `daemon off; pid ${file}.pid;`],
  },
}

function isThere(tool: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${tool}`])
    return true
  } catch {
    return false
  }
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Both nodes, what they share, and a balancer before them. */
class Site implements AsyncDisposable {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-site-'))
  readonly #children: ChildProcess[] = []
  readonly #closers: (() => Promise<unknown>)[] = []
  a!: Coordinator
  b!: Coordinator
  db!: pg.Client
  url = ''
  grpcUrl = ''

  static async start(kind: keyof typeof balancers): Promise<Site> {
    const site = new Site()
    const place = await postgresPlace()
    const bucket = await ObjectStore.start()
    site.db = new pg.Client({ connectionString: place.url })
    await site.db.connect()
    const [http, grpc] = [await freePort(), await freePort()]
    site.url = `http://127.0.0.1:${http}`
    site.grpcUrl = `grpc://127.0.0.1:${grpc}`
    const { endpoint, bucket: name } = bucket.settings
    const config = path.join(site.folder, 'signalbox.toml')
    const keys = 'access_key_id = "S3RVER"\nsecret_access_key = "S3RVER"'
    writeFileSync(
      config,
      `repositories = "${site.folder}/repositories"\n[s3]\nbucket = "${name}"\nendpoint = "${endpoint}"\n${keys}\n`,
    )
    const flags = ['--database', place.url, '--external-url', site.url, '--config', config]
    site.a = await Coordinator.start({ flags })
    site.b = await Coordinator.start({ flags, sharing: site.a.dataDir })
    site.#closers.push(
      () => site.a[Symbol.asyncDispose](),
      () => site.b[Symbol.asyncDispose](),
      () => site.db.end(),
      () => bucket[Symbol.asyncDispose](),
      () => place.remove(),
    )
    await site.#balance(kind, http, grpc)
    return site
  }

  async #balance(kind: keyof typeof balancers, http: number, grpc: number): Promise<void> {
    const { file, command } = balancers[kind]
    const ports: Record<string, string> = {
      18080: new URL(this.a.url).port,
      28080: new URL(this.b.url).port,
      18081: new URL(this.a.grpcUrl.replace('grpc', 'http')).port,
      28081: new URL(this.b.grpcUrl.replace('grpc', 'http')).port,
      8080: String(http),
      8081: String(grpc),
    }
    const text = readFileSync(`deploy/balancers/${file}`, 'utf8').replace(/\b[12]?808[01]\b/g, (port) => ports[port]!)
    const own = path.join(this.folder, file)
    writeFileSync(own, text)
    const [name, ...args] = command(own)
    this.spawn(name!, args)
    await eventually(async () => expect((await fetch(`${this.url}/-/ready`)).status).toBe(200))
  }

  spawn(name: string, args: string[], env: Record<string, string> = {}): ChildProcess {
    const stdio = process.env.DEBUG_RUNNER ? 'inherit' : 'ignore'
    const child = spawn(name, args, { cwd: this.folder, stdio, env: { ...process.env, ...env } })
    this.#children.push(child)
    return child
  }

  async runner(transport: 'websocket' | 'grpc' | 'poll', tag: string): Promise<void> {
    const { stdout } = await this.a.signalbox('runner', 'create', '--description', transport, '--tags', tag)
    const url = transport === 'grpc' ? this.grpcUrl : this.url
    const work = path.join(this.folder, `work-${transport}`)
    const args = [program, 'runner', 'start', '--url', url, '--transport', transport, '--work-dir', work]
    this.spawn(process.execPath, args, { SIGNALBOX_RUNNER_TOKEN: stdout.trim() })
  }

  /** The one node of this name, and the other. */
  async nodes(name: string): Promise<{ owner: Coordinator; other: Coordinator }> {
    const nodes = await this.a.api<{ id: string; self: boolean }[]>('GET', '/api/signalbox/v1/nodes')
    return nodes.find(({ self }) => self)!.id === name
      ? { owner: this.a, other: this.b }
      : { owner: this.b, other: this.a }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGTERM')
      await gone
    }
    for (const close of this.#closers) await close()
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

const lines = 60
const script = [
  `for i in $(seq 1 ${lines}); do echo "line $i of $CI_JOB_NAME"; sleep 0.1; done`,
  'echo $CI_JOB_NAME > out.txt',
]
const job = (tag: string) => ({ tags: [tag], script, artifacts: { paths: ['out.txt'] } })

interface Job {
  id: number
  name: string
  status: string
}

const kinds = process.env.SIGNALBOX_TEST_LONG ? (['haproxy', 'nginx'] as const) : (['haproxy'] as const)

for (const kind of kinds) {
  it.skipIf(!isThere(kind))(`goes on with jobs, logs and artifacts of a node that is killed (${kind})`, async () => {
    await using site = await Site.start(kind)
    const { a, b, db } = site
    await Promise.all([site.runner('websocket', 'ws'), site.runner('grpc', 'grpc'), site.runner('poll', 'poll')])
    await a.api('POST', '/api/v4/projects', { name: 'app' })
    const config = { ws: job('ws'), grpc: job('grpc'), poll: job('poll') }
    const work = await b.repository('root/app', { '.gitlab-ci.yml': JSON.stringify(config) })
    // Pushed at one node, run and watched wherever the balancer leads.
    await git(work, 'push', '--quiet', 'origin', 'main')
    const jobs = async (box: Coordinator) => box.api<Job[]>('GET', '/api/v4/projects/1/jobs')
    const log = async (box: Coordinator, id: number) => {
      const headers = { 'PRIVATE-TOKEN': box.token }
      return (await fetch(`${box.url}/api/v4/projects/1/jobs/${id}/trace`, { headers })).text()
    }
    await eventually(async () => expect((await jobs(a)).map(({ status }) => status)).toEqual(Array(3).fill('running')))
    const all = await jobs(a)
    const ws = all.find(({ name }) => name === 'ws')!
    const lease = await db.query<{ node: string }>('select node from leases where job_id = $1', [ws.id])
    const { owner, other } = await site.nodes(lease.rows[0]!.node)
    // What the owner has taken in is read, and followed, at the other node.
    await eventually(async () => expect(await log(other, ws.id)).toMatch(/line 10 of ws\n/))
    const followed = other.signalbox('job', 'log', '-f', String(ws.id))

    await owner.kill()
    await eventually(async () =>
      expect((await jobs(other)).map(({ status }) => status)).toEqual(Array(3).fill('success')),
    )
    for (const { id, name } of all) {
      const text = await log(other, id)
      const told = text.split('\n').filter((line) => /^line \d+ of/.test(line))
      expect(told).toEqual(Array.from({ length: lines }, (_, i) => `line ${i + 1} of ${name}`))
      const headers = { 'PRIVATE-TOKEN': other.token }
      const artifact = await fetch(`${other.url}/api/v4/projects/1/jobs/${id}/artifacts/out.txt`, { headers })
      expect(await artifact.text()).toBe(`${name}\n`)
    }
    expect((await followed).stdout).toContain(`line ${lines} of ws`)
    const { rows } = await db.query('select job_id from traces where incomplete = 1 or mismatch = 1')
    expect(rows).toEqual([])

    // A cancel reaches a runner through the node that it is not connected to.
    await owner.up()
    const slow = { slow: { tags: ['ws'], script: 'echo begun; sleep 600' } }
    writeFileSync(path.join(work, '.gitlab-ci.yml'), JSON.stringify(slow))
    await git(work, 'commit', '--quiet', '--all', '--message', 'Slow')
    await git(work, 'push', '--quiet', 'origin', 'main')
    const newest = async (box: Coordinator) => (await jobs(box))[0]!
    await eventually(async () => expect(await newest(other)).toMatchObject({ name: 'slow', status: 'running' }))
    const { id } = await newest(other)
    const { rows: held } = await db.query<{ node: string }>('select node from leases where job_id = $1', [id])
    const now = await site.nodes(held[0]!.node)
    await now.other.signalbox('job', 'cancel', String(id))
    await eventually(async () => expect((await newest(now.other)).status).toBe('canceled'))
  })
}

import { createHash } from 'node:crypto'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import net from 'node:net'
import { createApi } from '../../../src/api/app.js'
import type { CoreSettings } from '../../../src/core/core.js'
import { createRunner } from '../../../src/core/operations/create-runner.js'
import type { Pipeline } from '../../../src/core/pipeline.js'
import type { Project } from '../../../src/core/project.js'
import type { Engine } from '../../../src/core/store/write.js'
import { createShim, type Shim, type ShimOptions } from '../../../src/shim/app.js'
import { adminToken, startTestCore, type TestCore } from '../../support/core.js'

export interface Answer {
  status: number
  headers: Headers
  text: string
  /** The body as JSON; undefined if it is empty. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any
}

export interface Sent {
  headers?: Record<string, string>
  /** Sent as JSON. */
  json?: unknown
  /** Sent as a form. */
  form?: Record<string, string> | [string, string][]
  body?: string | Uint8Array | FormData
  signal?: AbortSignal
}

/** A shim and our own API on a real core, behind a real server. */
export class ShimBox implements AsyncDisposable {
  readonly core: TestCore
  readonly shim: Shim
  readonly server: http.Server
  url = ''

  constructor(core: TestCore, options: ShimOptions) {
    this.core = core
    this.shim = createShim(core.core, options)
    const api = createApi(core.core, core.tasks)
    this.server = http.createServer((req, res) => {
      if (req.url?.startsWith('/api/signalbox/v1')) api.handle(req, res)
      else if (!req.url?.includes('/') || /^\/(api|oauth|\.well-known)\//.test(req.url)) this.shim.handle(req, res)
      else void this.shim.rawLog(req, res).then((answered) => answered || res.writeHead(404).end())
    })
    this.server.on('checkContinue', (req, res) => this.shim.handleExpecting(req, res))
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    this.url = `http://127.0.0.1:${this.port}`
    return this
  }

  /** A request below `/api/v4`, or to a whole path. */
  async send(method: string, path: string, sent: Sent = {}): Promise<Answer> {
    const headers: Record<string, string> = { ...sent.headers }
    let body = sent.body
    if ('json' in sent) {
      headers['Content-Type'] ??= 'application/json'
      body = JSON.stringify(sent.json)
    }
    if (sent.form) {
      headers['Content-Type'] ??= 'application/x-www-form-urlencoded'
      body = new URLSearchParams(sent.form).toString()
    }
    const target = path.startsWith('/api/') ? path : `/api/v4${path}`
    const response = await fetch(this.url + target, {
      method,
      headers,
      ...(body === undefined ? {} : { body: body as string }),
      ...(sent.signal ? { signal: sent.signal } : {}),
      redirect: 'manual',
    })
    const text = await response.text()
    const isJson = /json/.test(response.headers.get('content-type') ?? '')
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson && text !== '' ? JSON.parse(text) : undefined,
    }
  }

  /** The same as the administrator. */
  admin(method: string, path: string, sent: Sent = {}): Promise<Answer> {
    return this.send(method, path, { ...sent, headers: { 'PRIVATE-TOKEN': adminToken, ...sent.headers } })
  }

  /** Sends bytes as they are, and gives all that comes until the other side closes or `until` is in it. */
  raw(bytes: string | Buffer, until?: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(this.port, '127.0.0.1')
      let got = ''
      socket.setEncoding('latin1')
      socket.on('data', (text) => {
        got += String(text)
        if (until?.test(got)) socket.destroy()
      })
      socket.on('error', (error: NodeJS.ErrnoException) => (got === '' ? reject(error) : undefined))
      socket.on('close', () => resolve(got))
      socket.write(bytes)
    })
  }

  /** A project with this configuration and one pipeline of it. */
  run(config: string | object, path?: string): Promise<{ project: Project; pipeline: Pipeline }> {
    return this.core.run(config, path)
  }

  /** A runner's token. */
  async runnerToken(options: Partial<Parameters<typeof createRunner>[1]> = {}): Promise<string> {
    return (await createRunner(this.core.core, { type: 'instance', ...options })).token
  }

  /** A poll like GitLab Runner's. */
  poll(token: string, more: Record<string, unknown> = {}, sent: Sent = {}): Promise<Answer> {
    return this.send('POST', '/jobs/request', { json: { ...realPoll, token, ...more }, ...sent })
  }

  /** What the store holds, as one text: equal before and after means that no row has changed. */
  async rows(): Promise<string> {
    return JSON.stringify([...(await this.rowsByTable())])
  }

  /** The same for each table. */
  async rowsByTable(): Promise<Map<string, string>> {
    const { db } = this.core.core.store.read
    const hashes = new Map<string, string>()
    for (const table of tables) {
      const rows = await db.selectFrom(table).selectAll().execute()
      const text = JSON.stringify(rows.map((row) => JSON.stringify(row)).sort())
      hashes.set(table, createHash('sha256').update(text).digest('hex'))
    }
    return hashes
  }

  /** Does something and gives the tables whose rows it has changed, with what it gave. */
  async changes<T>(act: () => Promise<T>): Promise<{ answer: T; tables: string[] }> {
    const before = await this.rowsByTable()
    const answer = await act()
    const after = await this.rowsByTable()
    return { answer, tables: [...after.keys()].filter((table) => after.get(table) !== before.get(table)) }
  }

  async job(id: number) {
    return this.core.core.store.read.db.selectFrom('jobs').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
  }

  async leases(jobId: number) {
    const { db } = this.core.core.store.read
    return db.selectFrom('leases').selectAll().where('job_id', '=', jobId).orderBy('id').execute()
  }

  async log(jobId: number): Promise<string> {
    const row = await this.core.core.store.read.db
      .selectFrom('traces')
      .select('length')
      .where('job_id', '=', jobId)
      .executeTakeFirst()
    return (await this.core.core.traces.read(jobId, 0, row?.length ?? 0)).toString('latin1')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shim.close()
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
    await this.core[Symbol.asyncDispose]()
  }
}

export async function startShimBox(
  engine: Engine,
  options: ShimOptions = {},
  settings: Partial<CoreSettings> = {},
): Promise<ShimBox> {
  return new ShimBox(await startTestCore(engine, settings), options).start()
}

const tables = [
  'groups',
  'users',
  'access_tokens',
  'passwords',
  'password_links',
  'sessions',
  'audit_entries',
  'old_paths',
  'projects',
  'job_token_allowances',
  'merge_requests',
  'merge_train_cars',
  'pipelines',
  'stages',
  'jobs',
  'job_needs',
  'payloads',
  'dotenv_variables',
  'variables',
  'lanes',
  'runners',
  'runner_projects',
  'runner_managers',
  'registration_tokens',
  'leases',
  'traces',
  'artifacts',
  'events',
] as const

/** What GitLab Runner 19.4 with the shell executor says of itself. */
export const realPoll = {
  system_id: 's_0123456789ab',
  info: {
    name: 'gitlab-runner',
    version: '19.4.0',
    revision: 'd79f3e7b',
    platform: 'linux',
    architecture: 'amd64',
    executor: 'shell',
    shell: 'bash',
    features: {
      variables: true,
      image: false,
      artifacts: true,
      cache: true,
      upload_multiple_artifacts: true,
      refspecs: true,
      masking: true,
      trace_reset: true,
      trace_checksum: true,
      trace_size: true,
      vault_secrets: true,
      cancelable: true,
      return_exit_code: true,
      cancel_gracefully: true,
      two_phase_job_commit: true,
      job_inputs: true,
      proxy: false,
    },
    config: { gpus: '' },
  },
}

/** The same runner without the second phase: it works on a job from the moment that it gets it. */
export const onePhaseInfo = { ...realPoll.info, features: { ...realPoll.info.features, two_phase_job_commit: false } }

/** Goes on when `holds` does: looks after each turn of the event loop. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error('what was waited for has not happened')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** A job's configuration that nothing is special about. */
export const oneJob = { test: { script: 'true' } }

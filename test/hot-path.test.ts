/**
 * What a job's life costs, counted: statements, transaction bodies, commits and messages, from `POST …/pipeline` to the
 * answer to the final report, over doors that have no socket where they need none. Unlike times, these figures are the same
 * on every machine. `hot-path.json` keeps them: a tenth more fails, and so does a tenth less until it is written down
 * (`UPDATE=1`).
 */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import Sqlite from 'better-sqlite3'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { SqliteStore } from '../src/core/store/sqlite-store.js'
import type { Engine } from '../src/core/store/write.js'
import type { RunnerMessage, ServerMessage } from '../src/gen/signalbox/runner/v1/runner.js'
import type { RunnerConnection } from '../src/transports/runner-connection.js'
import { StreamHub } from '../src/transports/stream-hub.js'
import { type ShimBox, startShimBox, until } from './shim/support/box.js'

const file = path.join(import.meta.dirname, 'hot-path.json')

/**
 * `transactions` are the statements among them that begin, mark or end one. `roundTrips`, on PostgreSQL: how often something
 * is sent to the server behind an answer that it may have waited for.
 */
type Figure = 'statements' | 'transactions' | 'roundTrips' | 'bodies' | 'commits' | 'messages'
type Counted = Record<Exclude<Figure, 'roundTrips'>, number> & { roundTrips?: number }

// On PostgreSQL a life takes so long that few must do.
describe.each([
  ['sqlite', 50, 1],
  ['sqlite', 1, 8],
  ['postgres', 50, 1],
  ['postgres', 1, 4],
] as const)('a life on %s', (engine, jobs, pipelines) => {
  test(`in pipelines of ${jobs}`, { timeout: 120_000 }, async () => {
    const name = `${engine}, ${jobs === 1 ? 'one job' : `${jobs} jobs`} a pipeline`
    const counted = await countLives(engine, jobs, pipelines)
    if (process.env.UPDATE === '1') keep(name, counted)
    const kept = (JSON.parse(readFileSync(file, 'utf8')) as Record<string, Counted>)[name]
    expect(kept, `${file} does not have "${name}": run this with UPDATE=1`).toBeDefined()
    for (const [figure, now] of Object.entries(counted)) {
      const before = kept![figure as Figure]!
      expect(now, `${figure} a life have grown`).toBeLessThanOrEqual(before * 1.1)
      expect(now, `${figure} a life have become fewer: write it down with UPDATE=1`).toBeGreaterThanOrEqual(
        before * 0.9,
      )
    }
  })
})

function keep(name: string, counted: Counted): void {
  const all = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Counted>
  writeFileSync(file, `${JSON.stringify({ ...all, [name]: counted }, null, 2)}\n`)
}

/** The mean of all lives but those of the first pipeline, which fills what a node remembers. */
async function countLives(engine: Engine, jobs: number, pipelines: number): Promise<Counted> {
  await using box = await startShimBox(engine)
  const { store } = box.core.core
  // What the tests compare of it would be counted too.
  if (store instanceof SqliteStore) {
    const { jobs, leases, traces, pipelines, projects, stages, currentJobs } = store.connection.known
    for (const table of [jobs, leases, traces, pipelines, projects, stages, currentJobs]) table.check = undefined
  }
  const hub = new StreamHub(box.core.core)
  const token = await box.runnerToken()
  const runners = Array.from({ length: jobs }, (_, i) => new MemoryRunner(hub, token, `s_${i}`))
  await until(() => runners.every((runner) => runner.ready))
  const config = Object.fromEntries(Array.from({ length: jobs }, (_, i) => [`job-${i}`, { script: 'true' }]))
  const project = await box.core.project(config)
  await onePipeline(box, project.id, jobs, runners)
  const statements = new Statements()
  const { stats } = store
  const before = { ...stats, messages: messagesOf(runners) }
  for (let i = 0; i < pipelines; i++) await onePipeline(box, project.id, jobs, runners)
  const counts = { ...statements.stop(), messages: messagesOf(runners) - before.messages }
  hub.close()
  const life = (count: number) => Number((count / (jobs * pipelines)).toFixed(2))
  return {
    statements: life(counts.statements),
    transactions: life(counts.transactions),
    ...(engine === 'postgres' ? { roundTrips: life(counts.roundTrips) } : {}),
    bodies: life(stats.bodies - before.bodies),
    commits: life(stats.commits - before.commits),
    messages: life(counts.messages),
  }
}

async function onePipeline(box: ShimBox, project: number, jobs: number, runners: MemoryRunner[]): Promise<void> {
  const from = sum(runners.map((runner) => runner.finished))
  const answer = await box.admin('POST', `/projects/${project}/pipeline?ref=main`)
  expect(answer.status).toBe(201)
  await until(() => sum(runners.map((runner) => runner.finished)) === from + jobs)
  // What follows a life belongs to it.
  await until(() => runners.every((runner) => runner.connection.free() === 1))
}

const messagesOf = (runners: MemoryRunner[]) => sum(runners.map((runner) => runner.messages))
const sum = (list: number[]) => list.reduce((a, b) => a + b, 0)

/** Counts what both drivers are asked from now on. */
class Statements {
  readonly #counts = { statements: 0, transactions: 0, roundTrips: 0 }
  /** By client of PostgreSQL: queries under way, and whether any has been answered since the last round trip began. */
  readonly #clients = new WeakMap<object, { underWay: number; answered: boolean }>()
  readonly #undo: (() => void)[] = []

  constructor() {
    const probe = new Sqlite(':memory:')
    const statement = Object.getPrototypeOf(probe.prepare('select 1')) as Record<string, unknown>
    probe.close()
    const sourceOf = (self: unknown) => (self as Sqlite.Statement).source
    for (const method of ['run', 'all', 'get']) this.#count(statement, method, sourceOf)
    const textOf = (_: unknown, query: unknown) =>
      typeof query === 'string' ? query : String((query as { text?: string }).text)
    const client = pg.Client.prototype as unknown as Record<string, unknown>
    this.#followTrips(client)
    this.#count(client, 'query', textOf)
  }

  stop(): { statements: number; transactions: number; roundTrips: number } {
    for (const undo of this.#undo.reverse()) undo()
    return this.#counts
  }

  #followTrips(owner: Record<string, unknown>): void {
    const original = owner.query as (...args: unknown[]) => unknown
    const counts = this.#counts
    const clients = this.#clients
    owner.query = function (this: object, ...args: unknown[]) {
      const client = clients.get(this) ?? { underWay: 0, answered: false }
      clients.set(this, client)
      if (client.underWay === 0 || client.answered) {
        counts.roundTrips++
        client.answered = false
      }
      client.underWay++
      const noteAnswer = () => {
        client.underWay--
        client.answered = true
      }
      const callback = args.at(-1)
      if (typeof callback === 'function') {
        const told = (...answer: unknown[]) => {
          noteAnswer()
          return callback(...answer)
        }
        return original.apply(this, [...args.slice(0, -1), told])
      }
      const answer = original.apply(this, args) as Promise<unknown>
      answer.then(noteAnswer, noteAnswer)
      return answer
    }
    this.#undo.push(() => {
      owner.query = original
    })
  }

  #count(owner: Record<string, unknown>, method: string, textOf: (self: unknown, first: unknown) => string): void {
    const original = owner[method] as (...args: unknown[]) => unknown
    const counts = this.#counts
    owner[method] = function (this: unknown, ...args: unknown[]) {
      const ofTransaction = /^\s*(begin|commit|rollback|savepoint|release)\b/i.test(textOf(this, args[0]))
      counts.statements++
      if (ofTransaction) counts.transactions++
      return original.apply(this, args)
    }
    this.#undo.push(() => {
      owner[method] = original
    })
  }
}

type RunnerBody = NonNullable<RunnerMessage['body']>

/** A runner at the end of a stream without a socket: takes one job at a time and succeeds at once. */
class MemoryRunner {
  readonly connection: RunnerConnection
  ready = false
  finished = 0
  /** Envelopes in both directions. */
  messages = 0
  #sent = 0
  #heard = 0

  constructor(hub: StreamHub, token: string, systemId: string) {
    this.connection = hub.open({
      door: 'grpc',
      remoteAddress: null,
      token,
      send: (message) => this.#hear(message),
      queuedBytes: () => 0,
      pause: () => undefined,
      resume: () => undefined,
      close: () => undefined,
    })
    this.#say({
      $case: 'hello',
      value: {
        token: '',
        systemId,
        bootId: 'b',
        protocolMin: 1,
        protocolMax: 1,
        name: 'counted',
        version: '1',
        revision: '',
        platform: 'linux',
        architecture: 'amd64',
        executor: 'shell',
        features: ['cancel_gracefully'],
        labels: {},
        capacity: 1,
        running: [],
        protocolFeatures: [],
      },
    })
  }

  /** Not before the caller has ended, as over a network. */
  #say(body: RunnerBody): void {
    this.messages++
    const message = { seq: ++this.#sent, ack: this.#heard, body }
    setImmediate(() => this.connection.receive(message, 100))
  }

  #hear({ seq, body }: ServerMessage): void {
    this.messages++
    this.#heard = seq
    switch (body?.$case) {
      case 'welcome':
        this.ready = true
        this.#say({ $case: 'want', value: { credits: 1 } })
        return
      case 'offer': {
        const { offerId, jobId, fence } = body.value
        this.#say({ $case: 'accept', value: { offerId, jobId, fence } })
        return
      }
      case 'leaseState': {
        const { jobId, fence } = body.value.leases[0]!
        const end = { revision: 1, state: 'JOB_STATE_SUCCESS', failureReason: '', message: '' }
        this.#say({ $case: 'stateUpdate', value: { jobId, fence, ...end, logLength: 0, logCrc32: 0 } as never })
        this.#say({ $case: 'want', value: { credits: 1 } })
        return
      }
      case 'stateAck':
        this.finished++
    }
  }
}

/**
 * Random lives of a small installation on the engines themselves: pipelines, runners that are honest, slow, doubled or
 * gone, people who cancel and retry, time that passes. After every step the rules that must always hold are asked of the
 * store. The simulator (`test/sim`) goes much further, but not to PostgreSQL.
 */
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { type Selectable, sql } from 'kysely'
import { expect, it } from 'vitest'
import { SignalboxError } from '../../src/core/errors.js'
import { is, type JobStatus } from '../../src/core/lifecycle/job-machine.js'
import { compositeStatus } from '../../src/core/lifecycle/pipeline-status.js'
import { acceptLease } from '../../src/core/operations/accept-lease.js'
import { appendTrace } from '../../src/core/operations/append-trace.js'
import { cancelJob } from '../../src/core/operations/cancel-job.js'
import { cancelPipeline } from '../../src/core/operations/cancel-pipeline.js'
import { finishJob } from '../../src/core/operations/finish-job.js'
import { playJob } from '../../src/core/operations/play-job.js'
import { recoverNode } from '../../src/core/operations/prepare-node.js'
import { renewLeases } from '../../src/core/operations/renew-leases.js'
import { retryJob } from '../../src/core/operations/retry-job.js'
import { retryPipeline } from '../../src/core/operations/retry-pipeline.js'
import { voidOffer } from '../../src/core/operations/void-offer.js'
import type { Offer } from '../../src/core/payload/offer.js'
import { processPipeline } from '../../src/core/steps/process-pipeline.js'
import type { Database } from '../../src/core/store/schema.js'
import type { Engine, Store } from '../../src/core/store/write.js'
import { startTestCore, type TestCore, type TestRunner } from '../support/core.js'

const configs: object[] = [
  { one: { script: 'x' } },
  {
    stages: ['a', 'b', 'c'],
    a1: { stage: 'a', script: 'x', retry: 1 },
    a2: { stage: 'a', script: 'x', allow_failure: true },
    b1: { stage: 'b', script: 'x', needs: ['a1'] },
    b2: { stage: 'b', script: 'x', when: 'on_failure' },
    c1: { stage: 'c', script: 'x', when: 'always' },
  },
  {
    stages: ['a', 'b'],
    m: { stage: 'a', script: 'x', when: 'manual' },
    gate: { stage: 'a', script: 'x', when: 'manual', allow_failure: false },
    p: { stage: 'a', script: 'x', parallel: 2, tags: ['t'] },
    late: { stage: 'b', script: 'x', when: 'delayed', start_in: '30 seconds' },
    end: { stage: 'b', script: 'x' },
  },
  {
    stages: ['a', 'b'],
    wide: { stage: 'a', script: 'x', parallel: 3 },
    may: { stage: 'a', script: 'x', allow_failure: true },
    early: { stage: 'b', script: 'x', needs: ['may'] },
    late: { stage: 'b', script: 'x' },
  },
]

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pipeline' as const), config: fc.nat(configs.length - 1) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('request' as const), by: fc.nat(2), door: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), by: fc.nat(2), credits: fc.nat(3) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('accept' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('refuse' as const), which: fc.nat() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      which: fc.nat(),
      bytes: fc.nat(20),
      skew: fc.integer({ min: -3, max: 3 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('finish' as const), which: fc.nat(), ok: fc.boolean(), lie: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('renew' as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cancel' as const), which: fc.nat(), force: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cancelPipeline' as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('retry' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('retryPipeline' as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('play' as const), which: fc.nat() }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('time' as const), ms: fc.constantFrom(500, 5000, 11_000, 61_000, 700_000) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** The tables that the rules are about, each whole and by its first column. */
interface Picture {
  jobs: Selectable<Database['jobs']>[]
  leases: Selectable<Database['leases']>[]
  traces: Selectable<Database['traces']>[]
  payloads: Selectable<Database['payloads']>[]
  pipelines: Selectable<Database['pipelines']>[]
  stages: Selectable<Database['stages']>[]
  projects: Selectable<Database['projects']>[]
  lanes: Selectable<Database['lanes']>[]
}
const tables: (keyof Picture)[] = ['jobs', 'leases', 'traces', 'payloads', 'pipelines', 'stages', 'projects', 'lanes']

/** Everything at one moment: nothing comes between two reads, such as the end of a job whose log is whole now. */
async function takePicture(store: Store): Promise<Picture> {
  if (store.engine === 'postgres') {
    const columns = tables.map(
      (table) => sql`(select coalesce(json_agg(t), '[]') from (select * from ${sql.table(table)} order by 1) t)`,
    )
    const { rows } =
      await sql<Picture>`select ${sql.join(columns.map((each, i) => sql`${each} as ${sql.ref(tables[i]!)}`))}`.execute(
        store.read.db,
      )
    return rows[0]!
  }
  return store.write(async ({ db }) => {
    const all = tables.map(async (table) => [table, await db.selectFrom(table).selectAll().orderBy(sql`1`).execute()])
    return Object.fromEntries(await Promise.all(all))
  })
}

const doors = ['websocket', 'rest_two_phase', 'rest'] as const

class Life {
  readonly offers: { offer: Offer; by: TestRunner }[] = []
  readonly acknowledged = new Map<number, Buffer>()
  #before = new Map<number, { status: JobStatus; retried: number }>()

  constructor(
    readonly box: TestCore,
    readonly runners: TestRunner[],
  ) {}

  async act(step: Step): Promise<void> {
    try {
      await this.#act(step)
    } catch (error) {
      // Refusals are answers; anything else is a fault.
      if (!(error instanceof SignalboxError) || error.code === 'internal') throw error
    }
  }

  async #act(step: Step): Promise<void> {
    const { core } = this.box
    switch (step.do) {
      case 'pipeline': {
        const path = `g/p${step.config}`
        const { project } = await this.#project(path, step.config)
        await this.box.pipeline({ id: project } as never)
        return
      }
      case 'request': {
        const by = this.runners[step.by]!
        const { offer } = await by.request({ door: doors[step.door]! })
        if (offer) this.offers.push({ offer, by })
        return
      }
      case 'wait': {
        const by = this.runners[step.by]!
        const waiter = by.wait(step.credits, {
          deliver: (offer) => {
            this.offers.push({ offer, by })
            return true
          },
        })
        await core.store.write(async () => undefined)
        core.dispatcher.remove(waiter)
        return
      }
      case 'accept': {
        const held = this.#offer(step.which)
        if (held) await acceptLease(core, { ...held.offer, managerId: held.by.manager.id })
        return
      }
      case 'refuse': {
        const held = this.#offer(step.which)
        if (held) await voidOffer(core, held.offer, 'refused')
        return
      }
      case 'append': {
        const held = this.#offer(step.which)
        if (!held) return
        const { jobId, fence } = held.offer
        const known = this.acknowledged.get(jobId) ?? Buffer.alloc(0)
        const offset = Math.max(0, known.length + step.skew)
        const data = Buffer.alloc(step.bytes, 65 + (known.length % 26))
        const { length } = await appendTrace(core, { jobId, fence, offset, data, overlap: 'skip' })
        const grown = Buffer.concat([known, data.subarray(Math.max(0, known.length - offset))])
        expect(length).toBe(grown.length)
        this.acknowledged.set(jobId, grown)
        return
      }
      case 'finish': {
        const held = this.#offer(step.which)
        if (!held) return
        const log = this.acknowledged.get(held.offer.jobId) ?? Buffer.alloc(0)
        await finishJob(core, {
          ...held.offer,
          report: {
            state: step.ok ? 'success' : 'failed',
            exitCode: step.ok ? null : 1,
            failureReason: step.ok ? null : 'script_failure',
            message: null,
            logLength: log.length + (step.lie ? 7 : 0),
            logCrc32: crc32(log),
          },
        })
        return
      }
      case 'renew': {
        const held = this.#offer(step.which)
        if (held) await renewLeases(core, held.by.manager.id, [held.offer])
        return
      }
      case 'cancel':
        return void (await cancelJob(core, { jobId: await this.#job(step.which), force: step.force }))
      case 'cancelPipeline':
        return void (await cancelPipeline(core, { pipelineId: await this.#pipeline(step.which) }))
      case 'retry':
        return void (await retryJob(core, { jobId: await this.#job(step.which), userId: 1 }))
      case 'retryPipeline':
        return void (await retryPipeline(core, { pipelineId: await this.#pipeline(step.which), userId: 1 }))
      case 'play':
        return void (await playJob(core, { jobId: await this.#job(step.which), userId: 1 }))
      case 'time':
        this.box.clock.raise(this.box.clock.now() + step.ms)
        await this.box.tasks.run('expire_leases')
        await this.box.tasks.run('enqueue_due_jobs')
        return
      case 'restart':
        await core.traces.close()
        await recoverNode(core)
    }
  }

  async #project(path: string, config: number): Promise<{ project: number }> {
    const known = await this.box.core.store.read.db
      .selectFrom('projects')
      .select('id')
      .where('full_path', '=', path)
      .executeTakeFirst()
    return { project: known?.id ?? (await this.box.project(configs[config]!, path)).id }
  }

  #offer(which: number) {
    return this.offers[this.offers.length - 1 - (which % Math.max(1, Math.min(this.offers.length, 6)))]
  }

  async #job(which: number): Promise<number> {
    const rows = await this.box.core.store.read.db
      .selectFrom('jobs')
      .select('id')
      .orderBy('id', 'desc')
      .limit(8)
      .execute()
    return rows[which % Math.max(1, rows.length)]?.id ?? 1
  }

  async #pipeline(which: number): Promise<number> {
    const rows = await this.box.core.store.read.db.selectFrom('pipelines').select('id').execute()
    return rows[which % Math.max(1, rows.length)]?.id ?? 1
  }

  async check(): Promise<void> {
    const { jobs, leases, traces, payloads, pipelines, stages, projects, lanes } = await takePicture(
      this.box.core.store,
    )
    for (const job of jobs) {
      const own = leases.filter((lease) => lease.job_id === job.id)
      const open = own.filter((lease) => lease.status === 'offered' || lease.status === 'held')
      const what = `job ${job.id} (${job.status})`
      // One open lease at most; the fence is its number; nobody but the first holder ever holds the job.
      expect(open.length, what).toBeLessThanOrEqual(1)
      expect(
        own.map((lease) => lease.fence),
        what,
      ).toEqual(own.map((_, i) => i + 1))
      expect(job.fence, what).toBe(own.length)
      expect(own.filter((lease) => lease.accepted_at !== null).length, what).toBeLessThanOrEqual(1)
      expect(
        open.some((lease) => lease.status === 'held'),
        what,
      ).toBe(is('executing', job.status))
      expect(job.in_queue === 1, what).toBe(job.status === 'pending' && open.length === 0)
      if (job.status === 'created') expect(own, what).toEqual([])
      // Times in order, reasons only for failures, payloads only for who may need them.
      expect(is('finished', job.status), what).toBe(job.finished_at !== null)
      expect(job.status === 'failed', what).toBe(job.failure_reason !== null)
      if (job.started_at !== null) expect(job.started_at, what).toBeGreaterThanOrEqual(job.queued_at!)
      if (job.queued_at !== null) expect(job.queued_at, what).toBeGreaterThanOrEqual(job.created_at)
      if (job.finished_at !== null && job.started_at !== null) {
        expect(job.finished_at, what).toBeGreaterThanOrEqual(job.started_at)
      }
      const kept = payloads.some((row) => row.job_id === job.id)
      expect(kept, what).toBe(job.payload_kept === 1)
      if (job.in_queue === 1) expect(kept, what).toBe(true)
      if (kept) expect(job.status === 'pending' || is('executing', job.status), what).toBe(true)
      this.#checkChange(job.id, job.status, job.retried)
      // Every acknowledged byte is there, and nothing else.
      const log = this.acknowledged.get(job.id)
      if (log) {
        expect(
          traces.find((row) => row.job_id === job.id),
          what,
        ).toMatchObject({ length: log.length, crc32: crc32(log) })
        expect((await this.box.core.traces.read(job.id, 0, log.length)).equals(log), what).toBe(true)
      }
    }
    this.#checkPipelines(pipelines, jobs)
    this.#checkStages(stages, jobs)
    this.#checkCounts(projects, leases)
    this.#checkLanes(lanes, jobs)
    expect(this.box.box.reports).toEqual([])
  }

  /** Only edges of the machine are taken, and what is final stays so. */
  #checkChange(id: number, status: JobStatus, retried: number): void {
    const before = this.#before.get(id)
    this.#before.set(id, { status, retried })
    if (!before || before.status === status) return
    expect(is('finished', before.status), `job ${id}: ${before.status} → ${status}`).toBe(false)
    expect(status === 'pending' && is('executing', before.status), `job ${id} went back to the queue`).toBe(false)
    if (before.status === 'canceling') expect(status).toBe('canceled')
  }

  #checkPipelines(pipelines: Picture['pipelines'], jobs: Picture['jobs']): void {
    for (const pipeline of pipelines) {
      const current = jobs.filter((job) => job.pipeline_id === pipeline.id && job.retried === 0)
      expect(new Set(current.map((job) => job.name)).size).toBe(current.length)
      const composite = compositeStatus(
        current.map((job) => ({ status: job.status, allowFailure: job.allow_failure === 1 })),
      )
      if (composite !== 'created' && composite !== 'pending') expect(pipeline.status).toBe(composite)
      if (is('completed', pipeline.status)) {
        expect(current.filter((job) => is('alive', job.status) && job.status !== 'created')).toEqual([])
      }
    }
  }

  #checkStages(stages: Picture['stages'], jobs: Picture['jobs']): void {
    for (const stage of stages) {
      const current = jobs.filter((job) => job.stage_id === stage.id && job.retried === 0)
      const parts = current.map((job) => ({ status: job.status, allowFailure: job.allow_failure === 1 }))
      expect(stage.status, `stage ${stage.name} of pipeline ${stage.pipeline_id}`).toBe(compositeStatus(parts))
    }
  }

  #checkCounts(projects: Picture['projects'], leases: Picture['leases']): void {
    for (const project of projects) {
      const open = leases.filter(
        (lease) =>
          lease.project_id === project.id &&
          lease.instance_runner === 1 &&
          (lease.status === 'offered' || lease.status === 'held'),
      )
      expect(project.instance_jobs).toBe(open.length)
    }
  }

  #checkLanes(lanes: Picture['lanes'], jobs: Picture['jobs']): void {
    for (const lane of lanes) {
      const first = jobs.find((job) => job.lane_id === lane.id && job.in_queue === 1)
      expect(lane.head_job_id).toBe(first?.id ?? null)
    }
  }

  /** Processing a second time, without a change between, writes nothing. */
  async checkFixpoint(): Promise<void> {
    const { core } = this.box
    // On PostgreSQL others commit meanwhile: only the events of our own transaction count.
    const own = core.store.engine === 'postgres' ? sql<boolean>`xid = pg_current_xact_id()` : sql<boolean>`true`
    for (const { id } of await core.store.read.db.selectFrom('pipelines').select('id').execute()) {
      await core.store.write(async (tx) => {
        const events = async () => (await tx.db.selectFrom('events').select('id').where(own).execute()).length
        const before = await events()
        await processPipeline(core, tx, id)
        expect(await events()).toBe(before)
      })
    }
  }
}

async function live(engine: Engine, steps: Step[]): Promise<void> {
  await using box = await startTestCore(engine)
  const life = new Life(box, [
    await box.runner({ systemId: 's_1', tags: ['t'] }),
    await box.runner({ systemId: 's_2' }),
    await box.runner({ systemId: 's_3', features: [], tags: ['t'] }),
  ])
  for (const step of steps) {
    await life.act(step)
    await life.check()
  }
  await life.checkFixpoint()
}

const long = process.env.SIGNALBOX_TEST_LONG === '1'
const steps = fc.array(step, { minLength: 10, maxLength: 60 })

it.each([
  ['sqlite', long ? 2000 : 10],
  ['postgres', long ? 200 : 5],
] as const)(
  'keeps every rule through random lives on %s',
  async (engine, numRuns) => {
    await fc.assert(
      fc.asyncProperty(steps, (list) => live(engine, list)),
      // Shrinking takes hundreds of lives; on PostgreSQL each is a database of its own.
      { numRuns, endOnFailure: engine === 'postgres' },
    )
  },
  long ? 3_600_000 : 300_000,
)

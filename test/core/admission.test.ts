/** Admission rules on the way of jobs to runners: asked outside of transactions, about jobs that are set aside. */
import { describe, expect, it } from 'vitest'
import type { AdmissionRequest, AdmissionRules, AdmissionVerdict, Decision } from '../../src/core/admission.js'
import { explainJob } from '../../src/core/operations/explain-job.js'
import { listJobEvents } from '../../src/core/store/events.js'
import { findJob } from '../../src/core/store/jobs.js'
import { judgeConcurrency } from '../../src/plugins/admission/max-concurrency/index.js'
import { TestCore } from '../support/core.js'
import { eventually } from '../support/eventually.js'
import { openTestStore } from '../support/stores.js'

type Rule = (request: AdmissionRequest) => AdmissionVerdict | Promise<AdmissionVerdict>

/** Rules that a test can change as it goes on. */
class Rules implements AdmissionRules {
  readonly asked: AdmissionRequest[] = []
  dryRun = false
  constructor(public rule: Rule | undefined) {}
  applies = () => this.rule !== undefined
  async ask(request: AdmissionRequest): Promise<Decision[]> {
    this.asked.push(request)
    return [{ ...(await this.rule!(request)), rule: 'admission.test/rule', dryRun: this.dryRun }]
  }
}

const jobs = (...names: string[]) => Object.fromEntries(names.map((name) => [name, { script: ['true'] }]))
const admit: AdmissionVerdict = { verdict: 'admit' }
const hold = (seconds = 60): AdmissionVerdict => ({ verdict: 'hold', reason: 'Not now.', seconds })

async function boxWith(rules: Rules, engine: 'sqlite' | 'postgres' = 'sqlite'): Promise<TestCore> {
  return new TestCore(await openTestStore(engine), {}, undefined, rules).start()
}

async function jobNamed(box: TestCore, name: string) {
  const { id } = await box.core.store.read.db
    .selectFrom('jobs')
    .select('id')
    .where('name', '=', name)
    .executeTakeFirstOrThrow()
  return (await findJob(box.core.store.read, id))!
}

describe.each(['sqlite', 'postgres'] as const)('an admission rule, on %s,', (engine) => {
  it('that admits lets the job through, and is written down', async () => {
    const rules = new Rules(() => admit)
    await using box = await boxWith(rules, engine)
    const waiter = (await box.runner()).wait(1)
    await box.run(jobs('unit'))
    await eventually(() => expect(waiter.offers.map(({ jobName }) => jobName)).toEqual(['unit']))
    expect(rules.asked).toMatchObject([
      {
        job: { name: 'unit', projectPath: 'acme/app', ref: 'main', tags: [] },
        runner: { type: 'instance' },
        running: { all: 0, project: 0 },
      },
    ])
    const events = await listJobEvents(box.core.store.read, waiter.offers[0]!.jobId)
    const data = events.filter(({ kind }) => kind === 'job.admission').map((event) => JSON.parse(event.data))
    expect(data).toEqual([{ rule: 'admission.test/rule', verdict: 'admit', dry_run: false }])
  })

  it('that refuses fails the job with its reason, and the runner gets the next', async () => {
    const rules = new Rules(({ job }) => (job.name === 'bad' ? { verdict: 'refuse', reason: 'Never.' } : admit))
    await using box = await boxWith(rules, engine)
    const waiter = (await box.runner()).wait(1)
    await box.run(jobs('bad', 'good'))
    await eventually(() => expect(waiter.offers.map(({ jobName }) => jobName)).toEqual(['good']))
    expect(await jobNamed(box, 'bad')).toMatchObject({
      status: 'failed',
      failureReason: 'job_router_failure',
      failureClass: 'policy',
      failureMessage: 'admission.test/rule: Never.',
    })
  })

  it('that holds leaves the job where it is until it is asked again, and says so', async () => {
    const rules = new Rules(({ job }) => (job.name === 'slow' ? hold(60) : admit))
    await using box = await boxWith(rules, engine)
    const waiter = (await box.runner()).wait(2)
    await box.run(jobs('slow', 'quick'))
    await eventually(() => expect(waiter.offers.map(({ jobName }) => jobName)).toEqual(['quick']))
    const slow = await jobNamed(box, 'slow')
    expect(slow).toMatchObject({ status: 'pending', inQueue: 1 })
    await eventually(async () => {
      const why = await explainJob(box.core, slow)
      expect(why.waitsFor).toBe('admission')
      expect(why.summary).toBe('The admission rule admission.test/rule holds it: Not now. It is asked again in 60 s.')
    })
    await box.core.dispatcher.sweep()
    const before = rules.asked.length
    rules.rule = () => admit
    box.clock.advance(60_000)
    await box.core.dispatcher.sweep()
    await eventually(() => expect(waiter.offers.map(({ jobName }) => jobName)).toEqual(['quick', 'slow']))
    expect(rules.asked.length).toBe(before + 1)
    expect(box.core.dispatcher.violations).toBe(0)
  })

  it('that takes its time holds up its own job, and no other', async () => {
    let answer: (verdict: AdmissionVerdict) => void = () => undefined
    const late = new Promise<AdmissionVerdict>((resolve) => {
      answer = resolve
    })
    const rules = new Rules(({ job }) => (job.name === 'late' ? late : admit))
    await using box = await boxWith(rules, engine)
    const waiter = (await box.runner()).wait(3)
    await box.run(jobs('late', 'one', 'two'))
    await eventually(() => expect(waiter.offers.map(({ jobName }) => jobName).toSorted()).toEqual(['one', 'two']))
    expect(waiter.free()).toBe(0)
    answer(admit)
    await eventually(() => expect(waiter.offers).toHaveLength(3))
  })

  it('that is tried only changes nothing', async () => {
    const rules = new Rules(() => ({ verdict: 'refuse', reason: 'Never.' }))
    rules.dryRun = true
    await using box = await boxWith(rules, engine)
    const waiter = (await box.runner()).wait(1)
    await box.run(jobs('unit'))
    await eventually(() => expect(waiter.offers).toHaveLength(1))
    const events = await listJobEvents(box.core.store.read, waiter.offers[0]!.jobId)
    const data = events.filter(({ kind }) => kind === 'job.admission').map((event) => JSON.parse(event.data))
    expect(data).toEqual([{ rule: 'admission.test/rule', verdict: 'refuse', reason: 'Never.', dry_run: true }])
  })

  it('is asked for polls too', async () => {
    const rules = new Rules(({ job }) => (job.name === 'held' ? hold() : admit))
    await using box = await boxWith(rules, engine)
    const runner = await box.runner()
    await box.run(jobs('held', 'free'))
    expect((await runner.request({ door: 'rest' as never })).offer?.jobName).toBe('free')
    expect(await runner.request({ door: 'rest' as never })).toEqual({ conflict: false })
  })

  it('of numbers is never overrun by jobs that are asked about at the same time', async () => {
    const rules = new Rules((request) => judgeConcurrency({ all: 3, projects: {} }, request))
    await using box = await boxWith(rules, engine)
    const waiters = await Promise.all([1, 2, 3].map(async (at) => (await box.runner({ systemId: `s_${at}` })).wait(4)))
    await box.run(jobs(...Array.from({ length: 10 }, (_, at) => `job${at}`)))
    const offered = () => waiters.flatMap(({ offers }) => offers).length
    const names = () => new Set(rules.asked.map(({ job }) => job.name)).size
    await eventually(() => expect([offered(), names()]).toEqual([3, 10]))
    const before = rules.asked.length
    box.clock.advance(10_000)
    await box.core.dispatcher.sweep()
    await eventually(() => expect(rules.asked.length).toBeGreaterThan(before))
    expect(offered()).toBe(3)
  })
})

it('what was set aside comes back when the node does: nothing of it is stored', async () => {
  const rules = new Rules(() => hold(86_400))
  await using box = await boxWith(rules)
  ;(await box.runner()).wait(1)
  await box.run(jobs('unit'))
  await eventually(() => expect(box.core.asides.ids()).toHaveLength(1))
  const again = new Rules(() => admit)
  const next = await new TestCore(box.box, {}, undefined, again).start()
  const [runner] = await next.core.store.read.db.selectFrom('runners').selectAll().execute()
  expect(runner).toBeDefined()
  const waiter = (await next.runner()).wait(1)
  await eventually(() => expect(waiter.offers.map(({ jobName }) => jobName)).toEqual(['unit']))
  await next.tasks.close()
})

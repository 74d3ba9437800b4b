import { sql } from 'kysely'
import pg from 'pg'
import { describe, expect, inject, it } from 'vitest'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { finishJob } from '../../../src/core/operations/finish-job.js'
import { playJob } from '../../../src/core/operations/play-job.js'
import { prioritizeJob } from '../../../src/core/operations/prioritize-job.js'
import { updateRunner } from '../../../src/core/operations/update-runner.js'
import { voidOffer } from '../../../src/core/operations/void-offer.js'
import type { Offer } from '../../../src/core/payload/offer.js'
import { startTestCore, type TestCore, type TestRunner } from '../../support/core.js'
import { eventually } from '../../support/eventually.js'
import { onBothEngines } from '../../support/stores.js'

const jobs = (count: number, more: object = {}) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`j${i + 1}`, { script: 'x', ...more }]))

const report = {
  state: 'success',
  exitCode: null,
  failureReason: null,
  message: null,
  logLength: null,
  logCrc32: null,
} as const

async function take(box: TestCore, runner: TestRunner): Promise<Offer | undefined> {
  const { offer } = await runner.request()
  if (offer) await acceptLease(box.core, { ...offer, managerId: runner.manager.id })
  return offer
}

const done = (box: TestCore, offer: Offer) => finishJob(box.core, { ...offer, report })

/** The heads that the lanes claim, beside those that the jobs' rows say they should have. */
async function headsAgree(box: TestCore): Promise<void> {
  const { db } = box.core.store.read
  const lanes = await db.selectFrom('lanes').select(['id', 'head_job_id', 'head_priority']).orderBy('id').execute()
  for (const lane of lanes) {
    const first = await db
      .selectFrom('jobs')
      .select(['id', 'priority'])
      .where('lane_id', '=', lane.id)
      .where('in_queue', '=', 1)
      .orderBy('priority', 'desc')
      .orderBy('id')
      .executeTakeFirst()
    expect({ head: lane.head_job_id, priority: lane.head_priority }).toEqual({
      head: first?.id ?? null,
      priority: first?.priority ?? null,
    })
  }
  const projects = await db.selectFrom('projects').select(['id', 'instance_jobs']).execute()
  for (const project of projects) {
    const open = await db
      .selectFrom('leases')
      .select('id')
      .where('project_id', '=', project.id)
      .where('instance_runner', '=', 1)
      .where('status', 'in', ['offered', 'held'])
      .execute()
    expect(project.instance_jobs).toBe(open.length)
    const shares = await db.selectFrom('lanes').select('instance_share').where('project_id', '=', project.id).execute()
    for (const lane of shares) expect(lane.instance_share).toBe(open.length)
  }
}

onBothEngines((engine) => {
  it('shares instance runners fairly among projects', async () => {
    await using box = await startTestCore(engine)
    // Pending ids A: 1, 2, 3; B: 4, 5; C: 6.
    await box.run(jobs(3), 'g/a')
    await box.run(jobs(2), 'g/b')
    await box.run(jobs(1), 'g/c')
    const runner = await box.runner()
    const order: number[] = []
    for (let offer = await take(box, runner); offer; offer = await take(box, runner)) {
      order.push(offer.jobId)
      await headsAgree(box)
    }
    expect(order).toEqual([1, 4, 6, 2, 5, 3])
  })

  it('counts what a project already runs on instance runners', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const a = await box.project(jobs(2), 'g/a')
    await box.pipeline(a)
    await take(box, runner)
    await take(box, runner)
    box.configure(a, jobs(3))
    await box.pipeline(a)
    await box.run(jobs(2), 'g/b')
    await box.run(jobs(1), 'g/c')
    const order: number[] = []
    for (let offer = await take(box, runner); offer; offer = await take(box, runner)) order.push(offer.jobId - 2)
    expect(order).toEqual([4, 6, 5, 1, 2, 3])
    await headsAgree(box)
  })

  it('serves project and group runners by age, whatever instance runners run', async () => {
    await using box = await startTestCore(engine)
    const { project } = await box.run(jobs(2), 'g/a')
    await box.run(jobs(1), 'g/b')
    const group = await box.core.store.read.db
      .selectFrom('groups')
      .select('id')
      .where('path', '=', 'g')
      .executeTakeFirstOrThrow()
    const own = await box.runner({ type: 'project', projectId: project.id })
    const grouped = await box.runner({ type: 'group', groupId: group.id })
    expect((await take(box, grouped))?.jobId).toBe(1)
    expect((await take(box, own))?.jobId).toBe(2)
    expect(await take(box, own)).toBeUndefined()
    expect((await take(box, grouped))?.jobId).toBe(3)
    await headsAgree(box)
  })

  it('hands a job only to a runner with all its tags', async () => {
    await using box = await startTestCore(engine)
    await box.run({ plain: { script: 'x' }, gpu: { script: 'x', tags: ['gpu', 'linux'] } })
    const some = await box.runner({ tags: ['linux'], runUntagged: false })
    const all = await box.runner({ tags: ['gpu', 'linux', 'big'], runUntagged: false })
    const none = await box.runner()
    expect(await take(box, some)).toBeUndefined()
    expect((await take(box, all))?.jobName).toBe('gpu')
    expect(await take(box, all)).toBeUndefined()
    expect((await take(box, none))?.jobName).toBe('plain')
  })

  it('passes paused and protected-only runners over', async () => {
    await using box = await startTestCore(engine)
    const project = await box.project(jobs(1))
    await box.pipeline(project, { ref: 'feature' })
    const paused = await box.runner()
    const runner = await updateRunner(box.core, { runnerId: paused.runner.id, paused: true })
    const asleep = await box.manager(runner, '', [], 's_paused')
    const careful = await box.runner({ protectedOnly: true })
    expect(await take(box, asleep)).toBeUndefined()
    expect(await take(box, careful)).toBeUndefined()
    await box.pipeline(project, { ref: 'main' })
    expect((await take(box, careful))?.pipelineId).toBe(2)
  })

  it('needs a feature that the job asks for', async () => {
    await using box = await startTestCore(engine)
    await box.run({ j: { script: 'x', allow_failure: { exit_codes: [42] } } })
    const simple = await box.runner({ features: ['cancel_gracefully'] })
    const able = await box.runner({ features: ['return_exit_code'] })
    expect(await take(box, simple)).toBeUndefined()
    expect((await take(box, able))?.jobName).toBe('j')
  })

  it('gives one job to one of many who ask at once', async () => {
    await using box = await startTestCore(engine)
    await box.run(jobs(3))
    const runner = await box.runner()
    const outcomes = await Promise.all(Array.from({ length: 12 }, () => runner.request()))
    const got = outcomes.flatMap((outcome) => (outcome.offer ? [outcome.offer.jobId] : []))
    expect(got.sort((a, b) => a - b)).toEqual([1, 2, 3])
    await headsAgree(box)
  })

  it('keeps a job at its place when its offer is void, and drops it after the fifth', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await box.run(jobs(2))
    const managers = await Promise.all(
      Array.from({ length: 5 }, (_, i) => box.runner({ systemId: `s_${i}`, description: String(i) })),
    )
    const queuedAt = async () =>
      (
        await box.core.store.read.db
          .selectFrom('jobs')
          .select('queued_at')
          .where('id', '=', 1)
          .executeTakeFirstOrThrow()
      ).queued_at
    const before = await queuedAt()
    for (const [i, runner] of managers.entries()) {
      box.clock.advance(100)
      const { offer } = await runner.request()
      expect(offer).toMatchObject({ jobId: 1, fence: i + 1 })
      expect(await voidOffer(box.core, offer!, 'refused')).toBe(true)
      expect(await voidOffer(box.core, offer!, 'refused')).toBe(false)
      if (i < 4) {
        expect(await queuedAt()).toBe(before)
        // Whoever let it go is passed over for a minute, and gets the next one.
        const { offer: other } = await runner.request()
        expect(other?.jobId).toBe(2)
        // What did not even arrive is nobody's fault, however often.
        await voidOffer(box.core, other!, 'undeliverable')
        const { offer: same } = await runner.request()
        expect(same?.jobId).toBe(2)
        await voidOffer(box.core, same!, 'undeliverable')
        await headsAgree(box)
      }
    }
    expect(await box.statuses(pipeline)).toMatchObject({ j1: 'failed' })
    const job = await box.core.store.read.db
      .selectFrom('jobs')
      .selectAll()
      .where('id', '=', 1)
      .executeTakeFirstOrThrow()
    expect(job.failure_reason).toBe('runner_provisioning_timeout')
    await headsAgree(box)
  })

  it('offers a job again to a manager after its minute is over', async () => {
    await using box = await startTestCore(engine)
    await box.run(jobs(1))
    const runner = await box.runner()
    await voidOffer(box.core, (await runner.request()).offer!, 'refused')
    expect((await runner.request()).offer).toBeUndefined()
    box.clock.advance(60_001)
    expect((await runner.request()).offer).toMatchObject({ jobId: 1, fence: 2 })
  })

  it('gives a repeated request the same lease and payload, and no other request a job that the runner has', async () => {
    await using box = await startTestCore(engine)
    await box.run(jobs(2))
    const runner = await box.runner()
    const first = await runner.request({ door: 'rest_two_phase', requestId: 'r1' })
    const again = await runner.request({ door: 'rest_two_phase', requestId: 'r1' })
    expect(again.offer).toMatchObject({ jobId: first.offer!.jobId, fence: 1 })
    expect(again.offer!.payload.equals(first.offer!.payload)).toBe(true)
    const other = await runner.request({ door: 'rest_two_phase', requestId: 'r2' })
    expect(other.offer?.jobId).toBe(2)
    // Once something has been written under the lease, the same id is a new request.
    await acceptLease(box.core, { ...first.offer!, managerId: runner.manager.id })
    await box.core.store.write((tx) =>
      tx.db.updateTable('leases').set({ written: 1 }).where('job_id', '=', 1).execute(),
    )
    expect((await runner.request({ door: 'rest_two_phase', requestId: 'r1' })).offer).toBeUndefined()
  })

  it('starts a job at once on a door without a second phase', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await box.run(jobs(1))
    const runner = await box.runner()
    const { offer } = await runner.request({ door: 'rest_by_hand' })
    expect(offer!.acceptWithinMs).toBeNull()
    expect(await box.statuses(pipeline)).toEqual({ j1: 'running' })
    expect(await box.pipelineStatus(pipeline)).toBe('running')
    await done(box, offer!)
    expect(await box.pipelineStatus(pipeline)).toBe('success')
  })

  it('hands out what has been given priority first, and the rest by age', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await box.run({ ...jobs(4), later: { script: 'x', stage: 'deploy' } })
    const runner = await box.runner()
    const prioritize = (jobId: number, priority: number) =>
      prioritizeJob(box.core, { jobId, priority, userId: 1 }).then(() => headsAgree(box))
    await prioritize(3, 5)
    await prioritize(1, -1)
    await prioritize(4, 5)
    await prioritize(5, 1)
    const order: number[] = []
    for (let offer = await take(box, runner); offer; offer = await take(box, runner)) {
      order.push(offer.jobId)
      await done(box, offer)
    }
    expect(order).toEqual([3, 4, 2, 1, 5])
    expect(await box.pipelineStatus(pipeline)).toBe('success')
    await expect(prioritize(1, 1)).rejects.toMatchObject({ code: 'invalid' })
    await expect(prioritize(99, 1)).rejects.toMatchObject({ code: 'not_found' })
    expect(() => prioritizeJob(box.core, { jobId: 1, priority: 1.5, userId: 1 })).toThrow('whole number')
  })

  it('wakes an idle runner for a job that a void offer has put back', async () => {
    await using box = await startTestCore(engine)
    const first = (await box.runner({ systemId: 's_1' })).wait(1)
    await box.run(jobs(1))
    expect(first.offers).toHaveLength(1)
    const second = (await box.runner({ systemId: 's_2' })).wait(1)
    await voidOffer(box.core, first.offers[0]!, 'refused')
    expect(second.offers).toMatchObject([{ jobId: 1, fence: 2 }])
  })

  it('runs a job at once when its void offer goes to a door without a second phase', async () => {
    await using box = await startTestCore(engine)
    const first = (await box.runner({ systemId: 's_1' })).wait(1)
    const { pipeline } = await box.run(jobs(1))
    const second = (await box.runner({ systemId: 's_2' })).wait(1, { door: 'rest' })
    await voidOffer(box.core, first.offers[0]!, 'refused')
    expect(second.offers).toHaveLength(1)
    expect(await box.statuses(pipeline)).toEqual({ j1: 'running' })
    expect(await box.pipelineStatus(pipeline)).toBe('running')
  })

  it('does not take a runner that is passed over for an idle one', async () => {
    await using box = await startTestCore(engine)
    const waiter = (await box.runner()).wait(1)
    await box.run(jobs(1))
    await voidOffer(box.core, waiter.offers[0]!, 'refused')
    waiter.credits = 2
    box.core.dispatcher.seek(waiter)
    await box.core.dispatcher.sweep()
    box.clock.advance(11_000)
    await box.core.dispatcher.sweep()
    expect(box.core.dispatcher.violations).toBe(0)
    expect(waiter.offers).toHaveLength(1)
  })

  it('takes back an offer that could not be handed over', async () => {
    await using box = await startTestCore(engine)
    const gone = (await box.runner({ systemId: 's_1' })).wait(1, { deliver: () => false })
    const voided = new Promise<void>((resolve) => {
      box.core.events.listen((event) => event.kind === 'job.offer_void' && resolve())
    })
    await box.run(jobs(1))
    await voided
    box.core.dispatcher.remove(gone)
    const other = await box.runner({ systemId: 's_2' })
    expect((await other.request()).offer).toMatchObject({ jobId: 1, fence: 2 })
  })

  it('gives back the reservation when the transaction that made it fails', async () => {
    await using box = await startTestCore(engine)
    const waiter = (await box.runner()).wait(1)
    const project = await box.project(jobs(1))
    const { write } = box.core.store
    Object.assign(box.core.store, {
      write: (body: Parameters<typeof write>[0]) =>
        write.call(box.core.store, async (tx) => {
          await body(tx)
          throw new Error('the commit fails')
        }),
    })
    await expect(box.pipeline(project)).rejects.toThrow('the commit fails')
    Object.assign(box.core.store, { write })
    expect(waiter.offers).toEqual([])
    expect(waiter.free()).toBe(1)
    await box.pipeline(project)
    expect(waiter.offers).toHaveLength(1)
  })

  it('heals a lost wake-up, and counts it as a fault after ten seconds', async () => {
    await using box = await startTestCore(engine)
    await box.run(jobs(1))
    const waiter = (await box.runner()).wait(0)
    // A credit that nobody told the dispatcher of is what a lost wake-up looks like.
    waiter.credits = 1
    const claimed = new Promise<void>((resolve) => {
      box.core.events.listen((event) => event.kind === 'job.leased' && resolve())
    })
    box.core.dispatcher.remove(waiter)
    box.core.dispatcher.add(waiter)
    await box.core.dispatcher.sweep()
    await claimed
    expect(box.core.dispatcher.violations).toBe(0)
  })

  it('forgets lanes that have been empty for a while, and only those', async () => {
    await using box = await startTestCore(engine)
    await box.run(jobs(1), 'g/a')
    await box.run(jobs(1), 'g/b')
    const runner = await box.runner()
    await done(box, (await take(box, runner))!)
    box.clock.advance(11 * 60_000)
    expect(await box.tasks.run('remove_idle_lanes')).toBe('1 lanes')
    expect((await take(box, runner))?.jobId).toBe(2)
  })
})

it('sees a job that enters a lane while its head leaves it (on postgres)', async () => {
  await using box = await startTestCore('postgres')
  const project = await box.project(jobs(1))
  await box.pipeline(project, { ref: 'one' })
  box.configure(project, { later: { script: 'x', when: 'manual' } })
  await box.pipeline(project, { ref: 'two' })
  const runner = await box.runner({ type: 'project', projectId: project.id })
  const { store } = box.core
  // The head leaves; whoever plays the other job has touched the lane already, and has not committed.
  const waiting = async (count: number) => {
    const { rows } = await sql`select 1 from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`.execute(store.read.db)
    expect(rows).toHaveLength(count)
  }
  const { rows } = await sql<{ name: string }>`select current_database() as name`.execute(store.read.db)
  const gate = new pg.Client({ connectionString: `${inject('postgresUrl')}/${rows[0]!.name}` })
  await gate.connect()
  await gate.query('select pg_advisory_lock(1)')
  const { write } = store
  Object.assign(store, {
    write: (body: Parameters<typeof write>[0]) =>
      write.call(store, async (tx) => {
        const result = await body(tx)
        await sql`select pg_advisory_xact_lock(1)`.execute(tx.db)
        return result
      }),
  })
  const playing = playJob(box.core, { jobId: 2, userId: 1 })
  Object.assign(store, { write })
  await eventually(() => waiting(1))
  const leaving = runner.request()
  await eventually(() => waiting(2))
  await gate.end()
  await Promise.all([playing, leaving])
  await headsAgree(box)
  expect((await runner.request()).offer?.jobId).toBe(2)
})

describe('a job in the queue', () => {
  it('can only be pending: the schema refuses anything else', async () => {
    await using box = await startTestCore('sqlite')
    await box.run(jobs(1))
    const change = box.core.store.write((tx) =>
      tx.db.updateTable('jobs').set({ status: 'running' }).where('id', '=', 1).execute(),
    )
    await expect(change).rejects.toThrow(/CHECK/)
  })
})

/** Two nodes on one PostgreSQL: what one does, the other hears of at once, and not only when a sweep finds it. */
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { crc32 } from 'node:zlib'
import pg from 'pg'
import { expect, it } from 'vitest'
import type { Door } from '../../src/core/lease.js'
import type { LeaseListener } from '../../src/core/lease-signals.js'
import { appendTrace } from '../../src/core/operations/append-trace.js'
import { cancelJob } from '../../src/core/operations/cancel-job.js'
import { createVariable } from '../../src/core/operations/edit-variable.js'
import { finishJob } from '../../src/core/operations/finish-job.js'
import { hearNodes } from '../../src/core/operations/hear-nodes.js'
import { visibleLength } from '../../src/core/operations/read-log.js'
import type { Offer } from '../../src/core/payload/offer.js'
import { openStore } from '../../src/core/store/open.js'
import { channel } from '../../src/core/store/postgres-hear.js'
import { TestCore } from '../support/core.js'
import { eventually } from '../support/eventually.js'
import { ManualClock } from '../support/manual-clock.js'
import { openProxiedStore, type TestStore } from '../support/stores.js'

/** Node a beside node b, which is behind a proxy and hears; no background task of either runs. */
class TwoNodes implements AsyncDisposable {
  #heard: () => void = () => {}
  #stop: () => Promise<void> = async () => undefined

  private constructor(
    readonly a: TestCore,
    readonly b: TestCore,
    readonly proxy: Awaited<ReturnType<typeof openProxiedStore>>['proxy'],
    readonly direct: string,
  ) {}

  static async start(): Promise<TwoNodes> {
    const behind = await openProxiedStore()
    const b = await new TestCore(behind, {}, undefined, undefined, 'b').start()
    const clock = new ManualClock()
    const reports: TestStore['reports'] = []
    const report = (error: unknown, what: string) => void reports.push({ error, what })
    const store = await openStore({ url: behind.direct, clock, report, fatal: (error) => report(error, 'fatal') })
    const box: TestStore = { store, clock, reports, [Symbol.asyncDispose]: () => store.close() }
    const a = await new TestCore(box, {}, undefined, undefined, 'a').start()
    const nodes = new TwoNodes(a, b, behind.proxy, behind.direct)
    await nodes.#listen()
    return nodes
  }

  async #listen(): Promise<void> {
    const { store } = this.b.core
    const { hear } = store
    store.hear = (hearing) =>
      hear.call(store, {
        ...hearing,
        missed: () => {
          hearing.missed()
          this.#heard()
        },
      })
    const begun = this.hearsAgain()
    this.#stop = hearNodes(this.b.core)
    await begun
  }

  /** Resolves when node b hears, the next time that it begins to. */
  hearsAgain(): Promise<void> {
    return new Promise((resolve) => {
      this.#heard = resolve
    })
  }

  /** A runner of node b that waits for jobs, and the first offer that it gets. */
  async waiterOfB(door: Door = 'websocket') {
    const runner = await this.b.runner()
    let take: (offer: Offer) => void = () => {}
    const offered = new Promise<Offer>((resolve) => {
      take = resolve
    })
    runner.wait(1, {
      door,
      deliver: (offer) => {
        take(offer)
        return true
      },
    })
    return { runner, offered }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop()
    await this.a[Symbol.asyncDispose]()
    await this.b[Symbol.asyncDispose]()
  }
}

it('gives a job that is submitted at one node to a runner that waits at another', async () => {
  await using nodes = await TwoNodes.start()
  const { runner, offered } = await nodes.waiterOfB()
  const { pipeline } = await nodes.a.run({ build: { script: 'make' } })
  const offer = await offered
  expect(offer).toMatchObject({ pipelineId: pipeline.id, jobName: 'build' })
  const lease = await nodes.a.core.store.read.db
    .selectFrom('leases')
    .select(['node', 'manager_id as managerId'])
    .executeTakeFirstOrThrow()
  expect(lease).toEqual({ node: 'b', managerId: runner.manager.id })
})

it('tells a runner at another node at once that its job is to be canceled, or is over', async () => {
  await using nodes = await TwoNodes.start()
  const { a, b } = nodes
  // This door has no second phase, so the job runs.
  const { runner, offered } = await nodes.waiterOfB('rest')
  const told: string[] = []
  let next: () => void = () => {}
  const note = (what: string) => {
    told.push(what)
    next()
  }
  const listener: LeaseListener = {
    cancelWanted: ({ cancelRevision, cancelMode }) => note(`cancel ${cancelRevision} ${cancelMode}`),
    leaseEnded: ({ fence }, reason) => note(`${fence} ended: ${reason}`),
    jobFinished: () => note('finished'),
  }
  b.core.leaseSignals.listen(runner.manager.id, listener)
  const heard = () =>
    new Promise<void>((resolve) => {
      next = resolve
    })
  await a.run({ build: { script: 'make' } })
  const { jobId } = await offered
  for (const wanted of ['cancel 1 graceful', '1 ended: canceled']) {
    const one = heard()
    await cancelJob(a.core, { jobId, userId: a.admin.id, ...(wanted.startsWith('1') ? { force: true } : {}) })
    await one
    expect(told.at(-1)).toBe(wanted)
  }
})

it('finds what was told while it could not hear', async () => {
  await using nodes = await TwoNodes.start()
  const { offered } = await nodes.waiterOfB()
  await nodes.proxy.refuse()
  await nodes.a.run({ build: { script: 'make' } })
  const again = nodes.hearsAgain()
  await nodes.proxy.listen()
  await again
  expect(await offered).toMatchObject({ jobName: 'build' })
})

it('ignores what it does not understand, whoever says it', async () => {
  await using nodes = await TwoNodes.start()
  const { offered } = await nodes.waiterOfB()
  const stranger = new pg.Client({ connectionString: nodes.direct })
  await stranger.connect()
  for (const text of ['', 'null', '{"kind":"queued","projectId":"1","demandId":{}}', '[]', '{"kind":"next","x":1}']) {
    await stranger.query('select pg_notify($1, $2)', [channel, text])
  }
  // Of things that are not there.
  await stranger.query('select pg_notify($1, $2)', [channel, '{"kind":"queued","projectId":99,"demandId":99}'])
  await stranger.query('select pg_notify($1, $2)', [
    channel,
    '{"kind":"lease","managerId":99,"jobId":9,"fence":1,"ended":"x"}',
  ])
  await stranger.end()
  await nodes.a.run({ build: { script: 'make' } })
  expect(await offered).toMatchObject({ jobName: 'build' })
  expect(nodes.b.logged.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([])
})

it('gives a runner that asks later a job of a kind that another node has made', async () => {
  await using nodes = await TwoNodes.start()
  const runner = await nodes.b.runner({ tags: ['gpu'] })
  expect(await runner.request()).toEqual({ conflict: false })
  await nodes.proxy.refuse()
  await nodes.a.run({ build: { script: 'make', tags: ['gpu'] } })
  const again = nodes.hearsAgain()
  await nodes.proxy.listen()
  await again
  // What the node was told meanwhile it has not heard; its sweep looks.
  await nodes.b.core.dispatcher.sweep()
  expect(await runner.request()).toMatchObject({ offer: { jobName: 'build' } })
})

it('goes on with a log wherever its runner writes next, and hides no less of it', async () => {
  await using nodes = await TwoNodes.start()
  const { a, b } = nodes
  const project = await a.project({ build: { script: 'make' } })
  const secret = { key: 'SECRET', value: 'abcdefghij', masked: true }
  await createVariable(a.core, { type: 'project', id: project.id }, secret)
  const { runner, offered } = await nodes.waiterOfB('rest')
  await a.pipeline(project)
  const { jobId, fence } = await offered
  const append = (box: TestCore, offset: number, text: string) =>
    appendTrace(box.core, { jobId, fence, offset, data: Buffer.from(text), overlap: 'refuse' })
  const job = { id: jobId, fence, status: 'running' as const }
  const shown = async (box: TestCore) => {
    const length = await visibleLength(box.core, job)
    return (await box.core.traces.read(jobId, 0, length)).toString()
  }
  expect(await append(b, 0, 'one abcde')).toEqual({ length: 9 })
  // What may be the beginning of a secret is held back at either.
  expect([await shown(a), await shown(b)]).toEqual(['one ', 'one '])
  // The secret's end comes by way of the other node.
  expect(await append(a, 9, 'fghij two ')).toEqual({ length: 19 })
  expect([await shown(a), await shown(b)]).toEqual(Array(2).fill('one ********** two '))
  // The first one is behind, and learns so from the row.
  await expect(append(b, 9, 'x')).rejects.toMatchObject({ code: 'range_mismatch', details: { length: 19 } })
  expect(await append(b, 19, 'three')).toEqual({ length: 24 })
  const both = await Promise.allSettled([append(a, 24, ' AA'), append(b, 24, ' BB')])
  const [won, lost] = both[0].status === 'fulfilled' ? both : [both[1]!, both[0]!]
  expect(won).toMatchObject({ status: 'fulfilled', value: { length: 27 } })
  expect(lost).toMatchObject({ status: 'rejected', reason: { code: 'range_mismatch', details: { length: 27 } } })
  expect([await shown(a), await shown(b)]).toEqual(
    Array(2).fill(expect.stringMatching(/^one \*{10} two three (AA|BB)$/)),
  )
  const logLength = 27
  const logCrc32 = crc32(`one abcdefghij two three ${both[0].status === 'fulfilled' ? 'AA' : 'BB'}`)
  const report = { state: 'success', exitCode: null, failureReason: null, message: null, logLength, logCrc32 } as const
  expect(await finishJob(a.core, { jobId, fence, report, managerId: runner.manager.id })).toMatchObject({
    outcome: 'applied',
  })
  const { mismatch } = await a.core.store.read.db.selectFrom('traces').select('mismatch').executeTakeFirstOrThrow()
  expect(mismatch).toBe(0)
  // Neither keeps anything of a log that is over.
  await eventually(() => expect([a, b].map((box) => box.core.traces.sessions)).toEqual([0, 0]))
})

it('takes a log over that an earlier version has begun in a file', async () => {
  await using nodes = await TwoNodes.start()
  const { b } = nodes
  const { offered } = await nodes.waiterOfB('rest')
  await nodes.a.run({ build: { script: 'make' } })
  const { jobId, fence } = await offered
  const begun = Buffer.from('as it was ')
  await mkdir(path.dirname(b.core.traces.fileOf(jobId)), { recursive: true })
  await writeFile(b.core.traces.fileOf(jobId), Buffer.concat([begun, Buffer.from('not acknowledged')]))
  const row = { length: begun.length, crc32: crc32(begun) }
  await b.core.store.write((tx) => tx.db.updateTable('traces').set(row).where('job_id', '=', jobId).execute())
  expect((await b.core.traces.read(jobId, 0, begun.length)).toString()).toBe('as it was ')
  const data = Buffer.from('and is')
  await appendTrace(b.core, { jobId, fence, offset: begun.length, data, overlap: 'refuse' })
  expect((await nodes.a.core.traces.read(jobId, 0, 16)).toString()).toBe('as it was and is')
  expect((await nodes.a.core.traces.read(jobId, 3, 12)).toString()).toBe('it was an')
})

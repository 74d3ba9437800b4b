/** A pipeline of many jobs is there at once and queued in passes, which a fault or a stop between them does not end. */
import { expect, it } from 'vitest'
import { defaultCoreSettings } from '../../../src/core/core.js'
import { SignalboxError } from '../../../src/core/errors.js'
import { cancelPipeline } from '../../../src/core/operations/cancel-pipeline.js'
import { recoverNode } from '../../../src/core/operations/prepare-node.js'
import { retryPipeline } from '../../../src/core/operations/retry-pipeline.js'
import type { Pipeline } from '../../../src/core/pipeline.js'
import { SqliteStore } from '../../../src/core/store/sqlite-store.js'
import { listUnfinishedPasses } from '../../../src/core/store/unfinished-passes.js'
import type { Store } from '../../../src/core/store/write.js'
import { startTestCore, type TestCore } from '../../support/core.js'
import { eventually } from '../../support/eventually.js'
import { onBothEngines } from '../../support/stores.js'

const config = (first: number, second: number) =>
  Object.fromEntries([
    ...Array.from({ length: first }, (_, i) => [`a${i}`, { script: 'x', stage: 'build' }]),
    ...Array.from({ length: second }, (_, i) => [`b${i}`, { script: 'x', needs: [] }]),
    ...Array.from({ length: second }, (_, i) => [`c${i}`, { script: 'x' }]),
  ])

async function counts(box: TestCore, pipeline: Pipeline): Promise<Record<string, number>> {
  const all = Object.values(await box.statuses(pipeline))
  return Object.fromEntries([...new Set(all)].sort().map((one) => [one, all.filter((other) => other === one).length]))
}

onBothEngines((engine) => {
  it('has all its jobs when it is there, and queues those whose turn it is', async () => {
    await using box = await startTestCore(engine, { jobsAtOnce: 20 })
    const { pipeline } = await box.run(config(45, 20))
    expect(Object.keys(await box.statuses(pipeline))).toHaveLength(85)
    await eventually(async () => expect(await counts(box, pipeline)).toEqual({ created: 20, pending: 65 }))
    await eventually(async () => expect(await listUnfinishedPasses(box.core.store.read)).toEqual([]))
    expect(await box.pipelineStatus(pipeline)).toBe('pending')
    const events = box.core.store.read.db.selectFrom('events').select('id').where('kind', '=', 'job.changed')
    expect(await events.execute()).toHaveLength(65)
  })

  it('goes on at the next start with what a fault between two passes has left', async () => {
    await using box = await startTestCore(engine, { jobsAtOnce: 20 })
    const store = box.core.store as { -readonly [Name in keyof Store]: Store[Name] }
    const { write } = store
    let bodies = 0
    const failed = new Promise<void>((resolve) => {
      store.write = (body) => {
        // The pipeline, its first pass, and no more.
        if (box.admin && ++bodies > 3) {
          resolve()
          return Promise.reject(new SignalboxError('unavailable', 'the disk is full'))
        }
        return write.call(store, body) as never
      }
    })
    const project = await box.project(config(45, 20))
    const pipeline = await box.pipeline(project)
    await failed
    store.write = write
    expect(await counts(box, pipeline)).toEqual({ created: 65, pending: 20 })
    expect(await listUnfinishedPasses(store.read)).toEqual([pipeline.id])
    await recoverNode(box.core)
    await eventually(async () => expect(await counts(box, pipeline)).toEqual({ created: 20, pending: 65 }))
    await eventually(async () => expect(await listUnfinishedPasses(store.read)).toEqual([]))
  })
})

/** How many statements a pipeline of so many jobs takes until all are queued, and how many rows they give, for each job. */
async function costOf(jobs: number): Promise<{ statements: number; rows: number }> {
  await using box = await startTestCore('sqlite')
  const { store } = box.core
  if (!(store instanceof SqliteStore)) throw new Error('not SQLite')
  const { connection } = store
  const cost = { statements: 0, rows: 0 }
  const { all, executeQuery } = connection
  connection.all = (query, params) => {
    const rows = all.call(connection, query, params) as never[]
    cost.statements++
    cost.rows += rows.length
    return rows
  }
  connection.executeQuery = async (query) => {
    const result = await executeQuery.call(connection, query)
    cost.statements++
    cost.rows += result.rows.length
    return result as never
  }
  const project = await box.project(
    Object.fromEntries(Array.from({ length: jobs }, (_, i) => [`j${i}`, { script: 'x' }])),
  )
  cost.statements = 0
  cost.rows = 0
  const { id } = await box.pipeline(project)
  const waiting = () => store.read.db.selectFrom('jobs').select('id').where('in_queue', '=', 1).execute()
  await eventually(async () => expect(await waiting()).toHaveLength(jobs))
  await eventually(async () => expect(await listUnfinishedPasses(store.read)).not.toContain(id))
  return { statements: cost.statements / jobs, rows: cost.rows / jobs }
}

it('costs as much for each job of a pipeline of 2,000 as for each of one of 200', async () => {
  const few = await costOf(200)
  const many = await costOf(2000)
  expect(many.statements).toBeLessThan(few.statements * 1.05)
  // Each pass reads the list of the pipeline's jobs again.
  expect(many.rows).toBeLessThan(few.rows + 2000 / defaultCoreSettings.jobsAtOnce)
})

it('makes a small pipeline before the last of several large ones that came first', async () => {
  await using box = await startTestCore('sqlite')
  const large = await box.project(config(100, 50), 'acme/large')
  const small = await box.project({ a: { script: 'x' } }, 'acme/small')
  // Compiled and known, so that nothing but the making is left.
  await box.pipeline(large)
  await box.pipeline(small)
  const made = await Promise.all([large, large, large, large, small].map((project) => box.pipeline(project)))
  const ids = made.map(({ id }) => id)
  expect(ids[4]).toBeLessThan(Math.max(...ids))
  expect(ids.filter((id) => id < ids[4]!).length).toBeLessThanOrEqual(1)
})

it('lets others in between large pipelines that are canceled, or tried again, at once', async () => {
  await using box = await startTestCore('sqlite')
  const project = await box.project(config(100, 50), 'acme/large')
  const large = []
  for (let i = 0; i < 4; i++) large.push(await box.pipeline(project))
  const { store } = box.core
  await eventually(async () => expect(await listUnfinishedPasses(store.read)).toEqual([]))
  for (const act of [cancelPipeline, retryPipeline]) {
    const order: string[] = []
    const all = large.map(({ id }) => act(box.core, { pipelineId: id, userId: null }).then(() => order.push('large')))
    // Whoever comes now waits for one more of them at most.
    await Promise.race(all)
    await store.write((tx) => Promise.resolve(tx.now))
    order.push('small')
    await Promise.all(all)
    expect(order.indexOf('small')).toBeLessThanOrEqual(2)
  }
})

import { expect, it } from 'vitest'
import { hotQuery } from '../../../src/core/store/hot-query.js'
import { getJob, saveJob } from '../../../src/core/store/jobs.js'
import { insertPipeline, insertStage, listStages, saveStageStatus } from '../../../src/core/store/pipelines.js'
import { seesUnwritten } from '../../../src/core/store/unwritten-tables.js'
import type { Tx } from '../../../src/core/store/write.js'
import { startTestCore } from '../../support/core.js'
import { onBothEngines } from '../../support/stores.js'

const metaOf = hotQuery<{ value: string }, 'key'>((db, p) =>
  db.selectFrom('meta').select('value').where('key', '=', p('key')),
)
const newMeta = hotQuery<never, 'key' | 'value'>((db, p) =>
  db.insertInto('meta').values({ key: p('key'), value: p('value') }),
)
const changedMeta = hotQuery<{ key: string }, 'key' | 'from' | 'value'>((db, p) =>
  db
    .updateTable('meta')
    .set({ value: p('value') })
    .where('key', '=', p('key'))
    .where('value', '=', p('from'))
    .returning('key'),
)

onBothEngines((engine) => {
  async function open() {
    const box = await startTestCore(engine)
    const { pipeline } = await box.run({ test: { script: 'x' } })
    const { store } = box.core
    const row = {
      ...{ projectId: pipeline.projectId, iid: 7, ref: 'main', tag: 0, protected: 0, sha: 'a', beforeSha: 'b' },
      ...{ source: 'api', userId: null, name: null, yamlErrors: null, onNewCommit: 'none', onJobFailure: 'none' },
      ...{ sourceJobId: null, followed: 0, variables: Buffer.from('') },
    }
    return { store, make: (tx: Tx) => insertPipeline(tx, row), [Symbol.asyncDispose]: () => box[Symbol.asyncDispose]() }
  }
  const statuses = (tx: Tx, id: number) =>
    tx.db.selectFrom('stages').select('status').where('pipeline_id', '=', id).execute()

  it('a row that waits is seen by whatever might look for it, and written in the state that it has by then', async () => {
    await using place = await open()
    const { id, seen } = await place.store.write(async (tx) => {
      const { id } = await place.make(tx)
      await insertStage(tx, { pipelineId: id, name: 'build', position: 0 })
      const [stage] = await listStages(tx, id)
      await saveStageStatus(tx, stage!, 'running')
      expect(tx.unwritten.isEmpty).toBe(false)
      const seen = await statuses(tx, id)
      expect(tx.unwritten.isEmpty).toBe(true)
      await saveStageStatus(tx, (await listStages(tx, id))[0]!, 'success')
      return { id, seen }
    })
    expect(seen).toEqual([{ status: 'running' }])
    expect(await place.store.write((tx) => statuses(tx, id))).toEqual([{ status: 'success' }])
  })

  it('is gone with the body that failed, and so is what others know of it', async () => {
    await using place = await open()
    const failed = place.store.write(async (tx) => {
      await insertStage(tx, { pipelineId: (await place.make(tx)).id, name: 'build', position: 0 })
      throw new Error('changed its mind')
    })
    await expect(failed).rejects.toThrow('changed its mind')
    const count = (table: 'pipelines' | 'stages') =>
      place.store.write(async (tx) => (await tx.db.selectFrom(table).select('id').execute()).length)
    expect([await count('pipelines'), await count('stages')]).toEqual([1, 1])
  })

  it('a write that nobody waited for and that finds no row fails the body with its own error', async () => {
    await using place = await open()
    const moved = place.store.write(async (tx) => {
      await tx.later(newMeta, { key: 'a', value: '1' })
      await tx.later(changedMeta, { key: 'a', from: '2', value: '3' }, () => new Error('it has moved'))
      await tx.first(metaOf, { key: 'a' })
    })
    await expect(moved).rejects.toThrow('it has moved')
    expect(await place.store.read.first(metaOf, { key: 'a' })).toBe(undefined)
  })

  it('the first write that fails is what the body fails with, whatever is refused behind it', async () => {
    await using place = await open()
    await place.store.write((tx) => tx.later(newMeta, { key: 'a', value: '1' }))
    const twice = place.store.write(async (tx) => {
      await tx.later(newMeta, { key: 'b', value: '1' })
      await tx.later(newMeta, { key: 'a', value: '2' })
      await tx.first(metaOf, { key: 'a' })
    })
    await expect(twice).rejects.toThrow(/unique/i)
    expect(await place.store.read.first(metaOf, { key: 'b' })).toBe(undefined)
    await expect(place.store.write((tx) => tx.later(newMeta, { key: 'a', value: '2' }))).rejects.toThrow(/unique/i)
    expect(await place.store.read.first(metaOf, { key: 'a' })).toEqual({ value: '1' })
  })

  it('a job whose row has moved on is refused before the commit', async () => {
    await using place = await open()
    const changed = place.store.write(async (tx) => {
      const job = await getJob(tx, 1)
      await tx.db.updateTable('jobs').set({ status: 'skipped', in_queue: 0 }).where('id', '=', 1).execute()
      await saveJob(tx, Object.assign(job, { status: 'canceled', inQueue: 0 }))
    })
    await expect(changed).rejects.toMatchObject({ code: 'conflict' })
    expect(await place.store.write(async (tx) => (await getJob(tx, 1)).status)).toBe('pending')
  })
})

it.each([
  ['select * from "projects"', false],
  ['select * from jobs', true],
  ['update projects set a = 1 returning exists (select 1 from lanes)', false],
  ['update lanes set a = (select id from jobs)', true],
  ['insert into events (a) values (1)', false],
  ['insert into traces (job_id) values (1)', true],
  ['with recursive a as (select 1) select * from a', false],
  ['delete from projects', true],
])('knows of %j whether it might see a row that waits: %s', (text, sees) => {
  expect(seesUnwritten(text)).toBe(sees)
})

import { describe, expect, it } from 'vitest'
import { getJob, saveJob } from '../../../src/core/store/jobs.js'
import { writtenTable } from '../../../src/core/store/known-rows.js'
import { findLease } from '../../../src/core/store/leases.js'
import type { SqliteStore } from '../../../src/core/store/sqlite-store.js'
import { startTestCore } from '../../support/core.js'

describe('what the writer knows of rows', () => {
  it('is nothing that a failed body has written', async () => {
    await using box = await startTestCore('sqlite')
    const { store } = box.core
    await box.run({ test: { script: 'true' } })
    await expect(
      store.write(async (tx) => {
        const job = await getJob(tx, 1)
        await saveJob(tx, Object.assign(job, { voidOffers: 3 }))
        expect((await getJob(tx, 1)).voidOffers).toBe(3)
        throw new Error('changed its mind')
      }),
    ).rejects.toThrow('changed its mind')
    expect(await store.write(async (tx) => (await getJob(tx, 1)).voidOffers)).toBe(0)
  })

  it('is not what a body has changed and not saved', async () => {
    await using box = await startTestCore('sqlite')
    const { store } = box.core
    await box.run({ test: { script: 'true' } })
    await store.write(async (tx) => void Object.assign(await getJob(tx, 1), { voidOffers: 3 }))
    expect(await store.write(async (tx) => (await getJob(tx, 1)).voidOffers)).toBe(0)
  })

  it('gives way to statements that write the table by themselves', async () => {
    await using box = await startTestCore('sqlite')
    const { store } = box.core
    await box.run({ test: { script: 'true' } })
    const runner = await box.runner()
    const { offer } = await runner.request()
    const seen = await store.write(async (tx) => {
      const before = [(await getJob(tx, 1)).priority, (await findLease(tx, 1, 1))?.termMs]
      await tx.db.updateTable('jobs').set({ priority: 7 }).where('id', '=', 1).execute()
      await tx.db.updateTable('leases').set({ term_ms: 8 }).where('id', '=', offer!.leaseId).execute()
      return [...before, (await getJob(tx, 1)).priority, (await findLease(tx, 1, 1))?.termMs]
    })
    expect(seen).toEqual([0, 60_000, 7, 8])
  })

  it('is kept no longer than a job lives', async () => {
    await using box = await startTestCore('sqlite')
    await box.run({ test: { script: 'true' } })
    const { known } = (box.core.store as SqliteStore).connection
    expect(known.jobs.get(1)).toMatchObject({ status: 'pending' })
    await box.core.store.write(async (tx) => {
      const job = await getJob(tx, 1)
      await saveJob(tx, Object.assign(job, { status: 'success', inQueue: 0, finishedAt: tx.now }))
    })
    expect(known.jobs.get(1)).toBeUndefined()
  })

  it.each([
    ['select * from "jobs"', undefined],
    ['with recursive a as (select 1) select * from a', undefined],
    ['update "jobs" set a = 1', 'jobs'],
    ['\n  update leases set a = 1', 'leases'],
    ['insert into "jobs" values (1)', 'jobs'],
    ['delete from "projects"', 'unknown'],
    ['with a as (select 1)\n delete from jobs', 'unknown'],
    ['rollback to body', 'unknown'],
    ['insert or replace into jobs values (1)', 'unknown'],
  ])('sees in %j that it writes %s', (text, table) => {
    expect(writtenTable(text)).toBe(table)
  })
})

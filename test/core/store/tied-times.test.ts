import { sql } from 'kysely'
import { expect, it } from 'vitest'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { finishJob } from '../../../src/core/operations/finish-job.js'
import { voidOffer } from '../../../src/core/operations/void-offer.js'
import { up } from '../../../src/core/store/migrations/2026_11_30_2310_tie_times_to_statuses.js'
import { startTestCore } from '../../support/core.js'
import { onBothEngines } from '../../support/stores.js'

const report = {
  state: 'success',
  exitCode: 0,
  failureReason: null,
  message: null,
  logLength: null,
  logCrc32: null,
} as const

const breaches = [
  ['jobs', 'finished_at = 5', "status = 'running'"],
  ['jobs', 'finished_at = null', "status = 'success'"],
  ['jobs', "status = 'canceled'", "status = 'running'"],
  ['leases', 'ended_at = 5', "status = 'held'"],
  ['leases', 'ended_at = null', "status = 'released'"],
  ['leases', 'ended_at = null', "status = 'refused'"],
] as const

onBothEngines((engine) => {
  /** One job has succeeded, one runs (its first offer was refused), one waits in its lane. */
  async function filled() {
    const box = await startTestCore(engine)
    await box.run({ a: { script: 'x' }, b: { script: 'x' }, c: { script: 'x' } })
    const [one, two] = [await box.runner(), await box.runner()]
    const first = (await one.request()).offer!
    await acceptLease(box.core, { ...first, managerId: one.manager.id })
    await finishJob(box.core, { ...first, report })
    const refused = (await one.request()).offer!
    await voidOffer(box.core, refused, 'refused')
    await acceptLease(box.core, { ...(await two.request()).offer!, managerId: two.manager.id })
    const db = box.core.store.read.db
    const all = async () => ({
      jobs: await db.selectFrom('jobs').selectAll().orderBy('id').execute(),
      leases: await db.selectFrom('leases').selectAll().orderBy('id').execute(),
    })
    const change = (text: string) => box.core.store.write((tx) => sql.raw(text).execute(tx.db))
    return { box, all, change, [Symbol.asyncDispose]: () => box[Symbol.asyncDispose]() }
  }

  it('refuses a time without its status, and a status without its time', async () => {
    await using store = await filled()
    const before = await store.all()
    expect(before.jobs.map(({ status }) => status)).toEqual(['success', 'running', 'pending'])
    for (const [table, set, where] of breaches) {
      const touched = await store.change(`select id from ${table} where ${where}`)
      expect(touched.rows, `${table} where ${where}`).not.toEqual([])
      await expect(store.change(`update ${table} set ${set} where ${where}`), `${table}: ${set}`).rejects.toThrow(
        /jobs_finished|leases_ended/,
      )
    }
    expect(await store.all()).toEqual(before)
  })

  it('mends rows of an older database, and leaves the others as they were', async () => {
    await using store = await filled()
    await store.change('alter table jobs drop constraint jobs_finished')
    await store.change('alter table leases drop constraint leases_ended')
    const before = await store.all()
    for (const [table, set, where] of breaches.filter(([, set]) => !set.startsWith('status')))
      await store.change(`update ${table} set ${set} where ${where}`)
    await store.box.core.store.write((tx) => up(tx.db))
    const { jobs, leases } = await store.all()
    expect(jobs).toEqual(before.jobs.map((job) => ({ ...job, finished_at: job.finished_at && job.updated_at })))
    expect(leases).toEqual(
      before.leases.map((lease) => ({
        ...lease,
        ended_at: lease.ended_at && (lease.report_at ?? lease.accepted_at ?? lease.offered_at),
      })),
    )
    await expect(store.change("update jobs set finished_at = 5 where status = 'running'")).rejects.toThrow(
      /jobs_finished/,
    )
  })
})

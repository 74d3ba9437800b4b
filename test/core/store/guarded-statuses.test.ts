import { sql } from 'kysely'
import { expect, it } from 'vitest'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { expireLeases } from '../../../src/core/operations/expire-leases.js'
import { changeStatus } from '../../../src/core/steps/change-status.js'
import { getJob } from '../../../src/core/store/jobs.js'
import { endLease, findOpenLease, holdLease } from '../../../src/core/store/leases.js'
import { getPipeline, listStages, savePipelineStatus, saveStageStatus } from '../../../src/core/store/pipelines.js'
import type { Tx } from '../../../src/core/store/write.js'
import { startTestCore } from '../../support/core.js'
import { onBothEngines } from '../../support/stores.js'

onBothEngines((engine) => {
  async function withOffer() {
    const box = await startTestCore(engine)
    await box.run({ test: { script: 'x' } })
    const runner = await box.runner()
    const { offer } = await runner.request()
    const leases = () => box.core.store.read.db.selectFrom('leases').select('status').execute()
    return { box, runner, offer: offer!, leases, [Symbol.asyncDispose]: () => box[Symbol.asyncDispose]() }
  }

  it.each<[string, string, (tx: Tx, change: () => Promise<unknown>, core: never) => Promise<unknown>]>([
    [
      'an accepted lease',
      "update leases set status = 'refused', ended_at = 1",
      async (tx, change) => {
        const lease = (await findOpenLease(tx, 1))!
        await change()
        await holdLease(tx, lease)
      },
    ],
    [
      'a lease that ends',
      "update leases set status = 'refused', ended_at = 1",
      async (tx, change) => {
        const lease = (await findOpenLease(tx, 1))!
        await change()
        await endLease(tx, lease, { event: 'expire', reason: 'x' })
      },
    ],
    [
      'a lease that ends with a report',
      "update leases set status = 'held', expires_at = 1",
      async (tx, change) => {
        const lease = (await findOpenLease(tx, 1))!
        await change()
        await endLease(tx, lease, { event: 'release', reason: 'x', report: '[]' })
      },
    ],
    [
      'a pipeline',
      "update pipelines set status = 'running'",
      async (tx, change) => {
        const pipeline = await getPipeline(tx, 1)
        await change()
        await savePipelineStatus(tx, { ...pipeline, status: 'canceled' }, pipeline.status)
      },
    ],
    [
      'a stage',
      "update stages set status = 'running'",
      async (tx, change) => {
        const [stage] = await listStages(tx, 1)
        await change()
        await saveStageStatus(tx, stage!, 'canceled')
      },
    ],
    [
      'a job',
      "update jobs set status = 'canceled', finished_at = 1",
      async (tx, change, core) => {
        const job = await getJob(tx, 1)
        await change()
        await changeStatus(core, tx, job, { event: 'skip', to: 'skipped' })
      },
    ],
  ])('is not written over one that %s has got meanwhile', async (_, meanwhile, write) => {
    await using test = await withOffer()
    const { core } = test.box
    const change = core.store.write((tx) => write(tx, () => sql.raw(meanwhile).execute(tx.db), core as never))
    await expect(change).rejects.toMatchObject({ code: 'conflict' })
    expect(await test.leases()).toEqual([{ status: 'offered' }])
  })

  it('of a lease is refused where the table has no row', async () => {
    await using test = await withOffer()
    const { core } = test.box
    await acceptLease(core, { ...test.offer, managerId: test.runner.manager.id })
    const refused = core.store.write(async (tx) =>
      endLease(tx, (await findOpenLease(tx, 1))!, { event: 'refuse', reason: 'x' }),
    )
    await expect(refused).rejects.toMatchObject({ code: 'conflict' })
    expect(await test.leases()).toEqual([{ status: 'held' }])
  })

  it('of a lease whose holder was silent for its whole term is expired', async () => {
    await using test = await withOffer()
    const { core, clock } = test.box
    await acceptLease(core, { ...test.offer, managerId: test.runner.manager.id })
    clock.raise(clock.now() + 60_000)
    expect(await expireLeases(core)).toMatchObject({ lost: 1 })
    expect(await test.leases()).toEqual([{ status: 'expired' }])
  })
})

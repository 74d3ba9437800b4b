/** What a node does about time in which it did not run. */
import { expect, it } from 'vitest'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { expireLeases } from '../../../src/core/operations/expire-leases.js'
import { gatherEvidence } from '../../../src/core/operations/gather-evidence.js'
import { renewLeases } from '../../../src/core/operations/renew-leases.js'
import { getJob } from '../../../src/core/store/jobs.js'
import { findLease } from '../../../src/core/store/leases.js'
import { startTestCore } from '../../support/core.js'
import { onBothEngines } from '../../support/stores.js'

onBothEngines((engine) => {
  const lone = async () => {
    const box = await startTestCore(engine)
    const { pipeline } = await box.run({ a: { script: 'x' } })
    const runner = await box.runner()
    const { offer } = await runner.request({ door: 'websocket' })
    const ref = { jobId: offer!.jobId, fence: offer!.fence }
    const lease = async () => (await findLease(box.core.store.read, ref.jobId, ref.fence))!
    const accept = () => acceptLease(box.core, { ...ref, managerId: runner.manager.id })
    return { box, pipeline, runner, ref, lease, accept, [Symbol.asyncDispose]: () => box[Symbol.asyncDispose]() }
  }

  it('gives a held lease a term at the least and at the most, and ends it after that', async () => {
    await using one = await lone()
    const { core, clock } = one.box
    await one.accept()
    const restLeft = async () => (await one.lease()).expiresAt! - clock.now()
    clock.advance(50_000)
    clock.pause(85_000)
    await expireLeases(core)
    expect(await restLeft()).toBe(60_000)
    // What was renewed since needs nothing more.
    clock.pause(3_600_000)
    await renewLeases(core, one.runner.manager.id, [one.ref])
    await expireLeases(core)
    expect(await restLeft()).toBe(60_000)
    clock.advance(60_000)
    await expireLeases(core)
    expect(await one.box.statuses(one.pipeline)).toEqual({ a: 'failed' })
  })

  it('tells classifiers that it was away in the last minutes of a job', async () => {
    await using one = await lone()
    const { core, clock } = one.box
    const job = { ...(await getJob(core.store.read, one.ref.jobId)), startedAt: clock.now() }
    const wasAway = async (of = job) =>
      (await gatherEvidence(core, of, { failureReason: null, message: null, exitCode: 1 })).coordinatorWasAway
    clock.advance(1000)
    clock.pause(5000)
    clock.advance(1000)
    expect(await wasAway()).toBe(true)
    expect(await wasAway({ ...job, startedAt: clock.now() - 500 })).toBe(false)
    clock.advance(5 * 60_000)
    expect(await wasAway()).toBe(false)
  })

  it('never takes from a lease, and does not keep a lost one for ever', async () => {
    await using one = await lone()
    const { core, clock } = one.box
    await one.accept()
    const rests: number[] = []
    for (let i = 0; i < 8; i++) {
      clock.advance(10_000)
      clock.pause(5000)
      await expireLeases(core)
      rests.push(((await one.lease()).expiresAt! - clock.now()) / 1000)
    }
    expect(rests).toEqual([60, 60, 60, 50, 40, 30, 20, 10])
    clock.advance(10_000)
    await expireLeases(core)
    expect(await one.box.statuses(one.pipeline)).toEqual({ a: 'failed' })
  })

  it('leaves an offer the time that it had', async () => {
    await using one = await lone()
    const { core, clock } = one.box
    clock.advance(9000)
    clock.pause(85_000)
    await expireLeases(core)
    expect((await one.lease()).acceptBy! - clock.now()).toBe(1000)
    await one.accept()
    expect(await one.box.statuses(one.pipeline)).toEqual({ a: 'running' })
  })

  it('gives reports that wait for their log, and cancels, their time back', async () => {
    await using one = await lone()
    const { core, clock } = one.box
    await one.accept()
    const at = clock.now()
    await core.store.write((tx) =>
      tx.db.updateTable('leases').set({ report: '[]', report_at: at, cancel_at: at }).execute(),
    )
    clock.pause(85_000)
    await core.absence.madeGood()
    const row = await core.store.read.db.selectFrom('leases').selectAll().executeTakeFirstOrThrow()
    expect([row.report_at, row.cancel_at]).toEqual([at + 85_000, at + 85_000])
  })

  it('leaves the leases of another node to it for a minute more', async () => {
    await using one = await lone()
    const { core, clock } = one.box
    await one.accept()
    await core.store.write((tx) => tx.db.updateTable('leases').set({ node: 'other' }).execute())
    clock.advance(119_999)
    await expireLeases(core)
    expect(await one.box.statuses(one.pipeline)).toEqual({ a: 'running' })
    clock.advance(1)
    await expireLeases(core)
    expect(await one.box.statuses(one.pipeline)).toEqual({ a: 'failed' })
  })
})

it('hears runners out before it ends jobs that ran past their timeout', async () => {
  await using box = await startTestCore('sqlite')
  const { clock, tasks } = box
  const { pipeline } = await box.run({ a: { script: 'x', timeout: '10 minutes' } })
  const runner = await box.runner()
  const { offer } = await runner.request({ door: 'rest' })
  expect(offer).toBeDefined()
  clock.pause(40 * 60_000)
  tasks.runByItself('drop_timed_out')
  await tasks.close()
  expect(await box.statuses(pipeline)).toEqual({ a: 'running' })
  clock.advance(60_000)
  tasks.runByItself('drop_timed_out')
  await tasks.close()
  expect(await box.statuses(pipeline)).toEqual({ a: 'failed' })
})

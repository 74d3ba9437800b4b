import { expect, it } from 'vitest'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { expireLeases } from '../../../src/core/operations/expire-leases.js'
import { recoverNode } from '../../../src/core/operations/prepare-node.js'
import { renewLeases } from '../../../src/core/operations/renew-leases.js'
import { findLease } from '../../../src/core/store/leases.js'
import { startTestCore } from '../../support/core.js'
import { onBothEngines } from '../../support/stores.js'

onBothEngines((engine) => {
  it('ends a lost job though the node starts again more often than a term is long', async () => {
    await using box = await startTestCore(engine)
    const { core, clock } = box
    const { pipeline } = await box.run({ a: { script: 'x' } })
    const runner = await box.runner()
    const { offer } = await runner.request()
    const lease = (await findLease(core.store.read, offer!.jobId, offer!.fence))!
    await acceptLease(core, lease)
    const restLeft = async () => (await findLease(core.store.read, lease.jobId, lease.fence))!.expiresAt! - clock.now()
    const rests: number[] = []
    const restart = async () => {
      await recoverNode(core)
      rests.push((await restLeft()) / 1000)
    }
    for (let i = 0; i < 3; i++) await restart()
    // A word of the runner, and all is as at the beginning.
    await renewLeases(core, runner.manager.id, [lease])
    for (let i = 0; i < 6; i++) await restart()
    expect(rests).toEqual([60, 60, 60, 60, 60, 60, 30, 15, 7.5])
    clock.advance(7000)
    await expireLeases(core)
    await recoverNode(core)
    clock.advance(7000)
    await expireLeases(core)
    expect(await box.statuses(pipeline)).toEqual({ a: 'failed' })
  })

  it('gives up an offer that no start lets anybody accept', async () => {
    await using box = await startTestCore(engine)
    const { core, clock } = box
    await box.run({ a: { script: 'x' } })
    const { offer } = await (await box.runner()).request()
    for (let i = 0; i < 40; i++) await recoverNode(core)
    clock.advance(1)
    await expireLeases(core)
    expect((await findLease(core.store.read, offer!.jobId, offer!.fence))!.status).toBe('refused')
  })
})

import { expect, it } from 'vitest'
import { acceptLease } from '../../src/core/operations/accept-lease.js'
import { finishJob } from '../../src/core/operations/finish-job.js'
import { ShimBox } from '../shim/support/box.js'
import { person } from '../shim/support/people.js'
import { startTestCore } from '../support/core.js'
import { onBothEngines } from '../support/stores.js'

onBothEngines((engine) => {
  it('pauses a runner that is drained, and counts what it still has', async () => {
    await using box = await new ShimBox(await startTestCore(engine), {}).start()
    const { core } = box.core
    const runner = await box.core.runner()
    await box.run({ a: { script: 'x' }, b: { script: 'x' } })
    const drain = () => box.admin('POST', `/api/signalbox/v1/runners/${runner.runner.id}/drain`)
    const offer = (await runner.request()).offer!
    expect((await drain()).body).toEqual({ id: runner.runner.id, paused: true, open_leases: 1 })
    await acceptLease(core, { ...offer, managerId: runner.manager.id })
    const { answer, tables } = await box.changes(drain)
    expect(answer.body).toMatchObject({ open_leases: 1 })
    expect(tables).toEqual([])
    await finishJob(core, {
      ...offer,
      report: { state: 'success', exitCode: null, failureReason: null, message: null, logLength: null, logCrc32: null },
    })
    expect((await drain()).body).toMatchObject({ open_leases: 0 })
    const again = await box.core.manager({ ...runner.runner, active: 0 }, runner.token, [], 's_2')
    expect((await again.request()).offer).toBeUndefined()

    expect((await box.admin('POST', '/api/signalbox/v1/runners/99/drain')).status).toBe(404)
    expect((await box.admin('POST', '/api/signalbox/v1/runners/x/drain')).status).toBe(404)
    const { headers } = await person(box, 'ada')
    expect((await box.send('POST', '/api/signalbox/v1/runners/1/drain', { headers })).status).toBe(403)
  })
})

import { expect, it } from 'vitest'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { startJob } from '../../../src/core/operations/start-job.js'
import { listJobEvents } from '../../../src/core/store/events.js'
import { startTestCore } from '../../support/core.js'
import { onBothEngines } from '../../support/stores.js'

onBothEngines((engine) => {
  it('notes a start once, however often it is reported', async () => {
    await using box = await startTestCore(engine)
    const { core } = box
    const runner = await box.runner()
    await box.run({ job: { script: 'x' } })
    const offer = (await runner.request()).offer!
    const lease = { ...offer, managerId: runner.manager.id }
    await acceptLease(core, lease)
    const told: string[] = []
    core.events.listen((event) => told.push(event.kind))
    const start = () => startJob(core, { ...lease, facts: { executor: 'shell' } })
    await start()
    await Promise.all([start(), start()])
    expect(told.filter((kind) => kind === 'job.started')).toHaveLength(1)
    const events = await listJobEvents(core.store.read, offer.jobId)
    expect(events.filter(({ kind }) => kind === 'job.started').map(({ data }) => JSON.parse(data))).toEqual([
      { executor: 'shell' },
    ])
  })
})

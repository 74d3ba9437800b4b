/** A pipeline of many jobs is there at once and queued in passes, which a fault or a stop between them does not end. */
import { expect, it } from 'vitest'
import { SignalboxError } from '../../../src/core/errors.js'
import { recoverNode } from '../../../src/core/operations/prepare-node.js'
import type { Pipeline } from '../../../src/core/pipeline.js'
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

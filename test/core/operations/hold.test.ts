import { expect, it } from 'vitest'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { callBack } from '../../../src/core/operations/call-back.js'
import { cancelPipeline } from '../../../src/core/operations/cancel-pipeline.js'
import { explainJob } from '../../../src/core/operations/explain-job.js'
import { finishJob } from '../../../src/core/operations/finish-job.js'
import { holdJob } from '../../../src/core/operations/hold-job.js'
import { playJob } from '../../../src/core/operations/play-job.js'
import type { Pipeline } from '../../../src/core/pipeline.js'
import { findJob } from '../../../src/core/store/jobs.js'
import { getPipeline } from '../../../src/core/store/pipelines.js'
import { startTestCore, type TestCore, type TestRunner } from '../../support/core.js'
import { onBothEngines } from '../../support/stores.js'

async function idOf(box: TestCore, pipeline: Pipeline, name: string): Promise<number> {
  const { db } = box.core.store.read
  const found = db.selectFrom('jobs').select('id').where('pipeline_id', '=', pipeline.id).where('name', '=', name)
  return (await found.executeTakeFirstOrThrow()).id
}

/** Gives the name of the job that has succeeded. */
async function runNext(box: TestCore, runner: TestRunner): Promise<string | undefined> {
  const { offer } = await runner.request()
  if (!offer) return undefined
  await acceptLease(box.core, { ...offer, managerId: runner.manager.id })
  const report = { exitCode: null, failureReason: null, message: null, logLength: null, logCrc32: null }
  await finishJob(box.core, { ...offer, report: { ...report, state: 'success' } })
  return offer.jobName
}

const by = { userId: 1 }

onBothEngines((engine) => {
  it('keeps jobs from runners until the outside system calls back', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const { core } = box
    const { pipeline } = await box.run({
      stages: ['one', 'two', 'three'],
      scan: { stage: 'one', script: 'x' },
      begin: { stage: 'one', script: 'x', when: 'manual', allow_failure: false },
      ship: { stage: 'two', script: 'x' },
      tell: { stage: 'three', script: 'x' },
    })
    const [scan, begin, ship] = [
      await idOf(box, pipeline, 'scan'),
      await idOf(box, pipeline, 'begin'),
      await idOf(box, pipeline, 'ship'),
    ]
    await playJob(core, { jobId: begin, ...by })
    for (const jobId of [scan, begin, ship]) expect(await holdJob(core, { jobId, ...by })).toMatchObject({ id: jobId })
    const held = 'waiting_for_callback'
    expect(await box.statuses(pipeline)).toEqual({ scan: held, begin: held, ship: held, tell: 'created' })
    expect((await getPipeline(core.store.read, pipeline.id)).status).toBe(held)
    expect(await runNext(box, runner)).toBeUndefined()
    expect(await explainJob(core, (await findJob(core.store.read, scan))!)).toMatchObject({ waitsFor: 'callback' })

    // One that a person has played already is not asked for again.
    expect((await callBack(core, { jobId: begin, result: 'continue', ...by })).status).toBe('pending')
    expect(await runNext(box, runner)).toBe('begin')
    expect((await callBack(core, { jobId: ship, result: 'continue', ...by })).status).toBe('created')
    expect((await callBack(core, { jobId: scan, result: 'success', ...by })).status).toBe('success')
    expect([await runNext(box, runner), await runNext(box, runner)]).toEqual(['ship', 'tell'])
    expect((await getPipeline(core.store.read, pipeline.id)).status).toBe('success')
    expect(box.box.reports).toEqual([])
  })

  it('refuses what comes too late or to nobody, and ends what is refused or canceled outside', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const { core } = box
    const { pipeline } = await box.run({
      alone: { script: 'x', tags: ['t'], resource_group: 'r' },
      offered: { script: 'x' },
      refused: { script: 'x', retry: { max: 1, when: 'script_failure' } },
      left: { script: 'x' },
    })
    const named = async (name: string) => idOf(box, pipeline, name)
    const conflict = expect.objectContaining({ code: 'conflict' })
    expect((await runner.request()).offer?.jobName).toBe('offered')
    for (const name of ['alone', 'offered'])
      await expect(holdJob(core, { jobId: await named(name), ...by })).rejects.toEqual(conflict)
    const [refused, left] = [await named('refused'), await named('left')]
    await expect(callBack(core, { jobId: refused, result: 'continue', ...by })).rejects.toEqual(conflict)
    for (const jobId of [refused, left]) await holdJob(core, { jobId, ...by })
    await expect(holdJob(core, { jobId: left, ...by })).rejects.toEqual(conflict)
    const no = { jobId: refused, result: 'failed' as const, message: 'not this week', ...by }
    expect(await callBack(core, no)).toMatchObject({ failureReason: 'api_failure', failureMessage: 'not this week' })
    await expect(callBack(core, no)).rejects.toEqual(conflict)
    await cancelPipeline(core, { pipelineId: pipeline.id, ...by })
    const ended = { alone: 'canceled', offered: 'canceled', refused: 'failed', left: 'canceled' }
    expect(await box.statuses(pipeline)).toEqual(ended)
    const payloads = await core.store.read.db.selectFrom('payloads').select('job_id').execute()
    expect(payloads).toEqual([])
    expect(box.box.reports).toEqual([])
  })
})

import { expect, it } from 'vitest'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { appendTrace } from '../../../src/core/operations/append-trace.js'
import { finishJob } from '../../../src/core/operations/finish-job.js'
import type { Offer } from '../../../src/core/payload/offer.js'
import { processPipeline } from '../../../src/core/steps/process-pipeline.js'
import { startTestCore, type TestCore, type TestRunner } from '../../support/core.js'
import { onBothEngines } from '../../support/stores.js'

const success = {
  state: 'success',
  exitCode: null,
  failureReason: null,
  message: null,
  logLength: null,
  logCrc32: null,
} as const

async function finish(box: TestCore, by: TestRunner, offer: Offer, state: 'success' | 'failed' = 'success') {
  await acceptLease(box.core, { ...offer, managerId: by.manager.id })
  return finishJob(box.core, {
    ...offer,
    report: { ...success, state, ...(state === 'failed' ? { failureReason: 'script_failure', exitCode: 1 } : {}) },
  })
}

/** Processing the pipeline once more changes nothing. */
async function expectProcessed(box: TestCore, pipelineId: number) {
  await box.core.store.write(async (tx) => {
    const look = async () => ({
      jobs: await tx.db.selectFrom('jobs').select(['name', 'status']).where('pipeline_id', '=', pipelineId).execute(),
      stages: await tx.db.selectFrom('stages').selectAll().where('pipeline_id', '=', pipelineId).execute(),
      pipeline: await tx.db.selectFrom('pipelines').select('status').where('id', '=', pipelineId).execute(),
    })
    const before = await look()
    await processPipeline(box.core, tx, pipelineId)
    expect(await look()).toEqual(before)
  })
}

onBothEngines((engine) => {
  it('leads a two-stage pipeline from created to success', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await box.run({
      stages: ['build', 'test'],
      compile: { stage: 'build', script: 'make' },
      unit: { stage: 'test', script: 'make test' },
    })
    expect(pipeline.status).toBe('pending')
    expect(await box.statuses(pipeline)).toEqual({ compile: 'pending', unit: 'created' })

    const runner = await box.runner()
    const first = await runner.request()
    expect(first.offer).toMatchObject({ jobName: 'compile', fence: 1, acceptWithinMs: 10_000 })
    const payload = JSON.parse(first.offer!.payload.toString())
    expect(payload).toMatchObject({
      id: first.offer!.jobId,
      job_info: { name: 'compile', stage: 'build', project_name: 'app', time_in_queue_seconds: 0 },
      runner_info: { timeout: 3600 },
      steps: [{ name: 'script', script: ['make'], timeout: 3600 }],
    })
    expect(payload.token).toMatch(/^glcbt-/)
    expect(await box.statuses(pipeline)).toEqual({ compile: 'pending', unit: 'created' })
    expect((await runner.request()).offer).toBeUndefined()

    await acceptLease(box.core, { ...first.offer!, managerId: runner.manager.id })
    expect(await box.statuses(pipeline)).toEqual({ compile: 'running', unit: 'created' })
    expect(await box.pipelineStatus(pipeline)).toBe('running')

    const text = Buffer.from('hello\n')
    const { jobId, fence } = first.offer!
    expect(await appendTrace(box.core, { jobId, fence, offset: 0, data: text, overlap: 'skip' })).toEqual({ length: 6 })
    expect(await finishJob(box.core, { jobId, fence, report: success })).toEqual({
      outcome: 'applied',
      jobStatus: 'success',
    })
    expect(await box.statuses(pipeline)).toEqual({ compile: 'success', unit: 'pending' })

    const second = await runner.request()
    expect(second.offer?.jobName).toBe('unit')
    await finish(box, runner, second.offer!)
    expect(await box.pipelineStatus(pipeline)).toBe('success')
    expect((await box.core.traces.read(jobId, 0, 6)).toString()).toBe('hello\n')
    expect(box.box.reports).toEqual([])
  })

  it('leases a job to a runner that waits in the transaction that queued it', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const waiter = runner.wait(2)
    const before = box.core.store.stats.bodies
    const { pipeline } = await box.run({ a: { script: 'a' }, b: { script: 'b' }, c: { script: 'c' } })
    // The commit of the pipeline has delivered already, when its promise resolves.
    expect(waiter.offers.map((offer) => offer.jobName)).toEqual(['a', 'b'])
    // One body made the project, one the pipeline with both leases.
    expect(box.core.store.stats.bodies - before).toBe(2)
    expect(await box.statuses(pipeline)).toEqual({ a: 'pending', b: 'pending', c: 'pending' })
    const rows = await box.core.store.read.db.selectFrom('jobs').select(['name', 'in_queue']).orderBy('id').execute()
    expect(rows).toEqual([
      { name: 'a', in_queue: 0 },
      { name: 'b', in_queue: 0 },
      { name: 'c', in_queue: 1 },
    ])
  })

  it('skips what follows a failure, runs on_failure and always, and fails the pipeline', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await box.run({
      stages: ['one', 'two', 'three'],
      bad: { stage: 'one', script: 'false' },
      next: { stage: 'two', script: 'true' },
      rescue: { stage: 'two', script: 'true', when: 'on_failure' },
      tidy: { stage: 'three', script: 'true', when: 'always' },
    })
    const runner = await box.runner()
    await finish(box, runner, (await runner.request()).offer!, 'failed')
    expect(await box.statuses(pipeline)).toEqual({ bad: 'failed', next: 'skipped', rescue: 'pending', tidy: 'created' })
    await finish(box, runner, (await runner.request()).offer!)
    await finish(box, runner, (await runner.request()).offer!)
    expect(await box.statuses(pipeline)).toEqual({ bad: 'failed', next: 'skipped', rescue: 'success', tidy: 'success' })
    expect(await box.pipelineStatus(pipeline)).toBe('failed')
  })

  it('starts jobs by their needs, whatever their stage', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await box.run({
      stages: ['build', 'test', 'deploy'],
      linux: { stage: 'build', script: 'x' },
      mac: { stage: 'build', script: 'x' },
      'test-linux': { stage: 'test', script: 'x', needs: ['linux'] },
      lint: { stage: 'test', script: 'x', needs: [] },
      ship: { stage: 'deploy', script: 'x' },
    })
    expect(await box.statuses(pipeline)).toEqual({
      linux: 'pending',
      mac: 'pending',
      'test-linux': 'created',
      lint: 'pending',
      ship: 'created',
    })
    const runner = await box.runner()
    const offer = (await runner.request()).offer!
    expect(offer.jobName).toBe('linux')
    await finish(box, runner, offer)
    expect(await box.statuses(pipeline)).toMatchObject({ 'test-linux': 'pending', ship: 'created' })
  })

  it('goes on past an optional manual job and waits for a blocking one', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await box.run({
      stages: ['one', 'two', 'three'],
      optional: { stage: 'one', script: 'x', when: 'manual' },
      gate: { stage: 'two', script: 'x', when: 'manual', allow_failure: false },
      last: { stage: 'three', script: 'x' },
    })
    expect(await box.statuses(pipeline)).toEqual({ optional: 'manual', gate: 'manual', last: 'created' })
    expect(await box.pipelineStatus(pipeline)).toBe('manual')
  })

  it('leaves nothing undone after each start and end of jobs side by side, in whatever order they end', async () => {
    await using box = await startTestCore(engine)
    const project = await box.project({
      stages: ['a', 'b', 'c'],
      one: { stage: 'a', script: 'x' },
      two: { stage: 'a', script: 'x' },
      may: { stage: 'a', script: 'x', allow_failure: true },
      early: { stage: 'b', script: 'x', needs: ['one'] },
      after: { stage: 'b', script: 'x' },
      alarm: { stage: 'c', script: 'x', when: 'on_failure' },
    })
    const runner = await box.runner()
    // On PostgreSQL each look takes its time.
    const rounds = engine === 'sqlite' ? 12 : 4
    for (let round = 0; round < rounds; round++) {
      const pipeline = await box.pipeline(project)
      const held: Offer[] = []
      for (let turn = round; ; turn++) {
        const { offer } = await runner.request()
        if (offer) {
          await acceptLease(box.core, { ...offer, managerId: runner.manager.id })
          held.push(offer)
        } else {
          const [ended] = held.splice(turn % Math.max(1, held.length), 1)
          if (!ended) break
          const state = turn % 3 === 0 && round % 4 !== 0 ? 'failed' : 'success'
          await finish(box, runner, ended, state)
        }
        await expectProcessed(box, pipeline.id)
      }
      expect(Object.values(await box.statuses(pipeline))).not.toContain('created')
    }
  })

  it('retries by itself as often as the job asks for', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await box.run({ flaky: { script: 'x', retry: 1 } })
    const runner = await box.runner()
    await finish(box, runner, (await runner.request()).offer!, 'failed')
    expect(await box.statuses(pipeline)).toEqual({ flaky: 'pending' })
    await finish(box, runner, (await runner.request()).offer!, 'failed')
    expect(await box.statuses(pipeline)).toEqual({ flaky: 'failed' })
    expect(await box.pipelineStatus(pipeline)).toBe('failed')
  })
})

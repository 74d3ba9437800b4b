import { expect, it } from 'vitest'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { cancelJob } from '../../../src/core/operations/cancel-job.js'
import type { Pipeline } from '../../../src/core/pipeline.js'
import { type StuckProfile, stuckReasons, stuckSettings } from '../../../src/core/stuck.js'
import { startTestCore, type TestCore } from '../../support/core.js'
import { onBothEngines } from '../../support/stores.js'

const minute = 60_000
const hour = 60 * minute

async function job(box: TestCore, pipeline: Pipeline, name = 'j') {
  return box.core.store.read.db
    .selectFrom('jobs')
    .selectAll()
    .where('pipeline_id', '=', pipeline.id)
    .where('name', '=', name)
    .where('retried', '=', 0)
    .executeTakeFirstOrThrow()
}

const taskRow = (box: TestCore, name: string) =>
  box.tasks.list().then((list) => list.find((task) => task.name === name)!)

onBothEngines((engine) => {
  it('fails a job that waited a day, though runners could take it', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await box.run({ j: { script: 'x' } })
    const runner = await box.runner()
    box.clock.raise(box.clock.now() + 24 * hour - 1)
    await box.core.store.write((tx) =>
      tx.db.updateTable('runner_managers').set({ contacted_at: tx.now }).where('id', '=', runner.manager.id).execute(),
    )
    expect(await box.tasks.run('stuck_ci_jobs')).toBe('nothing to do')
    box.clock.raise(box.clock.now() + 1)
    expect(await box.tasks.run('stuck_ci_jobs')).toBe('1 jobs')
    expect(await job(box, pipeline)).toMatchObject({ status: 'failed', failure_reason: 'stuck_or_timeout_failure' })
    expect(await box.pipelineStatus(pipeline)).toBe('failed')
    expect(await box.tasks.run('stuck_ci_jobs')).toBe('nothing to do')
  })

  it('fails after an hour only what no runner that is online could take, whatever comes first', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner({ tags: ['here'] })
    const { pipeline } = await box.run({
      a: { script: 'x', tags: ['here'] },
      b: { script: 'x', tags: ['nowhere'] },
    })
    box.clock.raise(box.clock.now() + hour)
    expect(await box.tasks.run('stuck_ci_jobs')).toBe('1 jobs')
    expect(await box.statuses(pipeline)).toEqual({ a: 'pending', b: 'failed' })
    expect(runner.runner.active).toBe(1)
    // Two hours after its last word the runner is not online any more.
    box.clock.raise(box.clock.now() + hour)
    expect(await box.tasks.run('stuck_ci_jobs')).toBe('1 jobs')
    expect(await box.statuses(pipeline)).toEqual({ a: 'failed', b: 'failed' })
  })

  it.each(['classic', 'granular'] as StuckProfile[])('gives the reasons of the profile %s', async (profile) => {
    await using box = await startTestCore(engine, { stuck: stuckSettings(profile) })
    const reasons = stuckReasons[profile]
    const runner = await box.runner({ tags: ['t'], maximumTimeoutS: 30 * 24 * 3600 })
    const project = await box.project({
      waits: { script: 'x', tags: ['nowhere'] },
      late: { script: 'x', when: 'delayed', start_in: '1 minute' },
      j: { script: 'x', tags: ['t'], timeout: '2 weeks' },
    })
    const pipeline = await box.pipeline(project)
    await runner.request({ door: 'rest_by_hand' })
    expect(await job(box, pipeline)).toMatchObject({ status: 'running' })
    box.clock.raise(box.clock.now() + hour + minute + 1)
    for (const name of ['stuck_ci_jobs', 'drop_running', 'drop_scheduled', 'drop_canceling']) await box.tasks.run(name)
    expect(await job(box, pipeline, 'waits')).toMatchObject({ failure_reason: reasons.unmatched })
    expect(await job(box, pipeline, 'late')).toMatchObject({ failure_reason: 'stale_schedule' })
    expect(await job(box, pipeline)).toMatchObject({ status: 'failed', failure_reason: reasons.running })
    const { db } = box.core.store.read
    const open = await db.selectFrom('leases').select('id').where('status', 'in', ['offered', 'held']).execute()
    expect(open).toEqual([])
  })

  it('leaves a silent job to its sweep, and only after its threshold; a word of the runner counts', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await box.run({ j: { script: 'x', timeout: '2 weeks' } })
    const runner = await box.runner()
    await runner.request({ door: 'rest_by_hand' })
    box.clock.raise(box.clock.now() + hour - 1)
    expect(await box.tasks.run('drop_running')).toBe('nothing to do')
    box.clock.raise(box.clock.now() + 1)
    expect(await box.tasks.run('expire_leases')).toBe('nothing to do')
    expect(await box.statuses(pipeline)).toEqual({ j: 'running' })
    expect(await box.tasks.run('drop_running')).toBe('1 jobs')
    expect(await box.statuses(pipeline)).toEqual({ j: 'failed' })
  })

  it('cancels a job whose runner does not answer the cancel', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await box.run({ j: { script: 'x', timeout: '2 weeks' } })
    const runner = await box.runner()
    const { offer } = await runner.request({ door: 'rest_by_hand' })
    await cancelJob(box.core, { jobId: offer!.jobId })
    expect(await box.statuses(pipeline)).toEqual({ j: 'canceling' })
    box.clock.raise(box.clock.now() + hour)
    expect(await box.tasks.run('drop_running')).toBe('nothing to do')
    expect(await box.tasks.run('drop_canceling')).toBe('1 jobs')
    expect(await job(box, pipeline)).toMatchObject({ status: 'canceled', failure_reason: null })
  })

  it('ends a job a quarter of an hour past its timeout, and counts it as ended at the timeout', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await box.run({ j: { script: 'x' } })
    const runner = await box.runner()
    const { offer } = await runner.request()
    await acceptLease(box.core, { ...offer!, managerId: runner.manager.id })
    const startedAt = box.clock.now()
    box.clock.raise(startedAt + 75 * minute - 1)
    expect(await box.tasks.run('drop_timed_out')).toBe('nothing to do')
    box.clock.raise(startedAt + 75 * minute)
    expect(await box.tasks.run('drop_timed_out')).toBe('1 jobs')
    expect(await job(box, pipeline)).toMatchObject({
      status: 'failed',
      failure_reason: 'job_execution_timeout',
      finished_at: startedAt + hour,
    })
  })

  it('has the parts of the stuck sweep follow at their distance, also after a restart', async () => {
    await using box = await startTestCore(engine)
    const at = box.clock.now()
    await box.tasks.run('stuck_ci_jobs')
    const planned = [15, 30, 45].map((minutes) => at + minutes * minute)
    const next = async () => [
      (await taskRow(box, 'drop_running')).nextRunAt,
      (await taskRow(box, 'drop_scheduled')).nextRunAt,
      (await taskRow(box, 'drop_canceling')).nextRunAt,
    ]
    expect(await next()).toEqual(planned)
    await box.tasks.load()
    expect(await next()).toEqual(planned)
  })

  it('dooms a job whose drop throws, and goes on with the next', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await box.run({ a: { script: 'x' }, b: { script: 'x' } })
    const { definition_id: sound } = await job(box, pipeline, 'b')
    await box.core.store.write((tx) =>
      tx.db.updateTable('job_definitions').set({ body: 'not json' }).where('id', '<>', sound).execute(),
    )
    box.clock.raise(box.clock.now() + 24 * hour)
    expect(await box.tasks.run('stuck_ci_jobs')).toBe('2 jobs')
    expect(await job(box, pipeline, 'a')).toMatchObject({ status: 'failed', failure_reason: 'data_integrity_failure' })
    expect(await job(box, pipeline, 'b')).toMatchObject({ failure_reason: 'stuck_or_timeout_failure' })
  })
})

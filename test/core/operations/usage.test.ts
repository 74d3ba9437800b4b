import { expect, it } from 'vitest'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { dropTimedOutJobs } from '../../../src/core/operations/drop-stuck-jobs.js'
import { limitUsage, setCostFactors } from '../../../src/core/operations/edit-usage.js'
import { finishJob } from '../../../src/core/operations/finish-job.js'
import { retryPipeline } from '../../../src/core/operations/retry-pipeline.js'
import { listUsage } from '../../../src/core/store/usage.js'
import type { Engine } from '../../../src/core/store/write.js'
import { computeMinutes, monthOf, warningFor } from '../../../src/core/usage.js'
import { startTestCore, type TestCore, type TestRunner } from '../../support/core.js'
import { onBothEngines } from '../../support/stores.js'

const second = 1000
const minute = 60 * second

async function start(box: TestCore, by: TestRunner) {
  const { offer } = await by.request()
  await acceptLease(box.core, { ...offer!, managerId: by.manager.id })
  return offer!
}

/** Runs the next job for so long. */
async function work(box: TestCore, by: TestRunner, ms: number): Promise<void> {
  const offer = await start(box, by)
  box.clock.raise(box.clock.now() + ms)
  await finishJob(box.core, {
    ...offer,
    report: { state: 'success', exitCode: null, failureReason: null, message: null, logLength: null, logCrc32: null },
  })
}

const used = async (box: TestCore) =>
  (await listUsage(box.core.store.read, monthOf(box.clock.now()))).map(({ path, minutes, limit, projects }) => ({
    path,
    minutes,
    limit,
    jobs: projects.map((project) => project.jobs),
  }))

const jobs = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`j${i + 1}`, { script: 'x' }]))

/** Far from the end of a month, whatever the time is where the test runs. */
async function startMidMonth(engine: Engine): Promise<TestCore> {
  const box = await startTestCore(engine)
  const today = new Date(box.clock.now())
  box.clock.raise(Date.UTC(today.getUTCFullYear(), today.getUTCMonth() + 1, 10))
  return box
}

onBothEngines((engine) => {
  it('charges the top-level namespace for what instance runners ran, once', async () => {
    await using box = await startMidMonth(engine)
    const instance = await box.runner()
    const { project } = await box.run(jobs(3), 'acme/deep/app')
    const own = await box.runner({ type: 'project', projectId: project.id })
    await work(box, instance, 90 * second)
    await setCostFactors(box.core, instance.runner.id, { public: 0, private: 2 })
    expect(await box.tasks.run('count_usage')).toBe('1 charged')
    // The factor is the one at the time of counting.
    expect(await used(box)).toEqual([{ path: 'acme', minutes: 3, limit: null, jobs: [1] }])
    await work(box, own, 60 * minute)
    await work(box, instance, 60 * minute)
    expect(await box.tasks.run('count_usage')).toBe('1 charged')
    expect(await box.tasks.run('count_usage')).toBe('nothing to do')
    expect(await used(box)).toEqual([{ path: 'acme', minutes: 123, limit: null, jobs: [2] }])
    const open = await box.project(jobs(1), 'open/app')
    await box.core.store.write((tx) =>
      tx.db.updateTable('projects').set({ visibility: 'public' }).where('id', '=', open.id).execute(),
    )
    await box.pipeline(open)
    await work(box, instance, 60 * minute)
    await box.tasks.run('count_usage')
    expect((await used(box))[1]).toEqual({ path: 'open', minutes: 0, limit: null, jobs: [1] })
  })

  it('charges a job that ran over its timeout for the timeout only', async () => {
    await using box = await startMidMonth(engine)
    const instance = await box.runner()
    await box.run(jobs(1))
    await start(box, instance)
    box.clock.raise(box.clock.now() + 100 * minute)
    expect(await dropTimedOutJobs(box.core)).toBe(1)
    await box.tasks.run('count_usage')
    expect((await used(box))[0]).toMatchObject({ minutes: 60 })
  })

  it('gives a namespace without minutes no instance runner, and fails what no other could take', async () => {
    await using box = await startMidMonth(engine)
    const instance = await box.runner()
    const { project, pipeline } = await box.run({ ...jobs(2), later: { script: 'x', stage: 'deploy', tags: ['own'] } })
    await limitUsage(box.core, { namespace: 'acme', minutes: 1 })
    await work(box, instance, 2 * minute)
    expect(await box.tasks.run('count_usage')).toBe('1 charged')
    // What waits already goes on waiting; what comes now fails.
    expect((await instance.request()).offer).toBeUndefined()
    expect(await box.statuses(pipeline)).toEqual({ j1: 'success', j2: 'pending', later: 'created' })
    const failed = await box.pipeline(project, { ref: 'other' })
    expect(await box.statuses(failed)).toEqual({ j1: 'failed', j2: 'failed', later: 'skipped' })
    const { failure_reason: reason } = await box.core.store.read.db
      .selectFrom('jobs')
      .select('failure_reason')
      .where('pipeline_id', '=', failed.id)
      .where('name', '=', 'j1')
      .executeTakeFirstOrThrow()
    expect(reason).toBe('ci_quota_exceeded')
    // A runner of the project costs nothing.
    const own = await box.runner({ type: 'project', projectId: project.id, tags: ['own'] })
    expect((await own.request()).offer?.jobName).toBe('j2')
    await retryPipeline(box.core, { pipelineId: failed.id, userId: 1 })
    expect(await box.statuses(failed)).toMatchObject({ j1: 'pending', j2: 'pending' })
    expect((await instance.request()).offer).toBeUndefined()
    // The next month begins with nothing used.
    const now = new Date(box.clock.now())
    box.clock.raise(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1))
    await box.tasks.run('count_usage')
    expect((await instance.request()).offer?.jobName).toBe('j1')
    await limitUsage(box.core, { namespace: 'acme', minutes: 0 })
    expect((await instance.request()).offer).toBeUndefined()
    await limitUsage(box.core, { namespace: 'acme', minutes: null })
    expect((await instance.request()).offer?.jobName).toBe('j2')
  })

  it('lets running jobs go on for a thousand minutes more, and no longer', async () => {
    await using box = await startMidMonth(engine)
    const instance = await box.runner()
    const { pipeline } = await box.run({ j1: { script: 'x', timeout: '2 weeks' } })
    await limitUsage(box.core, { namespace: 'acme', minutes: 10 })
    await start(box, instance)
    box.clock.raise(box.clock.now() + 1010 * minute)
    expect(await box.tasks.run('count_usage')).toBe('nothing to do')
    box.clock.raise(box.clock.now() + minute)
    expect(await box.tasks.run('count_usage')).toBe('1 dropped')
    expect(await box.statuses(pipeline)).toEqual({ j1: 'failed' })
  })

  it('refuses limits and factors that are none', async () => {
    await using box = await startMidMonth(engine)
    await box.project(jobs(1), 'acme/deep/app')
    const limit = (namespace: string, minutes: number) => limitUsage(box.core, { namespace, minutes })
    await expect(limit('nobody', 1)).rejects.toMatchObject({ code: 'not_found' })
    await expect(limit('acme/deep', 1)).rejects.toMatchObject({ code: 'invalid' })
    await expect(limit('acme', -1)).rejects.toMatchObject({ code: 'invalid' })
    expect(() => setCostFactors(box.core, 1, { public: 0, private: Number.NaN })).toThrow('private')
    await expect(setCostFactors(box.core, 99, { public: 0, private: 1 })).rejects.toMatchObject({ code: 'not_found' })
  })
})

it.each([
  [90, 1, 1.5],
  [3600, 2, 120],
  [600, 0.008, 0.08],
  [-5, 1, 0],
])('%i s at a factor of %d are %d minutes', (seconds, factor, minutes) => {
  expect(computeMinutes(0, seconds * second, factor)).toBeCloseTo(minutes, 10)
})

it.each([
  [0, undefined],
  [75, undefined],
  [76, 'low'],
  [96, 'very_low'],
  [100, 'none'],
])('%i of 100 minutes used: %s', (minutes, warning) => {
  expect(warningFor({ minutes, limit: 100 })).toBe(warning)
})

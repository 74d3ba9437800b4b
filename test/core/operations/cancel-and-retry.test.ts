import { expect, it } from 'vitest'
import { type FailureReason, retriesByItself } from '../../../src/core/failure.js'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { finishJob } from '../../../src/core/operations/finish-job.js'
import type { Offer } from '../../../src/core/payload/offer.js'
import type { Pipeline } from '../../../src/core/pipeline.js'
import { startTestCore, type TestCore, type TestRunner } from '../../support/core.js'
import { onBothEngines } from '../../support/stores.js'

async function start(box: TestCore, by: TestRunner): Promise<Offer> {
  const { offer } = await by.request()
  await acceptLease(box.core, { ...offer!, managerId: by.manager.id })
  return offer!
}

async function fail(box: TestCore, offer: Offer, exitCode: number) {
  const report = { state: 'failed', exitCode, failureReason: 'script_failure', message: null } as const
  await finishJob(box.core, { ...offer, report: { ...report, logLength: null, logCrc32: null } })
}

/** A pipeline, then another of the next commit of the same branch. */
async function supersede(box: TestCore, config: object, between: (first: Pipeline) => Promise<void>, ref = 'main') {
  const project = await box.project(config)
  const first = await box.pipeline(project)
  await between(first)
  box.configure(project, config)
  const second = await box.pipeline(project, { ref })
  return { project, first, second }
}

const nothing = async () => undefined

onBothEngines((engine) => {
  it('makes a pipeline though the older ones cannot be canceled', async () => {
    await using box = await startTestCore(engine)
    const { second } = await supersede(box, { a: { script: 'x' } }, async () => {
      await box.core.store.write((tx) => tx.db.updateTable('job_definitions').set({ body: 'not json' }).execute())
    })
    expect(await box.statuses(second)).toEqual({ a: 'pending' })
    expect(box.logged).toContainEqual(
      expect.objectContaining({ level: 'error', message: 'redundant pipelines could not be canceled' }),
    )
  })

  it('cancels the older pipeline of a branch while nothing of it has run', async () => {
    await using box = await startTestCore(engine)
    const { first, second } = await supersede(box, { a: { script: 'x' }, b: { script: 'x', stage: 'deploy' } }, nothing)
    expect(await box.statuses(first)).toEqual({ a: 'canceled', b: 'canceled' })
    expect(await box.pipelineStatus(first)).toBe('canceled')
    expect(await box.statuses(second)).toEqual({ a: 'pending', b: 'created' })
    const row = await box.core.store.read.db
      .selectFrom('pipelines')
      .select('auto_canceled_by')
      .where('id', '=', first.id)
      .executeTakeFirstOrThrow()
    expect(row.auto_canceled_by).toBe(second.id)
  })

  it('is conservative: one started job that may not be interrupted keeps the whole pipeline', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const config = { a: { script: 'x' }, b: { script: 'x', interruptible: true } }
    const { first } = await supersede(box, config, async () => void (await start(box, runner)))
    expect(await box.statuses(first)).toEqual({ a: 'running', b: 'pending' })
  })

  it('cancels all of it when what has started may be interrupted', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const config = { a: { script: 'x', interruptible: true }, b: { script: 'x' } }
    const { first } = await supersede(box, config, async () => void (await start(box, runner)))
    expect(await box.statuses(first)).toEqual({ a: 'canceling', b: 'canceled' })
  })

  it.each([
    ['interruptible', { a: 'running', b: 'canceled' }],
    ['none', { a: 'running', b: 'pending' }],
  ])('follows workflow:auto_cancel:on_new_commit: %s', async (strategy, statuses) => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const config = {
      workflow: { auto_cancel: { on_new_commit: strategy } },
      a: { script: 'x' },
      b: { script: 'x', interruptible: true },
    }
    const { first } = await supersede(box, config, async () => void (await start(box, runner)))
    expect(await box.statuses(first)).toEqual(statuses)
  })

  it('leaves alone pipelines of another branch, of the same commit, and of projects that do not want it', async () => {
    await using box = await startTestCore(engine)
    const config = { a: { script: 'x' } }
    const { project, first } = await supersede(box, config, nothing, 'other')
    expect(await box.statuses(first)).toEqual({ a: 'pending' })
    const again = await box.pipeline(project, { ref: 'other' })
    expect(again.status).toBe('pending')
    await box.core.store.write((tx) => tx.db.updateTable('projects').set({ auto_cancel: 0 }).execute())
    box.configure(project, config)
    await box.pipeline(project)
    expect(await box.statuses(first)).toEqual({ a: 'pending' })
  })

  it('cancels the rest of a pipeline when a job fails, if the file wants it, and not while it is tried again', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await box.run({
      workflow: { auto_cancel: { on_job_failure: 'all' } },
      a: { script: 'x', retry: 1 },
      b: { script: 'x' },
      c: { script: 'x', stage: 'deploy' },
    })
    const runner = await box.runner()
    await fail(box, await start(box, runner), 1)
    expect(await box.statuses(pipeline)).toEqual({ b: 'pending', c: 'created', a: 'pending' })
    const order = [await start(box, runner), await start(box, runner)]
    await fail(box, order.find((offer) => offer.jobName === 'a')!, 1)
    expect(await box.statuses(pipeline)).toEqual({ b: 'canceling', c: 'canceled', a: 'failed' })
  })

  it('retries after the exit codes that the job names, and allows the failures that it names', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await box.run({
      a: { script: 'x', retry: { max: 1, exit_codes: [137] }, allow_failure: { exit_codes: [42] } },
    })
    const runner = await box.runner()
    await fail(box, await start(box, runner), 137)
    expect(await box.statuses(pipeline)).toEqual({ a: 'pending' })
    await fail(box, await start(box, runner), 42)
    expect(await box.statuses(pipeline)).toEqual({ a: 'failed' })
    expect(await box.pipelineStatus(pipeline)).toBe('success')
  })
})

it.each<[{ max: number; when?: string[]; exitCodes?: number[] } | undefined, FailureReason, number, number, boolean]>([
  [{ max: 2 }, 'script_failure', 1, 0, true],
  [{ max: 2 }, 'script_failure', 1, 2, false],
  [undefined, 'scheduler_failure', 1, 1, true],
  [undefined, 'scheduler_failure', 1, 2, false],
  [{ max: 2 }, 'missing_dependency_failure', 1, 0, false],
  [{ max: 1, when: [], exitCodes: [137] }, 'script_failure', 1, 0, false],
  [{ max: 1, when: [], exitCodes: [137] }, 'script_failure', 137, 0, true],
  [{ max: 2, when: ['runner_system_failure'] }, 'script_failure', 1, 0, false],
  [{ max: 0 }, 'scheduler_failure', 1, 0, false],
  [{ max: 1, when: ['stuck_or_timeout_failure'] }, 'no_updates_running', 1, 0, true],
  [{ max: 1, when: ['job_execution_timeout'] }, 'server_timeout_running', 1, 0, true],
])('decides %j for %s, exit %i, after %i tries: %j', (policy, reason, exitCode, retries, again) => {
  const given = policy && { ...policy, when: policy.when ?? ['always'] }
  expect(retriesByItself(given, { reason, exitCode }, retries)).toBe(again)
})

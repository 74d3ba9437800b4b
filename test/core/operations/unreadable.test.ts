/** What is sealed and cannot be opened ends the job that needs it, and holds up no other. */
import { expect, it } from 'vitest'
import type { Job } from '../../../src/core/job.js'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { explainJob } from '../../../src/core/operations/explain-job.js'
import { finishJob } from '../../../src/core/operations/finish-job.js'
import { voidOffer } from '../../../src/core/operations/void-offer.js'
import type { Pipeline } from '../../../src/core/pipeline.js'
import { findJob } from '../../../src/core/store/jobs.js'
import { startTestCore, type TestCore } from '../../support/core.js'
import { onBothEngines } from '../../support/stores.js'

const damaged = Buffer.alloc(64, 1)
const success = {
  state: 'success' as const,
  exitCode: null,
  failureReason: null,
  message: null,
  logLength: null,
  logCrc32: null,
}

async function jobOf(box: TestCore, pipeline: Pipeline, name: string): Promise<Job> {
  const { read } = box.core.store
  const found = read.db.selectFrom('jobs').select('id').where('pipeline_id', '=', pipeline.id).where('name', '=', name)
  return (await findJob(read, (await found.executeTakeFirstOrThrow()).id))!
}

async function damagePayload(box: TestCore, jobId: number): Promise<void> {
  await box.core.store.write((tx) =>
    tx.db.updateTable('payloads').set({ body: damaged }).where('job_id', '=', jobId).execute(),
  )
}

const unreadable = { status: 'failed', failureReason: 'data_integrity_failure', failureClass: 'internal' }

onBothEngines((engine) => {
  it('fails a job whose payload is damaged when a runner asks, and gives the runner the next', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const bad = await box.run({ bad: { script: 'x' }, after: { stage: 'deploy', script: 'x' } }, 'g/a')
    await box.run({ good: { script: 'x' } }, 'g/b')
    const job = await jobOf(box, bad.pipeline, 'bad')
    await damagePayload(box, job.id)
    expect((await explainJob(box.core, job)).summary).toMatch(/cannot be opened/)
    const { offer } = await runner.request()
    expect(offer?.jobName).toBe('good')
    const failed = await jobOf(box, bad.pipeline, 'bad')
    expect(failed).toMatchObject(unreadable)
    expect((await explainJob(box.core, failed)).summary).toMatch(/data_integrity_failure.*cannot be read/)
    expect(await box.pipelineStatus(bad.pipeline)).toBe('failed')
  })

  it('fails it when its offer is repeated, or goes to the next runner', async () => {
    await using box = await startTestCore(engine)
    const one = await box.runner()
    const two = await box.runner({ systemId: 's_000000000002' })
    const first = await box.run({ bad: { script: 'x' } }, 'g/a')
    const { offer } = await one.request({ requestId: 'r1', door: 'rest_two_phase' })
    await damagePayload(box, offer!.jobId)
    expect((await one.request({ requestId: 'r1', door: 'rest_two_phase' })).offer).toBeUndefined()
    expect(await jobOf(box, first.pipeline, 'bad')).toMatchObject(unreadable)

    const second = await box.run({ bad: { script: 'x' } }, 'g/b')
    const offered = (await one.request()).offer!
    const waiter = two.wait(1)
    await damagePayload(box, offered.jobId)
    await voidOffer(box.core, offered, 'refused')
    expect(await jobOf(box, second.pipeline, 'bad')).toMatchObject(unreadable)
    expect([waiter.offers, waiter.free()]).toEqual([[], 1])
  })

  it('fails a job whose variables are damaged when its turn comes, and takes the report of the one before', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const { pipeline } = await box.run({ first: { script: 'x' }, second: { stage: 'deploy', script: 'x' } })
    const offer = (await runner.request()).offer!
    await acceptLease(box.core, { ...offer, managerId: runner.manager.id })
    await box.core.store.write((tx) => tx.db.updateTable('pipelines').set({ variables: damaged }).execute())
    box.core.memory.pipelineVariables.delete(pipeline.id)
    expect(await finishJob(box.core, { ...offer, report: success })).toMatchObject({ outcome: 'applied' })
    expect(await jobOf(box, pipeline, 'second')).toMatchObject(unreadable)
    expect(await box.pipelineStatus(pipeline)).toBe('failed')
  })
})

import { expect, it } from 'vitest'
import { coverageIn } from '../../../src/core/ci-config/coverage.js'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { appendTrace } from '../../../src/core/operations/append-trace.js'
import { finishJob } from '../../../src/core/operations/finish-job.js'
import { retryJob } from '../../../src/core/operations/retry-job.js'
import { getJob, pipelineCoverage } from '../../../src/core/store/jobs.js'
import { startTestCore, type TestCore, type TestRunner } from '../../support/core.js'
import { eventually } from '../../support/eventually.js'
import { onBothEngines } from '../../support/stores.js'

async function runWith(box: TestCore, runner: TestRunner, log: string): Promise<number> {
  const offer = (await runner.request()).offer!
  await acceptLease(box.core, { ...offer, managerId: runner.manager.id })
  await appendTrace(box.core, { ...offer, offset: 0, data: Buffer.from(log), overlap: 'skip' })
  await finishJob(box.core, {
    ...offer,
    report: { state: 'success', exitCode: null, failureReason: null, message: null, logLength: null, logCrc32: null },
  })
  return offer.jobId
}

const coverageOf = async (box: TestCore, id: number) => (await getJob(box.core.store.read, id)).coverage

onBothEngines((engine) => {
  it('finds the coverage in the log of a job that has ended, and the mean of a pipeline', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const { pipeline } = await box.run({
      a: { script: 'x', coverage: '/Total: (\\d+\\.\\d+)%/' },
      b: { script: 'x', coverage: '/\\d+%/' },
      c: { script: 'x' },
    })
    const a = await runWith(box, runner, 'Total: 10.5%\nTotal: 80.5%\nbye\n')
    const b = await runWith(box, runner, '90% of it')
    await runWith(box, runner, 'Total: 1.0%')
    await eventually(async () => expect([await coverageOf(box, a), await coverageOf(box, b)]).toEqual([80.5, 90]))
    expect(await pipelineCoverage(box.core.store.read, pipeline.id)).toBe(85.25)
    const again = await retryJob(box.core, { jobId: a, userId: 1 })
    expect(again).toMatchObject({ coverage: null, finishWork: 1 })
  })

  it('keeps the work while its task is paused', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    await box.tasks.setPaused('finish_work', true)
    await box.run({ a: { script: 'x', coverage: '/\\d+%/' } })
    const id = await runWith(box, runner, '7%')
    expect(await coverageOf(box, id)).toBeNull()
    await box.tasks.setPaused('finish_work', false)
    expect(await box.tasks.run('finish_work')).toBe('1 jobs')
    expect(await coverageOf(box, id)).toBe(7)
    expect(await box.tasks.run('finish_work')).toBe('nothing to do')
  })
})

it.each([
  ['Coverage: 42', 'Coverage: \\d+', 42],
  ['a 1% b 2%', '\\d+%', 2],
  ['all (12.50) of (99)', '\\((\\d+\\.\\d+)\\)', 12.5],
  ['nothing here', '\\d+%', null],
  ['50%\r\n', '\\d+%', 50],
  ['x', '(', null],
])('finds in %j by %s: %s', (log, pattern, coverage) => {
  expect(coverageIn(log, pattern)).toBe(coverage)
})

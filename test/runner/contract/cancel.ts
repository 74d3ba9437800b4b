import { expect, test } from 'vitest'
import type { TransportName } from '../../../src/runner/transports/transport.js'
import { Harness } from '../support/harness.js'
import { isAlive, stubborn, stubbornPids, talk } from '../support/processes.js'

/** How a job is ended before its time. */
export function cancelContract(transport: TransportName): void {
  test('a graceful cancel ends the script, then runs after_script and uploads', async () => {
    await using harness = await Harness.start(transport)
    const job = harness.box.add({
      script: ['echo kept > kept.txt', 'echo is ready', talk],
      afterScript: ['echo "after: $CI_JOB_STATUS"'],
      extra: {
        artifacts: [
          { paths: ['kept.txt'], when: 'on_failure', artifact_type: 'archive', artifact_format: 'zip' },
          { paths: ['kept.txt'], when: 'on_success', artifact_type: 'junit', artifact_format: 'gzip' },
        ],
      },
    })
    await harness.runner()
    await job.says('is ready\n')
    harness.box.cancel(job, 'graceful')
    expect(await job.finished()).toMatchObject({ state: 'failed', failureReason: 'job_canceled', exitCode: undefined })
    expect(job.status).toBe('canceled')
    expect(job.text).toContain('after: canceled\n')
    expect(job.artifacts.map(({ type }) => type)).toEqual(['archive'])
    if (transport !== 'poll') expect(job.cancelPhases).toEqual(['received', 'stopped'])
  })

  test('a forced cancel kills a process tree that ignores signals and hides in other sessions', async () => {
    await using harness = await Harness.start(transport)
    const job = harness.box.add({ script: stubborn(harness.root), afterScript: ['echo never'] })
    const runner = await harness.runner()
    await job.says('is ready\n')
    const pids = stubbornPids(harness.root)
    expect(pids.map(isAlive)).toEqual([true, true, true])
    harness.box.cancel(job, 'force')
    const { report } = await runner.event('job.finished')
    expect(pids.map(isAlive)).toEqual([false, false, false])
    expect(report).toMatchObject({ state: 'failed', failureReason: 'job_canceled' })
    expect(job.text).not.toContain('never')
    await runner.event('job.reported')
  })

  test('what does not end in its time of grace is killed', async () => {
    await using harness = await Harness.start(transport)
    const job = harness.box.add({ script: stubborn(harness.root), afterScript: ['echo "after: $CI_JOB_STATUS"'] })
    await harness.runner({ cancelGraceMs: 300 })
    await job.says('is ready\n')
    const pids = stubbornPids(harness.root)
    harness.box.cancel(job, 'graceful', 300)
    expect(await job.finished()).toMatchObject({ failureReason: 'job_canceled' })
    expect(pids.map(isAlive)).toEqual([false, false, false])
    expect(job.text).toContain('after: canceled\n')
  })

  test('a second cancel does not wait for the grace of the first', async () => {
    await using harness = await Harness.start(transport)
    const job = harness.box.add({ script: stubborn(harness.root), afterScript: ['echo never'] })
    const runner = await harness.runner()
    await job.says('is ready\n')
    harness.box.cancel(job, 'graceful', 60_000)
    await runner.event('job.canceling', ({ mode }) => mode === 'graceful')
    harness.box.cancel(job, 'force')
    await runner.event('job.canceling', ({ mode }) => mode === 'force')
    await runner.event('job.finished')
    expect(stubbornPids(harness.root).map(isAlive)).toEqual([false, false, false])
    expect(job.text).not.toContain('never')
  })

  test('a forced cancel cuts the grace short also where the sources are still being fetched', async () => {
    await using harness = await Harness.start(transport)
    const hook = { name: 'pre_get_sources_script', script: ["trap '' TERM", 'echo is ready', talk] }
    const job = harness.box.add({
      variables: { GIT_STRATEGY: 'fetch' },
      extra: { hooks: [hook] },
      afterScript: ['echo never'],
    })
    const runner = await harness.runner()
    await job.says('is ready\n')
    harness.box.cancel(job, 'graceful', 60_000)
    await runner.event('job.canceling', ({ mode }) => mode === 'graceful')
    harness.box.cancel(job, 'force')
    const { report } = await runner.event('job.finished')
    expect(report).toMatchObject({ failureReason: 'job_canceled' })
    expect(job.text).not.toContain('never')
  })

  test('a job that is canceled before it begins runs nothing', async () => {
    await using harness = await Harness.start(transport)
    const job = harness.box.add({ script: ['echo never'] })
    job.cancel = { revision: 1, mode: 'graceful', graceMs: 1_000 }
    job.treat.cancelWithLease = true
    await harness.runner()
    expect(await job.finished()).toMatchObject({ state: 'failed', failureReason: 'job_canceled' })
    expect(job.text).not.toContain('never')
  })

  test('RUNNER_SCRIPT_TIMEOUT ends the script and leaves time for after_script', async () => {
    await using harness = await Harness.start(transport)
    const job = harness.box.add({
      script: ['sleep 1000'],
      afterScript: ['echo "after: $CI_JOB_STATUS"'],
      variables: { RUNNER_SCRIPT_TIMEOUT: '200ms' },
    })
    await harness.runner()
    expect(await job.finished()).toMatchObject({ state: 'failed', failureReason: 'job_execution_timeout' })
    expect(job.text).toContain('after: timedout\n')
  })
}

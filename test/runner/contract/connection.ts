import { expect, test } from 'vitest'
import { RunnerError } from '../../../src/runner/runner-error.js'
import type { TransportName } from '../../../src/runner/transports/transport.js'
import { Harness } from '../support/harness.js'
import { isAlive, waitFor } from '../support/processes.js'

/** What outlives a connection, a runner and a coordinator, and what does not. */
export function connectionContract(transport: TransportName): void {
  test('a job that is given to somebody else is killed and forgotten', async () => {
    await using harness = await Harness.start(transport)
    const job = harness.box.add({ script: ['echo "pid $$ is ready"', 'while :; do echo on; sleep 0.05; done'] })
    const runner = await harness.runner()
    await job.says('is ready\n')
    const pid = Number(/pid (\d+) is ready/.exec(job.text)?.[1])
    harness.box.fence(job)
    await runner.event('job.finished')
    expect(isAlive(pid)).toBe(false)
    expect(job.report).toBeUndefined()
    const next = harness.box.add()
    expect(await next.finished()).toMatchObject({ state: 'success' })
    await harness.spoolIsEmpty()
  })

  test('a drained runner finishes what it has, takes nothing more, and ends', async () => {
    await using harness = await Harness.start(transport)
    const job = harness.box.add({ script: ['echo is ready', waitFor(harness.file('go'))] })
    const runner = await harness.runner()
    await job.says('is ready\n')
    const drained = runner.handle.drain()
    await runner.event('draining')
    const late = harness.box.add()
    harness.touch('go')
    await drained
    await runner.handle.done
    expect(job.report).toMatchObject({ state: 'success', logLength: job.log.length, logCrc: job.logCrc })
    // At most it was offered on a connection that was just being closed.
    expect(late.status).not.toBe('running')
    expect(late.done).toBe(false)
    await runner.handle.drain()
    await runner.handle.stop()
    await runner.handle.close()
  })

  test('a stopped runner ends its jobs as interrupted and reports that', async () => {
    await using harness = await Harness.start(transport)
    const job = harness.box.add({ script: ['echo "pid $$ is ready"', 'sleep 1000'], afterScript: ['echo never'] })
    const runner = await harness.runner()
    await job.says('is ready\n')
    const pid = Number(/pid (\d+) is ready/.exec(job.text)?.[1])
    await runner.handle.stop()
    expect(job.report).toMatchObject({ state: 'failed', failureReason: 'runner_interrupted', logCrc: job.logCrc })
    expect(isAlive(pid)).toBe(false)
    expect(job.text).not.toContain('never')
  })

  test('a report that nobody took is delivered by the next process', async () => {
    await using harness = await Harness.start(transport)
    const job = harness.box.add({ script: ['seq 1 5000', 'exit 3'] })
    job.treat.ackState = false
    const runner = await harness.runner()
    await job.until(() => job.reports.length > 0, 'a report')
    await runner.handle.close()
    job.treat.ackState = true
    const next = await harness.runner()
    expect(await job.finished()).toMatchObject({ state: 'failed', exitCode: 3, logCrc: job.logCrc })
    await next.event('job.reported')
    await harness.spoolIsEmpty()
  })

  test('a job whose runner died is reported by the next one, with the log up to there', async () => {
    await using harness = await Harness.start(transport)
    const job = harness.box.add({ script: ['echo "pid $$"', 'echo is ready', 'sleep 1000'] })
    const runner = await harness.runner()
    await job.says('is ready\n')
    const copy = harness.copyWorkDir()
    const left = harness.leftover(copy)
    await runner.handle.close()
    const next = await harness.runner({ workDir: copy, systemId: runner.handle.systemId })
    expect(await job.finished()).toMatchObject({ failureReason: 'runner_system_failure', logCrc: job.logCrc })
    expect(job.text).toContain('is ready\n')
    expect(job.text).toContain('the runner process ended while the job ran')
    expect(isAlive(left)).toBe(false)
    await next.event('job.reported')
  })

  test('a token that is not known ends the runner', async () => {
    await using harness = await Harness.start(transport)
    harness.box.tokens.clear()
    const runner = await harness.runner()
    const error: unknown = await runner.handle.done.catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(RunnerError)
    expect(error).toMatchObject({ code: 'unauthorized' })
  })

  test('a runner that is started before its coordinator finds it', async () => {
    await using harness = await Harness.start(transport)
    await harness.box.unlisten()
    const job = harness.box.add()
    const runner = await harness.runner()
    await runner.event('disconnected')
    await harness.box.listen()
    expect(await job.finished()).toMatchObject({ state: 'success' })
  })

  test('once takes one job and ends', async () => {
    await using harness = await Harness.start(transport)
    const first = harness.box.add()
    const second = harness.box.add()
    const runner = await harness.runner({ once: true })
    await runner.handle.done
    expect(first.report).toMatchObject({ state: 'success' })
    expect(second.status).toBe('pending')
  })
}

import { expect, test } from 'vitest'
import type { TransportName } from '../../../src/runner/transports/transport.js'
import { Harness } from '../support/harness.js'

/** How jobs are run and what is said of them. */
export function jobContract(transport: TransportName): void {
  test('runs a job and reports its success with the whole log', async () => {
    await using harness = await Harness.start(transport)
    const job = harness.box.add({ script: ['echo hello', 'echo to stderr >&2', 'echo by name > /dev/stderr'] })
    const runner = await harness.runner()
    const report = await job.finished()
    expect(report).toMatchObject({ state: 'success', logLength: job.log.length, logCrc: job.logCrc })
    expect(job.text).toContain('\x1b[32;1m$ echo hello\x1b[0;m\nhello\n')
    expect(job.text).toMatch(/to stderr\n.*by name\n.*Job succeeded/s)
    await runner.event('job.reported', ({ outcome }) => outcome === 'applied')
  })

  test('reports the exit code of a script that fails, and runs nothing after it', async () => {
    await using harness = await Harness.start(transport)
    const job = harness.box.add({ script: ['echo before', 'exit 7', 'echo after'] })
    await harness.runner()
    expect(await job.finished()).toMatchObject({ state: 'failed', exitCode: 7, failureReason: 'script_failure' })
    expect(job.text).toContain('before\n')
    expect(job.text).not.toMatch(/^after$/m)
    expect(job.text).toContain('\x1b[31;1mERROR: Job failed: exit code 7\n\x1b[0;m')
  })

  test('runs jobs side by side, each in a folder of its own, and the next where the first was', async () => {
    await using harness = await Harness.start(transport)
    const meet = (own: string, other: string) => [
      `touch '${harness.file(own)}'`,
      `while [ ! -e '${harness.file(other)}' ]; do sleep 0.02; done`,
      'echo "works in $CI_PROJECT_DIR as $CI_CONCURRENT_ID"',
    ]
    const first = harness.box.add({ script: meet('a', 'b') })
    const second = harness.box.add({ script: meet('b', 'a') })
    await harness.runner({ concurrency: 2 })
    expect(await first.finished(), first.text).toMatchObject({ state: 'success' })
    expect(await second.finished(), second.text).toMatchObject({ state: 'success' })
    const third = harness.box.add({ script: ['echo "works in $CI_PROJECT_DIR as $CI_CONCURRENT_ID"'] })
    await third.finished()
    const places = [first, second, third].map((job) => /^works in (.*) as (\d)$/m.exec(job.text)?.slice(1))
    expect(places[0]).not.toEqual(places[1])
    const both = `${first.text}\n${second.text}`
    expect(new Set([places[0]?.[1], places[1]?.[1]]), both).toEqual(new Set(['0', '1']))
    expect(places[2]?.[1]).toBe('0')
    expect(places[2]?.[0]).toMatch(/work\/builds\/FakeRunne\/0\/ops\/demo$/)
  })

  test('takes no more jobs at once than it has places for', async () => {
    await using harness = await Harness.start(transport)
    const script = [`while [ ! -e '${harness.file('go')}' ]; do sleep 0.02; done`]
    const jobs = [harness.box.add({ script }), harness.box.add({ script }), harness.box.add({ script })]
    const runner = await harness.runner({ concurrency: 2 })
    await runner.event('job.started', ({ jobId }) => jobId === 2)
    expect(jobs.map((job) => job.status)).toEqual(['running', 'running', 'pending'])
    harness.touch('go')
    await Promise.all(jobs.map((job) => job.finished()))
    expect(runner.count('job.rejected')).toBe(0)
  })

  test('stops a job whose time is over and says so', async () => {
    await using harness = await Harness.start(transport)
    const job = harness.box.add({
      script: ['echo begins', 'sleep 1000'],
      afterScript: ['echo never'],
      timeoutSeconds: 0.4,
    })
    await harness.runner()
    expect(await job.finished()).toMatchObject({ state: 'failed', failureReason: 'job_execution_timeout' })
    expect(job.text).toContain('ERROR: Job failed: execution took longer than 0.4s seconds')
    expect(job.text).not.toContain('never')
  })

  test('fails what it cannot run at all with a sentence about it', async () => {
    await using harness = await Harness.start(transport)
    const steps = harness.box.add({ extra: { run: '[{"name":"a"}]' } })
    const inputs = harness.box.add({ extra: { inputs: [{ key: 'a', value: { type: 'string', content: 'b' } }] } })
    const secrets = harness.box.add({ extra: { secrets: { KEY: { vault: { path: 'a' } } } } })
    await harness.runner()
    for (const job of [steps, inputs, secrets]) {
      expect(await job.finished()).toMatchObject({ state: 'failed', failureReason: 'runner_configuration_error' })
    }
    expect(steps.text).toContain('`run:` steps are not supported by this runner')
    expect(inputs.text).toContain('job inputs are not supported by this runner')
    expect(secrets.text).toContain('secrets from a provider are not supported by this runner: KEY')
  })
}

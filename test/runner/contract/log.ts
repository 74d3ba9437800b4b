import { expect, test } from 'vitest'
import type { TransportName } from '../../../src/runner/transports/transport.js'
import type { FakeJob } from '../support/fake-job.js'
import { Harness } from '../support/harness.js'
import { waitFor } from '../support/processes.js'

/** That the log arrives as it was written: no byte lost, doubled or moved. */
export function logContract(transport: TransportName): void {
  test('delivers a large log byte by byte', async () => {
    await using harness = await Harness.start(transport)
    const job = harness.box.add({ script: ['seq 1 200000', "printf '\\377\\376\\000\\200\\n'"] })
    await harness.runner()
    await expectWhole(job, 200_000)
    expect(job.log.includes(Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x0a]))).toBe(true)
  })

  test('goes on with the log after the connection was cut in the middle', async () => {
    await using harness = await Harness.start(transport)
    const script = ['seq 1 30000', waitFor(harness.file('go')), 'seq 30001 60000']
    const job = harness.box.add({ script })
    await harness.runner()
    await job.says('\n30000\n')
    harness.box.cut()
    harness.touch('go')
    await expectWhole(job, 60_000)
  })

  test('loses nothing while the coordinator is away and comes back', async () => {
    await using harness = await Harness.start(transport)
    const script = ['seq 1 10000', waitFor(harness.file('go')), 'seq 10001 40000', `touch '${harness.file('done')}'`]
    const job = harness.box.add({ script })
    const runner = await harness.runner()
    await job.says('\n10000\n')
    await harness.box.unlisten()
    harness.touch('go')
    await runner.event('job.finished')
    await harness.box.listen()
    await expectWhole(job, 40_000)
  })

  test('sends again what the coordinator has received and forgotten', async () => {
    await using harness = await Harness.start(transport)
    const script = ['echo first', waitFor(harness.file('go')), 'seq 1 20000']
    const job = harness.box.add({ script })
    await harness.runner()
    await job.says('\nfirst\n')
    harness.box.lose(job, 1)
    harness.touch('go')
    await expectWhole(job, 20_000)
  })

  test('sends again what was stored but not acknowledged, and it is not doubled', async () => {
    await using harness = await Harness.start(transport)
    const script = ['echo first', waitFor(harness.file('go')), 'seq 1 20000']
    const job = harness.box.add({ script })
    await harness.runner()
    await job.says('\nfirst\n')
    job.treat.swallowAcks = true
    harness.touch('go')
    await job.says('\n20000\n')
    job.treat.swallowAcks = false
    harness.box.cut()
    await expectWhole(job, 20_000)
  })

  test('hides masked values and tokens, also where they come in pieces', async () => {
    await using harness = await Harness.start(transport)
    const job = harness.box.add({
      variables: { SECRET: { value: 'open sesame', masked: true } },
      script: [
        'printf "it is %s.\\n" "$SECRET"',
        'printf "open "; sleep 0.05; printf "sesame\\n"',
        'printf "glpat-"; sleep 0.05; printf "%s.%s" abc DEF; sleep 0.05; printf "123 and more\\n"',
        'echo "token $CI_JOB_TOKEN end"',
      ],
    })
    await harness.runner()
    expect(await job.finished()).toMatchObject({ state: 'success', logCrc: job.logCrc })
    expect(job.text).not.toContain('open sesame')
    expect(job.text).not.toContain('abc.DEF')
    expect(job.text).not.toContain(job.token)
    expect(job.text).toContain('it is [MASKED].\n')
    expect(job.text).toMatch(/^\[MASKED\]$/m)
    expect(job.text).toContain('glpat-[MASKED] and more\n')
    expect(job.text).toContain('token [MASKED] end\n')
  })

  test('holds the output back when the spool is full, says so, and loses nothing', async () => {
    await using harness = await Harness.start(transport)
    const job = harness.box.add({ script: ['seq 1 60000', `touch '${harness.file('done')}'`] })
    job.treat.ackLog = false
    const runner = await harness.runner({ spoolCapBytes: 64 * 1024 })
    await runner.event('job.started')
    await harness.spoolHolds('output paused')
    expect(harness.exists('done')).toBe(false)
    job.treat.ackLog = true
    for (const peer of harness.box.peers) peer.ackLog(job)
    await job.finished()
    expect(job.text).toContain('WARNING: output paused')
    expect(numbersIn(job)).toEqual(sequence(60_000))
    expect(job.report).toMatchObject({ state: 'success', logLength: job.log.length, logCrc: job.logCrc })
  })
}

/** The numbers from 1 on, each once and in order, and the right sums. */
async function expectWhole(job: FakeJob, last: number): Promise<void> {
  const report = await job.finished()
  expect(report).toMatchObject({ state: 'success', logLength: job.log.length, logCrc: job.logCrc })
  expect(numbersIn(job)).toEqual(sequence(last))
}

function numbersIn(job: FakeJob): string {
  return job.text
    .split('\n')
    .filter((line) => /^\d+$/.test(line))
    .join('\n')
}

function sequence(last: number): string {
  return Array.from({ length: last }, (_each, index) => index + 1).join('\n')
}

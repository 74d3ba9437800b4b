import { describe, expect, test } from 'vitest'
import type { TransportName } from '../../../src/runner/transports/transport.js'
import { Harness } from '../support/harness.js'

/** What a runner promises, whatever it is connected by. */
export function runnerContract(transport: TransportName): void {
  describe(`a runner over ${transport}`, () => {
    test('runs a job and reports its success with the whole log', async () => {
      await using harness = await Harness.start(transport)
      const job = harness.box.add({ script: ['echo hello', 'echo to stderr >&2', 'echo by name > /dev/stderr'] })
      const runner = await harness.runner()
      const report = await job.finished()
      expect(report).toMatchObject({ state: 'success', logLength: job.log.length, logCrc: job.logCrc })
      expect(job.text).toContain('\x1b[32;1m$ echo hello\x1b[0;m\nhello\n')
      expect(job.text).toMatch(/to stderr\n.*by name\n.*Job succeeded/s)
      await runner.event('job.reported')
    })
  })
}

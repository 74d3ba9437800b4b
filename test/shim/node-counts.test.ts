/** What a node counts of its queue and of logs, under GitLab's names. */
import { expect, it } from 'vitest'
import { expireLeases } from '../../src/core/operations/expire-leases.js'
import { oneJob, onePhaseInfo, startShimBox } from './support/box.js'
import { RunningJob } from './support/running-job.js'

it('counts polls, what becomes of jobs in the queue, and of their logs', async () => {
  await using box = await startShimBox('sqlite', { holdMs: 0 })
  const figures = () =>
    Object.fromEntries(
      box.core.core.counts
        .gauges()
        .flatMap(({ name, values }) => values.map(({ labels, value }) => [labels.operation ?? name, value] as const))
        .filter(([, value]) => value !== 0),
    )
  const token = await box.runnerToken()
  const { project } = await box.run(oneJob)
  const { body } = await box.poll(token, { info: onePhaseInfo })
  expect((await box.poll(token, { info: onePhaseInfo })).status).toBe(204)
  const handed = { build_queue_push: 1, build_queue_pop: 1, build_can_pick: 1, shared_runner_build_new: 1 }
  const polls = { queue_attempt: 2, job_register_attempts_total: 2, job_register_attempts_failed_total: 1 }
  expect(figures()).toEqual({ ...handed, ...polls })

  const job = new RunningJob(box, { id: body.id, token: body.token, projectId: project.id, runnerToken: token })
  expect((await job.patch('0-2', 'abc')).status).toBe(202)
  expect((await job.patch('9-9', 'x')).status).toBe(416)
  expect(
    (
      await job.put({
        state: 'success',
        checksum: 'crc32:00000000',
        output: { bytesize: 3, checksum: 'crc32:00000000' },
      })
    ).status,
  ).toBe(200)
  box.core.clock.advance(box.core.core.settings.archiveTracesAfterMs + 1000)
  await box.core.tasks.run('archive_traces')
  expect(figures()).toMatchObject({ appended: 1, conflict: 1, invalid: 1, finalized: 1 })

  // An offer that nobody accepts.
  await box.run(oneJob, 'acme/other')
  expect((await box.poll(await box.runnerToken())).status).toBe(201)
  box.core.clock.advance(31_000)
  await expireLeases(box.core.core)
  expect(figures()).toMatchObject({ runner_queue_timeout: 1, build_queue_pop: 2, build_queue_push: 2 })
})

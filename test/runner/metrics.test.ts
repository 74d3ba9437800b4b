/** The runner's own `/metrics`, read over HTTP: the figures of GitLab Runner, and the worked table of queueing durations. */
import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { goDuration, readRunnerMonitoring } from '../../src/cli/runner-monitoring.js'
import type { Executor } from '../../src/plugins/sdk.js'
import type { RunnerEvent } from '../../src/runner/events.js'
import { serveMetrics } from '../../src/runner/metrics/listen.js'
import { type RunnerMetricsOptions, runnerMetrics } from '../../src/runner/metrics/runner-metrics.js'
import { eventually } from '../support/eventually.js'
import { queueVectors } from '../support/queue-vectors.js'
import { Harness } from './support/harness.js'

const options: RunnerMetricsOptions = {
  token: 'glrt-t1_abcdefghijk',
  name: 'box',
  systemId: 's_1',
  executor: 'shell',
  concurrency: 2,
  queuingDurations: [],
}

/** Runs nothing: its scripts succeed at once. */
const instant: Executor = {
  capabilities: () => [],
  runner: {
    prepare: async () => ({ facts: {}, shell: 'bash' }),
    run: async () => ({ exitCode: 0, signal: null }),
    cancel: async () => undefined,
    cleanUp: async () => undefined,
  },
}

const labels = '{runner="abcdefghi",runner_name="box",system_id="s_1"}'
const counter = 'gitlab_runner_acceptable_job_queuing_duration_exceeded_total'

async function lineOf(url: string, start: string): Promise<string | undefined> {
  const page = await (await fetch(url)).text()
  return page.split('\n').find((line) => line.startsWith(`${start} `))
}

const queueOf = (waitedS: number, running: string) => ({
  job_info: {
    project_id: 1,
    name: 'job',
    time_in_queue_seconds: waitedS,
    project_jobs_running_on_instance_runners_count: running,
    queue_size: 7,
    queue_depth: 3,
  },
})

test('the worked table of queueing durations, one runner process a row', async () => {
  await using harness = await Harness.start('websocket')
  let observe: (event: RunnerEvent) => void = () => undefined
  const runner = await harness.runner({
    executor: { name: 'instant', executor: instant },
    onEvent: (event) => {
      observe(event)
      runner.events.push(event)
      runner.changed()
    },
  })
  for (const [at, { number, entries, now, waitedS, running, grows }] of queueVectors.entries()) {
    const metrics = runnerMetrics({
      ...options,
      now: () => Date.parse(now),
      queuingDurations: entries.map(({ thresholdS, pattern, periods }) => ({
        periods,
        timezone: 'UTC',
        thresholdMs: thresholdS * 1000,
        ...(pattern === undefined ? {} : { jobsRunningForProject: pattern }),
      })),
    })
    observe = metrics.observe
    const door = await serveMetrics('127.0.0.1:0', metrics)
    expect(await lineOf(door.url, `${counter}${labels}`)).toBeUndefined()
    harness.box.add({ script: ['true'], extra: queueOf(waitedS, running) })
    await runner.event('job.reported', ({ jobId }) => jobId === at + 1)
    expect(await lineOf(door.url, `${counter}${labels}`), `vector ${number}`).toBe(`${counter}${labels} ${grows}`)
    const sum = `gitlab_runner_job_queue_duration_seconds_sum${labels.replace('}', `,project_jobs_running="${running}"}`)}`
    expect(await lineOf(door.url, sum)).toBe(`${sum} ${waitedS}`)
    await door.close()
  }
}, 60_000)

test('counts jobs, their ends, and what the coordinator says of the queue', async () => {
  await using harness = await Harness.start('websocket')
  const metrics = runnerMetrics(options)
  const door = await serveMetrics('127.0.0.1:0', metrics)
  const runner = await harness.runner({
    onEvent: (event) => {
      metrics.observe(event)
      runner.events.push(event)
      runner.changed()
    },
  })
  harness.box.add({ script: ['exit 3'], extra: queueOf(4, '2') })
  await runner.event('job.reported')
  const page = await (await fetch(door.url)).text()
  for (const line of [
    `gitlab_runner_jobs_total${labels} 1`,
    `gitlab_runner_job_queue_size${labels} 7`,
    `gitlab_runner_job_queue_depth${labels} 3`,
    'gitlab_runner_failed_jobs_total{runner="abcdefghi",runner_name="box",failure_reason="script_failure",mode="traditional"} 1',
    'gitlab_runner_concurrent 2',
    `gitlab_runner_jobs${labels.replace('}', ',state="idle",stage="idle",executor_stage="idle"}')} 0`,
    `gitlab_runner_jobs${labels.replace('}', ',state="running",stage="step_script",executor_stage="run"}')} 0`,
    `gitlab_runner_job_duration_seconds_count${labels.replace('}', ',mode="traditional"}')} 1`,
  ])
    expect(page.split('\n')).toContain(line)
  // What promtool check metrics asks of names.
  for (const [, name, type] of page.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    expect(name!.endsWith('_total'), name).toBe(type === 'counter')
  }
  expect((await fetch(door.url.replace('/metrics', '/other'))).status).toBe(404)
  expect((await fetch(door.url, { method: 'POST' })).status).toBe(405)
  await door.close()
})

test('counts requests of the polling API', async () => {
  await using harness = await Harness.start('poll')
  const metrics = runnerMetrics(options)
  const runner = await harness.runner({
    onEvent: (event) => {
      metrics.observe(event)
      runner.events.push(event)
      runner.changed()
    },
    onRequest: metrics.request,
  })
  harness.box.add({ script: ['exit 3'] })
  await runner.event('job.reported')
  await runner.handle.close()
  const { body } = await metrics.page()
  const own = 'runner="abcdefghi",system_id="s_1"'
  const count = (start: string) =>
    Number(
      body
        .split('\n')
        .find((line) => line.startsWith(start))
        ?.split(' ')
        .at(-1),
    )
  const statuses = (endpoint: string, status: number, method: string) =>
    count(
      `gitlab_runner_api_request_statuses_total{${own},endpoint="${endpoint}",status="${status}",method="${method}"}`,
    )
  expect(statuses('request_job', 201, 'POST')).toBe(1)
  expect(statuses('update_job', 200, 'PUT')).toBeGreaterThanOrEqual(2)
  expect(statuses('patch_trace', 202, 'PATCH')).toBeGreaterThanOrEqual(1)
  const took = `gitlab_runner_api_request_duration_seconds_count{${own},endpoint="request_job",status_class="2xx",method="POST"}`
  expect(count(took)).toBeGreaterThanOrEqual(1)
  expect(count('gitlab_runner_api_request_retries_total{path="update_job",method="PUT"}')).toBe(
    statuses('update_job', 200, 'PUT'),
  )
  // The one that was under way at the end is over, too.
  const idle = `gitlab_runner_request_concurrency{${own}} 0`
  await eventually(async () => expect((await metrics.page()).body).toContain(idle))
  expect(
    count(`gitlab_runner_worker_processing_failures_total${labels.replace('}', ',failure_type="job_failure"}')}`),
  ).toBe(1)
  expect(count('gitlab_runner_worker_slots_number')).toBe(2)
})

test('reads listen_address and monitoring of a config.toml', async () => {
  await using harness = await Harness.start('poll')
  const file = harness.file('config.toml')
  const read = (text: string) => {
    writeFileSync(file, text)
    return readRunnerMonitoring(file, 'glrt-mine')
  }
  const entry = '[[runners.monitoring.job_queuing_durations]]\n'
  expect(
    read(
      `listen_address = ":9252"\n[[runners]]\ntoken = "other"\n[[runners]]\ntoken = "glrt-mine"\n${entry}periods = ["* * * * * * *"]\ntimezone = "UTC"\nthreshold = "1m30s"\njobs_running_for_project = "^[0-3]$"\n${entry}periods = ["* * * * * sat,sun *"]\nthreshold = "5m"\n`,
    ),
  ).toEqual({
    listenAddress: ':9252',
    queuingDurations: [
      { periods: ['* * * * * * *'], timezone: 'UTC', thresholdMs: 90_000, jobsRunningForProject: '^[0-3]$' },
      { periods: ['* * * * * sat,sun *'], timezone: '', thresholdMs: 300_000 },
    ],
  })
  expect(() => read(`[[runners]]\n${entry}threshold = "soon"\n`)).toThrow(
    'runners[0].monitoring.job_queuing_durations[0].threshold: "soon" is not a duration',
  )
  expect(() => read('[[runners]]\n[[runners]]\n')).toThrow('none of them has this runner’s token')
  expect(() => read('listen_address = \n')).toThrow(/config\.toml:1:\d+: /)
})

test.each([
  ['1m30s', 90_000],
  ['1.5h', 5_400_000],
  ['-5s', -5000],
  ['300ms', 300],
  ['0', 0],
  ['5', undefined],
  ['', undefined],
  ['1d', undefined],
])('takes %s for a duration as Go does', (text, ms) => {
  expect(goDuration(text)).toBe(ms)
})

test.each([
  [{ periods: ['* * *'] }, 'job_queuing_durations[1].periods[0]: "* * *" is not a cron expression'],
  [{ timezone: 'Mars/Olympus' }, 'job_queuing_durations[1].timezone: there is no time zone "Mars/Olympus"'],
  [{ jobsRunningForProject: '(' }, 'job_queuing_durations[1].jobs_running_for_project: '],
])('refuses %j, and names the entry', (more, message) => {
  const right = { periods: ['* * * * * * *'], thresholdMs: 1000 }
  expect(() => runnerMetrics({ ...options, queuingDurations: [right, { ...right, ...more }] })).toThrow(message)
})

test('refuses an address that is none, or taken', async () => {
  const metrics = runnerMetrics(options)
  await expect(serveMetrics('nowhere', metrics)).rejects.toThrow('is not HOST:PORT')
  const door = await serveMetrics('127.0.0.1:0', metrics)
  await expect(serveMetrics(new URL(door.url).host, metrics)).rejects.toThrow('no metrics on')
  await door.close()
})

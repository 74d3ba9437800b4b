import { describe, expect, it } from 'vitest'
import { readGauges } from '../../src/core/gauges.js'
import { acceptLease } from '../../src/core/operations/accept-lease.js'
import { cancelJob } from '../../src/core/operations/cancel-job.js'
import { expireLeases } from '../../src/core/operations/expire-leases.js'
import { finishJob } from '../../src/core/operations/finish-job.js'
import { voidOffer } from '../../src/core/operations/void-offer.js'
import prometheus from '../../src/plugins/exporters/prometheus/index.js'
import { formatFor, render } from '../../src/plugins/exporters/prometheus/render.js'
import type { Plugins } from '../../src/plugins/host.js'
import type { ExportedEvent, Exporter, Gauge, PluginHost } from '../../src/plugins/sdk.js'
import { startTestCore, type TestCore, type TestRunner } from '../support/core.js'
import { onBothEngines } from '../support/stores.js'
import { type Page, readPage } from './support/exposition.js'
import { PluginBench } from './support/plugins.js'

const success = {
  state: 'success',
  exitCode: null,
  failureReason: null,
  message: null,
  logLength: null,
  logCrc32: null,
} as const

async function serve(bench: PluginBench, box: TestCore): Promise<Plugins> {
  const plugins = await bench.load([], [prometheus])
  await plugins.startExporters(box.core)
  return plugins
}

/** A page, checked in both formats, in the text format. */
async function pageOf(plugins: Plugins, gauges: Gauge[] = []): Promise<Page> {
  const open = await plugins.scrape(gauges, 'application/openmetrics-text; version=1.0.0')
  expect(open?.contentType).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8')
  readPage(open?.body ?? '', 'openmetrics')
  const text = await plugins.scrape(gauges)
  expect(text?.contentType).toBe('text/plain; version=0.0.4; charset=utf-8')
  return readPage(text?.body ?? '', 'text')
}

async function take(box: TestCore, runner: TestRunner, door: 'grpc' | 'websocket' = 'websocket') {
  const { offer } = await runner.request({ door })
  box.clock.advance(200)
  await acceptLease(box.core, { ...offer!, managerId: runner.manager.id })
  return offer!
}

onBothEngines((engine) => {
  it('counts what was committed by the time it is asked', async () => {
    await using box = await startTestCore(engine)
    await using bench = new PluginBench()
    const plugins = await serve(bench, box)
    const runner = await box.runner()
    const { pipeline } = await box.run({
      good: { script: 'x' },
      bad: { script: 'x' },
      slow: { script: 'x' },
      lost: { script: 'x' },
    })
    box.clock.advance(2000)
    const good = await take(box, runner)
    box.clock.advance(30_000)
    await finishJob(box.core, { ...good, report: { ...success, logLength: 0, logCrc32: 7 } })
    const bad = await take(box, runner, 'grpc')
    await finishJob(box.core, {
      ...bad,
      report: { ...success, state: 'failed', failureReason: 'script_failure', exitCode: 1 },
    })

    const refused = (await runner.request()).offer!
    await voidOffer(box.core, refused, 'refused')
    const other = await box.runner({ systemId: 's_000000000002' })
    const slow = await take(box, other)
    await cancelJob(box.core, { jobId: slow.jobId })
    box.clock.advance(700)
    await finishJob(box.core, { ...slow, report: { ...success, state: 'failed', failureReason: 'job_canceled' } })
    await take(box, other)
    box.clock.advance(60_000)
    await expireLeases(box.core)
    expect(await box.pipelineStatus(pipeline)).toBe('failed')

    let page = await pageOf(plugins)
    // On PostgreSQL the exporters' own saving of their places may be under way, and is waited for.
    while (!page.samples.has('signalbox_pipelines_total{status="failed"}')) page = await pageOf(plugins)
    const { samples, types } = page
    expect(types.get('job_queue_duration_seconds')).toBe('histogram')
    expect(types.get('gitlab_ci_job_failure_reasons')).toBe('counter')
    const alone = '{jobs_running_for_project="0",shard="default",shared_runner="true"}'
    const figures = {
      'gitlab_ci_job_failure_reasons{reason="script_failure"}': 1,
      'gitlab_ci_job_failure_reasons{reason="runner_system_failure"}': 1,
      'gitlab_ci_pipeline_failure_reasons{reason="unknown_failure"}': 1,
      [`job_queue_duration_seconds_count${alone}`]: 5,
      [`job_queue_duration_seconds_bucket${alone.replace(',', ',le="1",')}`]: 0,
      [`job_queue_duration_seconds_bucket${alone.replace(',', ',le="3",')}`]: 1,
      [`job_queue_duration_seconds_bucket${alone.replace(',', ',le="60",')}`]: 5,
      'signalbox_offers_total{result="accepted"}': 4,
      'signalbox_offers_total{result="refused"}': 1,
      'signalbox_enqueue_to_start_seconds_count{carrier="websocket"}': 3,
      'signalbox_enqueue_to_start_seconds_count{carrier="grpc"}': 1,
      'signalbox_offer_to_accept_seconds_sum{carrier="grpc"}': 0.2,
      'signalbox_job_duration_seconds_sum{status="success"}': 30,
      'signalbox_cancel_to_stop_seconds_sum{carrier="websocket"}': 0.7,
      'signalbox_jobs_total{class="",status="success"}': 1,
      'signalbox_jobs_total{class="",status="canceled"}': 1,
      'signalbox_jobs_total{class="unknown",status="failed"}': 1,
      'signalbox_jobs_total{class="runner_lost",status="failed"}': 1,
      'signalbox_leases_expired_total{state="held"}': 1,
      'signalbox_leases_expired_total{state="offered"}': 0,
      'signalbox_trace_mismatches_total{}': 1,
      'signalbox_new_pipelines_total{source="api"}': 1,
      'signalbox_pipelines_total{status="failed"}': 1,
      'signalbox_exporter_lag_events{exporter="exporter.prometheus/prometheus"}': 0,
      'signalbox_plugin_up{plugin="exporter.prometheus"}': 1,
    }
    for (const [series, value] of Object.entries(figures))
      expect([series, samples.get(series)]).toEqual([series, value])
  })

  it('shows the gauges of the node and the figures of the process', async () => {
    await using box = await startTestCore(engine)
    await using bench = new PluginBench()
    const plugins = await serve(bench, box)
    await box.run({ a: { script: 'x' } })
    const { samples } = await pageOf(plugins, await readGauges(box.core))
    expect(samples.get('signalbox_backlog{class="untagged",runner_type="instance"}')).toBe(1)
    expect(samples.get('signalbox_store_commits_total{}')).toBeGreaterThan(1)
    for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes', 'process_start_time_seconds']) {
      expect(samples.get(`${name}{}`)).toBeGreaterThan(0)
    }
    expect(samples.get('signalbox_event_loop_delay_seconds{percentile="99"}')).toBeGreaterThanOrEqual(0)
  })
})

it('counts each event once when a page is asked for again and again', async () => {
  await using box = await startTestCore('sqlite')
  await using bench = new PluginBench()
  const plugins = await serve(bench, box)
  await box.run({ a: { script: 'x' } })
  const pages = await Promise.all(Array.from({ length: 10 }, () => plugins.scrape([])))
  expect(new Set(pages.map((page) => /^signalbox_new_pipelines_total\{.*$/m.exec(page?.body ?? '')?.[0]))).toEqual(
    new Set(['signalbox_new_pipelines_total{source="api"} 1']),
  )
})

it('takes odd events without odd labels or endless series', async () => {
  let exporter: Exporter = {}
  const host = {
    export(_: string, given: Exporter) {
      exporter = given
    },
  } as PluginHost
  const instance = await prometheus.setup(host, {})
  const onEvents = (events: ExportedEvent[]) => exporter.onEvents?.(events)
  const event = (kind: string, data: object, jobId: number | null = 1) => ({ id: 1, at: 1, kind, jobId, data }) as never
  await onEvents([
    event('nobody.knows', {}),
    event('job.leased', { door: 'constructor', waited_ms: 'long' }),
    event('job.changed', { to: 'running' }),
    event('job.leased', {}, null),
    event('job.offer_void', { reason: 'a"b\n' }, null),
    event('job.finished', { to: ['success'] }),
    ...Array.from({ length: 500 }, (_, i) => event('job.finished', { to: 'failed', reason: `reason_${i}` }, i)),
  ])
  const page = await exporter.scrape?.([], '')
  await instance?.close?.()
  const { samples } = readPage(page?.body ?? '', 'text')
  expect(samples.get('signalbox_offers_total{result="other"}')).toBe(1)
  expect(samples.get('signalbox_offer_to_accept_seconds_count{carrier="other"}')).toBe(1)
  expect(samples.get('signalbox_jobs_total{class="",status="other"}')).toBe(1)
  expect([...samples.keys()].filter((key) => key.startsWith('gitlab_ci_job_failure_reasons'))).toHaveLength(101)
  expect(samples.get('gitlab_ci_job_failure_reasons{reason="other"}')).toBe(400)
})

describe('the format', () => {
  const openmetrics = 'application/openmetrics-text'
  it.each([
    ['', 'text'],
    ['*/*', 'text'],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 'text'],
    [openmetrics, 'openmetrics'],
    [
      `${openmetrics};version=1.0.0;q=0.5,${openmetrics};version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2`,
      'openmetrics',
    ],
    [`${openmetrics};version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1`, 'openmetrics'],
    [`text/plain, ${openmetrics};q=0.9`, 'text'],
    [`${openmetrics};q=0`, 'text'],
    [`${openmetrics};q=oops`, 'text'],
    [',;,;q=,'.repeat(10_000), 'text'],
  ])('for %j is %s', (accept, format) => {
    expect(formatFor(accept)).toBe(format)
  })

  it('escapes what must be, and leaves out a family that comes twice', () => {
    const sample = (name: string, value: number, labels = {}) => ({ name, labels, value })
    const families = [
      {
        name: 'a',
        help: 'back\\slash "quoted"\nline',
        type: 'gauge' as const,
        samples: [sample('a', 1.5, { l: 'x"\\\n' })],
      },
      { name: 'a', help: 'again', type: 'gauge' as const, samples: [sample('a', 2)] },
      { name: 'b_total', help: 'b', type: 'counter' as const, samples: [sample('b_total', Number.POSITIVE_INFINITY)] },
      { name: 'c', help: 'c', type: 'counter' as const, samples: [sample('c', Number.NaN)] },
      {
        name: 'd',
        help: 'd',
        type: 'histogram' as const,
        samples: [
          sample('d_bucket', 1, { le: 5 }),
          sample('d_bucket', 1, { le: '+Inf' }),
          sample('d_sum', 2),
          sample('d_count', 1),
        ],
      },
    ]
    expect(render(families, 'text').body).toBe(`# HELP a back\\\\slash "quoted"\\nline
# TYPE a gauge
a{l="x\\"\\\\\\n"} 1.5
# HELP b_total b
# TYPE b_total counter
b_total +Inf
# HELP c c
# TYPE c counter
c NaN
# HELP d d
# TYPE d histogram
d_bucket{le="5"} 1
d_bucket{le="+Inf"} 1
d_sum 2
d_count 1
`)
    expect(render(families, 'openmetrics').body).toBe(`# HELP a back\\\\slash \\"quoted\\"\\nline
# TYPE a gauge
a{l="x\\"\\\\\\n"} 1.5
# HELP b b
# TYPE b counter
b_total +Inf
# HELP c c
# TYPE c unknown
c NaN
# HELP d d
# TYPE d histogram
d_bucket{le="5.0"} 1
d_bucket{le="+Inf"} 1
d_sum 2
d_count 1
# EOF
`)
    for (const format of ['text', 'openmetrics'] as const) readPage(render(families, format).body, format)
  })
})

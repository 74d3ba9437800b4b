/** Traces of pipelines, as a receiver of OTLP gets them over a socket. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, it, vi } from 'vitest'
import { SpanMaker } from '../../src/plugins/exporters/opentelemetry/spans.js'
import { recordedEvents } from '../../src/plugins/testing/recorded-events.js'
import { eventually } from '../support/eventually.js'
import { Coordinator, git } from '../support/processes.js'
import { OtlpReceiver, type ReceivedSpan } from './support/otlp-receiver.js'

vi.setConfig({ testTimeout: 120_000 })

const phases = ['queued', 'preparing', 'running']

const until = (holds: () => unknown) =>
  eventually(async () => {
    if (!(await holds())) throw new Error('not yet')
  })

async function startTraced(receiver: OtlpReceiver) {
  const file = path.join(os.tmpdir(), `signalbox-traced-${process.pid}.toml`)
  writeFileSync(
    file,
    `[[plugins]]\nuse = "exporter.opentelemetry"\n[plugins.config]\nurl = "${receiver.url}"\nservice = "ci"\nheaders = { "x-team" = "rails" }\n`,
  )
  return Coordinator.start({ flags: ['--config', file] })
}

it('sends a trace for a pipeline, its spans nested as it is, over a crash and a receiver that is away', async () => {
  await using receiver = await OtlpReceiver.start()
  await using box = await startTraced(receiver)
  const go = path.join(box.folder, 'go')
  const told = (name: string) => path.join(box.folder, `told-${name}`)
  const tell = (name: string) => `printenv TRACEPARENT > '${told(name)}'`
  const folder = await box.repository('team/app', {
    '.gitlab-ci.yml': JSON.stringify({
      stages: ['build', 'test'],
      compile: { stage: 'build', script: [tell('compile'), `while ! test -e '${go}'; do sleep 0.1; done`] },
      broken: { stage: 'test', script: [tell('broken'), 'exit 1'], allow_failure: true },
      child: { stage: 'test', trigger: { include: 'child.yml', strategy: 'depend' } },
      later: { stage: 'test', when: 'manual', script: 'true' },
    }),
    'child.yml': JSON.stringify({ inner: { script: tell('inner') } }),
  })
  await box.runner('websocket', ['--concurrency', '2'])
  await git(folder, 'push', '--quiet', 'origin', 'main')
  await until(() => existsSync(told('compile')))
  await box.kill()
  await box.up()
  receiver.refuse = 503
  writeFileSync(go, '')
  const status = (id: number) =>
    box.api<{ status: string }>('GET', `/api/v4/projects/team%2Fapp/pipelines/${id}`).then((one) => one.status)
  await until(async () => (await status(1)) === 'success')
  expect(receiver.spans).toEqual([])
  receiver.refuse = undefined
  const named = (name: string) => receiver.spans.find((one) => one.name === name)
  await until(() => named('pipeline main') && named('child') && named('inner'))

  const spans = [...new Map(receiver.spans.map((one) => [one.spanId, one])).values()]
  expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1)
  const byId = new Map(spans.map((one) => [one.spanId, one]))
  const pathOf = (span: ReceivedSpan): string => {
    const parent = byId.get(span.parentSpanId)
    return parent ? `${pathOf(parent)} / ${span.name}` : span.name
  }
  const paths = spans.map(pathOf)
  const root = 'pipeline main'
  const inner = `${root} / child / pipeline main / inner`
  for (const job of [`${root} / broken`, inner]) {
    expect(paths).toEqual(expect.arrayContaining([job, ...phases.map((phase) => `${job} / ${phase}`)]))
  }
  expect(paths).toEqual(
    expect.arrayContaining([root, `${root} / child`, `${root} / compile`, `${root} / compile / running`]),
  )
  // What was never queued has no span, and nothing hangs in the air.
  expect(paths.filter((one) => one.includes('later') || !one.startsWith(root))).toEqual([])
  for (const span of spans) {
    expect(span.to).toBeGreaterThanOrEqual(span.from)
    expect(span.resource).toEqual({ 'service.name': 'ci' })
    const parent = byId.get(span.parentSpanId)
    // The trigger job's own turn ends with its pipeline; nothing else outlives what it is part of.
    if (parent) expect(span.from).toBeGreaterThanOrEqual(parent.from)
  }
  const ofPath = (wanted: string) => spans.find((one) => pathOf(one) === wanted)!
  expect(ofPath(`${root} / broken`)).toMatchObject({
    status: 2,
    message: 'script_failure',
    attributes: { 'cicd.pipeline.task.name': 'broken', 'cicd.pipeline.task.run.result': 'failure' },
  })
  expect(ofPath(root)).toMatchObject({
    status: 0,
    attributes: { 'vcs.ref.head.name': 'main', 'cicd.pipeline.result': 'success' },
  })
  // What the jobs were told leads to their own spans.
  for (const [name, at] of [
    ['compile', `${root} / compile`],
    ['broken', `${root} / broken`],
    ['inner', inner],
  ] as const) {
    const { traceId, spanId } = ofPath(at)
    expect(readFileSync(told(name), 'utf8')).toBe(`00-${traceId}-${spanId}-01\n`)
  }
  expect(receiver.headers.every((one) => one['x-team'] === 'rails')).toBe(true)
})

it('hands the context to runners that poll', async () => {
  await using box = await Coordinator.start()
  const file = path.join(box.folder, 'told')
  const folder = await box.repository('team/app', {
    '.gitlab-ci.yml': JSON.stringify({ job: { script: `printenv TRACEPARENT > '${file}'` } }),
  })
  await box.runner('poll')
  await git(folder, 'push', '--quiet', 'origin', 'main')
  await until(() => existsSync(file) && readFileSync(file, 'utf8') !== '')
  expect(readFileSync(file, 'utf8')).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01\n$/)
})

it('makes no span of what was never queued, and none without ids', () => {
  const maker = new SpanMaker()
  expect(
    recordedEvents()
      .map((event) => ({ ...event, data: { ...event.data, trace_id: null } }))
      .flatMap((event) => maker.spansOf(event)),
  ).toEqual([])
  const [base] = recordedEvents()
  const ids = { trace_id: 'a'.repeat(32), span_id: 'b'.repeat(16), parent_span_id: 'c'.repeat(16) }
  const finished = { ...base!, kind: 'job.finished', jobId: 7, data: { ...ids, to: 'canceled', name: 'later' } }
  expect(maker.spansOf(finished)).toEqual([])
  const queued = { ...finished, data: { ...finished.data, queued_at: finished.at - 1000 } }
  expect(maker.spansOf(queued).map(({ name, from, to }) => [name, to - from])).toEqual([
    ['later', 1000],
    ['queued', 1000],
  ])
})

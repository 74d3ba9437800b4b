import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { send } from '../../src/webhooks/send.js'
import { Webhooks } from '../../src/webhooks/webhooks.js'
import { type ShimBox, startShimBox, until } from '../shim/support/box.js'
import { person } from '../shim/support/people.js'
import { startJob } from '../shim/support/running-job.js'
import { onBothEngines } from '../support/stores.js'

interface Told {
  path: string
  headers: http.IncomingHttpHeaders
  // biome-ignore lint/suspicious/noExplicitAny: payloads of every shape
  body: any
}

let told: Told[] = []
/** What the receiver answers with, next first; then 200. */
let answers: number[] = []
const receiver = http.createServer((req, res) => {
  let text = ''
  req.on('data', (chunk) => {
    text += String(chunk)
  })
  req.on('end', () => {
    told.push({ path: req.url ?? '', headers: req.headers, body: JSON.parse(text) })
    res.writeHead(answers.shift() ?? 200).end('thanks')
  })
})
let host = ''
let hosts: string[] = []
beforeAll(async () => {
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  host = `127.0.0.1:${(receiver.address() as AddressInfo).port}`
})
afterAll(() => new Promise((resolve) => receiver.close(resolve)))

onBothEngines((engine) => {
  let box: ShimBox
  let webhooks: Webhooks
  beforeAll(async () => {
    hosts = [host]
    box = await startShimBox(engine, {}, { webhookHosts: hosts })
    webhooks = new Webhooks(box.core.core)
    await webhooks.start()
  })
  afterEach(() => {
    told = []
    answers = []
  })
  afterAll(async () => {
    await webhooks.close()
    await box[Symbol.asyncDispose]()
  })

  /** Moves the clock until this holds. */
  const eventually = (holds: () => boolean | Promise<boolean>) =>
    until(async () => {
      box.core.clock.advance(50)
      return holds()
    })
  const hook = (projectId: number, json: object) =>
    box.admin('POST', `/projects/${projectId}/hooks`, { json: { url: `http://${host}/in?a=b`, ...json } })
  const deliveries = () => box.core.core.store.read.db.selectFrom('webhook_deliveries').selectAll().execute()

  it('are made, shown without their token, changed and deleted', async () => {
    const { id } = (await box.admin('POST', '/projects', { json: { path: `hooks/crud` } })).body
    const made = await hook(id, { job_events: true, push_events: true, token: 's3cret', name: 'n' })
    expect(made.status).toBe(201)
    expect(made.body).toMatchObject({
      url: `http://${host}/in?a=b`,
      name: 'n',
      project_id: id,
      job_events: true,
      pipeline_events: false,
      push_events: false,
      enable_ssl_verification: true,
      alert_status: 'executable',
    })
    expect(made.text).not.toContain('s3cret')
    const url = `/projects/${id}/hooks/${made.body.id}`
    const changed = await box.admin('PUT', url, { json: { pipeline_events: true, job_events: false } })
    expect(changed.body).toMatchObject({ pipeline_events: true, job_events: false, token_present: true })
    expect((await box.admin('GET', `/projects/${id}/hooks`)).body).toEqual([changed.body])
    const stored = await box.core.core.store.read.db.selectFrom('webhooks').selectAll().execute()
    expect(JSON.stringify(stored)).not.toMatch(/s3cret|127\.0\.0\.1/)
    const other = await person(box, 'other')
    expect((await box.send('GET', `/projects/${id}/hooks`, other)).status).toBe(404)
    expect((await box.admin('DELETE', url)).status).toBe(204)
    expect((await box.admin('GET', url)).body).toEqual({ message: '404 Hook Not Found' })
  })

  it('may not be told at addresses that are not public, or that are none', async () => {
    const { id } = (await box.admin('POST', '/projects', { json: { path: `hooks/private` } })).body
    const before = await box.rows()
    for (const url of [
      'http://127.0.0.1:1/x',
      'http://[::1]/x',
      'http://169.254.169.254/latest',
      'http://10.1.2.3',
      'http://0x7f.1/',
      'https://localhost/x',
      'https://a.localhost',
      'ftp://example.com',
      'file:///etc/passwd',
      'no url',
    ]) {
      const { status, body } = await hook(id, { url })
      expect([url, status, body]).toEqual([url, 400, { error: 'Invalid url given' }])
    }
    expect((await hook(id, { token: 'a\r\nb' })).body).toEqual({ error: 'token is invalid' })
    expect(await box.rows()).toBe(before)
    const message = { url: 'http://inside.example/', headers: {}, body: '', verifiesTls: true }
    const resolve = async () => ['93.184.216.34', '10.0.0.1']
    await expect(send(message, { hosts: [], resolve, timeoutMs: 1000 })).rejects.toThrow('not public')
  })

  it('are told of each status of a job and a pipeline, in GitLab’s shapes, in order', async () => {
    const project = await box.core.project({ build: { script: 'make' } }, `hooks/told-${engine}`)
    await hook(project.id, { job_events: true, pipeline_events: true, token: 's3cret' })
    const { token: runner } = (
      await box.admin('POST', '/user/runners', {
        json: { runner_type: 'project_type', project_id: project.id, description: 'r1', tag_list: ['a'] },
      })
    ).body
    const pipeline = await box.core.pipeline(project)
    const job = (await box.poll(runner, { info: { features: {} } })).body
    await box.send('PUT', `/jobs/${job.id}`, { json: { token: job.token, state: 'failed' } })
    await eventually(() => told.length >= 7)
    const jobs = told.filter((one) => one.headers['x-gitlab-event'] === 'Job Hook')
    expect(jobs.map((one) => one.body.build_status)).toEqual(['pending', 'running', 'failed'])
    const pipelines = told.filter((one) => one.headers['x-gitlab-event'] === 'Pipeline Hook')
    expect(pipelines.map((one) => one.body.object_attributes.status)).toEqual([
      'created',
      'pending',
      'running',
      'failed',
    ])
    expect(told[0]).toMatchObject({ path: '/in?a=b', headers: { 'x-gitlab-token': 's3cret' } })
    expect(new Set(told.map((one) => one.headers['x-gitlab-event-uuid'])).size).toBe(told.length)
    expect(jobs.at(-1)!.body).toMatchObject({
      object_kind: 'build',
      ref: 'main',
      tag: false,
      sha: pipeline.sha,
      build_id: job.id,
      build_name: 'build',
      build_stage: 'test',
      build_created_at: expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/),
      build_failure_reason: 'unknown_failure',
      pipeline_id: pipeline.id,
      runner: { description: 'r1', runner_type: 'project_type', tags: ['a'] },
      project_name: `hooks / told-${engine}`,
      user: { username: 'root' },
      commit: { id: pipeline.id, message: 'Say hello\n', author_name: 'Ada' },
      repository: { homepage: `http://box.test/hooks/told-${engine}` },
    })
    expect(pipelines.at(-1)!.body).toMatchObject({
      object_kind: 'pipeline',
      object_attributes: { id: pipeline.id, iid: 1, source: 'api', detailed_status: 'failed', stages: ['test'] },
      project: { path_with_namespace: `hooks/told-${engine}`, default_branch: 'main' },
      commit: { title: 'Say hello' },
      builds: [{ id: job.id, name: 'build', status: 'failed', artifacts_file: { filename: null } }],
    })
    await eventually(async () => (await deliveries()).length === 0)
  })

  it('are not told of what others do, nor read for them', async () => {
    const job = await startJob(box)
    await job.put({ state: 'success' })
    box.core.clock.advance(2000)
    await eventually(async () => (await deliveries()).length === 0)
    expect(told).toEqual([])
  })

  it('are tried four times, then left alone for a while after four failures in a row', async () => {
    const project = await box.core.project({ build: { script: 'make' } }, `hooks/tried-${engine}`)
    const { id } = (await hook(project.id, { pipeline_events: true })).body
    answers = [500, 404]
    const { clock } = box.core
    await box.core.pipeline(project)
    await eventually(async () => told.length === 2 && (await deliveries()).length === 2)
    clock.advance(9_000)
    expect(told.length).toBe(2)
    clock.advance(2_000)
    await eventually(async () => (await deliveries()).length === 0)
    expect(told.length).toBe(4)
    expect(told[2]!.headers['x-gitlab-event-uuid']).toBe(told[0]!.headers['x-gitlab-event-uuid'])
    expect(told[2]!.body).toEqual(told[0]!.body)

    answers = Array.from({ length: 100 }, () => 503)
    for (let i = 0; i < 2; i++) await box.core.pipeline(project)
    for (const wait of [0, 11_000, 61_000, 301_000]) {
      const before = told.length
      clock.advance(wait)
      await eventually(() => told.length >= before + 4)
    }
    await eventually(async () => (await deliveries()).length === 0)
    expect(told.length).toBe(4 + 16)
    const state = async () => (await box.admin('GET', `/projects/${project.id}/hooks/${id}`)).body
    expect(await state()).toMatchObject({ alert_status: 'temporarily_disabled' })
    answers = []
    await box.core.pipeline(project)
    clock.advance(1000)
    await eventually(async () => {
      const place = await box.core.core.store.read.db
        .selectFrom('exporter_cursors')
        .select('event_id')
        .where('name', '=', 'webhooks')
        .executeTakeFirstOrThrow()
      const newest = await box.core.core.store.read.db
        .selectFrom('events')
        .select((e) => e.fn.max('id').as('id'))
        .executeTakeFirstOrThrow()
      return Number(place.event_id) === Number(newest.id)
    })
    expect(told.length).toBe(4 + 16)
    clock.advance(61_000)
    expect(await state()).toMatchObject({ alert_status: 'executable', disabled_until: null })
  })

  it('are not held up by another that never answers', async () => {
    const held: http.ServerResponse[] = []
    const silent = http.createServer((_, res) => held.push(res))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as AddressInfo
    const url = `http://127.0.0.1:${port}/`
    hosts.push(`127.0.0.1:${port}`)
    const slow = await box.core.project({ build: { script: 'make' } }, `hooks/slow-${engine}`)
    const quick = await box.core.project({ build: { script: 'make' } }, `hooks/quick-${engine}`)
    expect((await hook(slow.id, { url, pipeline_events: true })).status).toBe(201)
    await hook(quick.id, { pipeline_events: true })
    await box.core.pipeline(slow)
    await eventually(() => held.length === 1)
    await box.core.pipeline(quick)
    await eventually(() => told.length === 2)
    expect(held.length).toBe(1)
    for (let next = held.shift(); next; next = held.shift()) {
      next.end()
      await eventually(async () => held.length > 0 || (await deliveries()).length === 0)
    }
    silent.closeAllConnections()
    await new Promise((resolve) => silent.close(resolve))
  })

  it('are told by the next process what this one could not', async () => {
    const project = await box.core.project({ build: { script: 'make' } }, `hooks/crash-${engine}`)
    await hook(project.id, { pipeline_events: true })
    await webhooks.close()
    await box.core.pipeline(project)
    webhooks = new Webhooks(box.core.core)
    await webhooks.start()
    await eventually(() => told.length >= 2)
    expect(told.map((one) => one.body.object_attributes.status)).toEqual(['created', 'pending'])
  })
})

import { afterAll, beforeAll, expect, it } from 'vitest'
import { ShimBox } from '../shim/support/box.js'
import { adminTokenWith, person } from '../shim/support/people.js'
import { startJob } from '../shim/support/running-job.js'
import { adminToken, startTestCore } from '../support/core.js'
import { onBothEngines } from '../support/stores.js'

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await new ShimBox(await startTestCore(engine), {}).start()
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const api = (method: string, path: string, sent = {}) => box.admin(method, `/api/signalbox/v1${path}`, sent)

  it('lists the background tasks', async () => {
    const { status, body } = await api('GET', '/tasks')
    expect(status).toBe(200)
    const names = body.map((task: { name: string }) => task.name)
    expect(names).toContain('initial_pipeline_process')
    expect(names).toContain('expire_leases')
    expect(body[0]).toEqual({
      name: expect.any(String),
      description: expect.any(String),
      paused: false,
      interval_ms: expect.any(Number),
      cron: null,
      last_run_at: null,
      next_run_at: null,
      last_duration_ms: null,
      last_result: null,
    })
  })

  it('pauses and resumes a task: jobs stay created meanwhile, as the training document shows', async () => {
    const paused = await api('POST', '/tasks/initial_pipeline_process/pause')
    expect([paused.status, paused.body.paused]).toEqual([200, true])
    const { project, pipeline } = await box.run({ test: { script: 'x' } }, 'acme/paused')
    expect(await box.core.statuses(pipeline)).toEqual({ test: 'created' })
    const resumed = await api('POST', '/tasks/initial_pipeline_process/resume')
    expect([resumed.status, resumed.body.paused]).toEqual([200, false])
    expect(await box.core.statuses(pipeline)).toEqual({ test: 'pending' })
    await box.admin('POST', `/projects/${project.id}/pipelines/${pipeline.id}/cancel`)
  })

  it('runs a task now, waits for it and tells what it did', async () => {
    const job = await startJob(box)
    box.core.clock.advance(31_000)
    const run = await api('POST', '/tasks/expire_leases/run')
    expect(run.status).toBe(200)
    expect(run.body).toMatchObject({
      name: 'expire_leases',
      result: expect.stringContaining('1 void'),
      last_run_at: expect.any(String),
    })
    expect(await box.leases(job.id)).toMatchObject([{ status: 'expired' }])
  })

  it('shows a job’s token, the one it will have and the one it has, and writes down who asked', async () => {
    const { project, pipeline } = await box.run({ test: { script: 'x' } }, 'acme/token')
    const [pending] = (await box.admin('GET', `/projects/${project.id}/pipelines/${pipeline.id}/jobs`)).body
    const early = await api('GET', `/jobs/${pending.id}/token`)
    expect(early.body.token).toMatch(/^glcbt-/)
    const runner = await box.admin('POST', '/user/runners', {
      json: { runner_type: 'project_type', project_id: project.id },
    })
    const taken = await box.poll(runner.body.token)
    expect(taken.body.token).toBe(early.body.token)
    expect((await api('GET', `/jobs/${pending.id}/token`)).body.token).toBe(taken.body.token)
    const events = (await api('GET', `/jobs/${pending.id}/events`)).body
    expect(events.filter((event: { kind: string }) => event.kind === 'token.read')).toHaveLength(2)
    expect(events[0]).toMatchObject({
      id: expect.any(Number),
      at: expect.stringMatching(/Z$/),
      kind: 'job.changed',
      project_id: project.id,
      data: { to: 'pending' },
    })
    expect(JSON.stringify(events)).not.toContain(early.body.token)
    await box.send('PUT', `/jobs/${pending.id}`, { json: { token: taken.body.token, state: 'success' } })
    const ended = await api('GET', `/jobs/${pending.id}/token`)
    expect([ended.status, ended.body.code]).toEqual([409, 'conflict'])
  })

  it('answers what it refuses with problem documents', async () => {
    for (const [method, path, headers, status, code] of [
      ['GET', '/tasks', {}, 401, 'unauthenticated'],
      ['GET', '/tasks', { Authorization: 'Bearer nope' }, 401, 'unauthenticated'],
      ['GET', '/tasks', { 'PRIVATE-TOKEN': (await person(box, `max-${engine}`)).token }, 403, 'forbidden'],
      ['GET', '/tasks', { 'PRIVATE-TOKEN': await adminTokenWith(box, ['read_api']) }, 403, 'forbidden'],
      ['GET', `/tasks?private_token=${adminToken}`, {}, 400, 'invalid'],
      ['POST', '/tasks/nothing/run', { 'PRIVATE-TOKEN': adminToken }, 404, 'not_found'],
      ['POST', '/tasks/__proto__/pause', { 'PRIVATE-TOKEN': adminToken }, 404, 'not_found'],
      ['GET', '/jobs/99999/token', { 'PRIVATE-TOKEN': adminToken }, 404, 'not_found'],
      ['GET', '/jobs/99999/events', { 'PRIVATE-TOKEN': adminToken }, 404, 'not_found'],
      ['GET', '/jobs/1e3/token', { 'PRIVATE-TOKEN': adminToken }, 404, 'not_found'],
      ['GET', '/nowhere', { 'PRIVATE-TOKEN': adminToken }, 404, 'not_found'],
      ['DELETE', '/tasks', { 'PRIVATE-TOKEN': adminToken }, 405, 'invalid'],
    ] as const) {
      const before = await box.rows()
      const sent = { headers: { 'X-Request-Id': 'ask-1', ...headers } as Record<string, string> }
      const answer = await box.send(method, `/api/signalbox/v1${path}`, sent)
      expect([path, answer.status]).toEqual([path, status])
      expect(answer.headers.get('content-type')).toBe('application/problem+json')
      expect(answer.body).toEqual({
        type: 'about:blank',
        title: expect.any(String),
        status,
        detail: expect.any(String),
        code,
        request_id: 'ask-1',
      })
      expect(answer.text).not.toContain(adminToken)
      expect(await box.rows()).toBe(before)
    }
  })

  it('refuses a token header that is given twice', async () => {
    const answer = await box.raw(
      `GET /api/signalbox/v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${adminToken}\r\nAuthorization: Bearer x\r\nConnection: close\r\n\r\n`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 400 [\s\S]*a header is given twice/)
  })
})

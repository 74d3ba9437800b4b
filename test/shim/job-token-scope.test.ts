/** What a job reaches by its token: GitLab's documentation of CI_JOB_TOKEN is the contract. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { jobTokenScopes } from '../../src/core/tokens/job-token.js'
import { onBothEngines } from '../support/stores.js'
import { oneJob, type ShimBox, startShimBox } from './support/box.js'
import { person } from './support/people.js'
import { type RunningJob, startJob, takeJob } from './support/running-job.js'

onBothEngines((engine) => {
  let box: ShimBox
  let job: RunningJob
  beforeAll(async () => {
    box = await startShimBox(engine)
    job = await startJob(box, { path: 'crew/deep/caller' })
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const as = (token: string, method: string, path: string, json?: object) =>
    box.send(method, path, { headers: { 'JOB-TOKEN': token }, ...(json ? { json } : {}) })
  const scopeOf = (id: number) => `/projects/${id}/job_token_scope`
  const setVisibility = (id: number, visibility: string) =>
    box.admin('PUT', `/projects/${id}`, { json: { visibility } })

  it('is closed to other projects until they are allowed, one by one or by a group around them', async () => {
    const target = await box.core.project(oneJob, 'scope/target')
    const other = await box.core.project(oneJob, 'scope/other')
    const reach = async () => (await as(job.token, 'GET', `/projects/${target.id}/environments`)).status
    const start = async () =>
      (await box.send('POST', `/projects/${target.id}/trigger/pipeline`, { json: { token: job.token, ref: 'main' } }))
        .status
    const url = scopeOf(target.id)
    expect((await box.admin('GET', url)).body).toEqual({ inbound_enabled: true, outbound_enabled: false })
    expect([await reach(), await start()]).toEqual([404, 404])

    const added = await box.admin('POST', `${url}/allowlist`, { json: { target_project_id: job.projectId } })
    expect([added.status, added.body]).toEqual([
      201,
      { source_project_id: target.id, target_project_id: job.projectId },
    ])
    expect([await reach(), await start()]).toEqual([200, 201])
    const listed = await box.admin('GET', `${url}/allowlist`)
    expect(listed.body.map((one: { path_with_namespace: string }) => one.path_with_namespace)).toEqual([
      'scope/target',
      'crew/deep/caller',
    ])
    expect(listed.headers.get('x-total')).toBe('2')
    expect((await as(job.token, 'GET', `/projects/${other.id}/environments`)).status).toBe(404)
    expect((await box.admin('DELETE', `${url}/allowlist/${job.projectId}`)).status).toBe(204)
    expect([await reach(), await start()]).toEqual([404, 404])

    const group = (await box.admin('GET', '/groups/crew')).body.id
    const groups = await box.admin('POST', `${url}/groups_allowlist`, { json: { target_group_id: group } })
    expect([groups.status, groups.body]).toEqual([201, { source_project_id: target.id, target_group_id: group }])
    expect((await box.admin('GET', `${url}/groups_allowlist`)).body).toMatchObject([{ id: group, full_path: 'crew' }])
    expect([await reach(), await start()]).toEqual([200, 201])
    expect((await box.admin('DELETE', `${url}/groups_allowlist/${group}`)).status).toBe(204)
    expect(await reach()).toBe(404)

    expect((await box.admin('PATCH', url, { json: { enabled: false } })).status).toBe(204)
    expect((await box.admin('GET', url)).body).toEqual({ inbound_enabled: false, outbound_enabled: false })
    expect(await reach()).toBe(200)
    await box.admin('PATCH', url, { form: { enabled: 'true' } })
    expect(await reach()).toBe(404)
  })

  it('lets every job read what everybody may read, and do no more', async () => {
    const target = await box.core.project(oneJob, 'scope/open')
    for (const visibility of ['internal', 'public']) {
      await setVisibility(target.id, visibility)
      expect((await as(job.token, 'GET', `/projects/${target.id}/environments`)).status).toBe(200)
      expect((await as(job.token, 'POST', `/projects/${target.id}/environments`, { name: 'x' })).status).toBe(403)
    }
  })

  it('does for a job what its user may do, and nothing else', async () => {
    const eve = await person(box, `eve-scope-${engine}`)
    const own = await box.core.project(oneJob, 'scope/by-eve')
    const target = await box.core.project(oneJob, 'scope/for-eve')
    await box.admin('PATCH', scopeOf(target.id), { json: { enabled: false } })
    await box.core.pipeline(own, { user: eve.user, ref: 'topic' })
    const runner = await box.admin('POST', '/user/runners', {
      json: { runner_type: 'project_type', project_id: own.id },
    })
    const hers = await takeJob(box, own.id, runner.body.token)
    expect((await as(hers.token, 'GET', `/projects/${target.id}/environments`)).status).toBe(404)
    expect((await as(hers.token, 'GET', `/projects/${own.id}/environments`)).status).toBe(200)
    expect((await as(hers.token, 'POST', `/projects/${own.id}/environments`, { name: 'x' })).status).toBe(403)
  })

  it('is taken where GitLab takes it, and nowhere else', async () => {
    const { id } = await box.core.project(oneJob, 'scope/places')
    await box.admin('PATCH', scopeOf(id), { json: { enabled: false } })
    const made = await as(job.token, 'POST', `/projects/${id}/environments`, { name: 'prod' })
    expect([made.status, made.body.name]).toEqual([201, 'prod'])
    const places = {
      'GET /job': 200,
      [`GET /projects/${id}/environments/${made.body.id}`]: 200,
      [`GET /projects/${id}/deployments`]: 200,
      [`GET /projects/${id}/jobs`]: 200,
      [`DELETE /projects/${id}/artifacts`]: 202,
      [`GET /projects/${id}`]: 404,
      [`GET /projects/${id}/variables`]: 401,
      [`PUT /projects/${id}`]: 401,
      [`GET ${scopeOf(id)}`]: 401,
      [`POST /projects/${id}/pipeline`]: 401,
      [`GET /projects/${id}/runners`]: 404,
      'GET /user': 401,
      'GET /projects': 401,
    }
    for (const [place, status] of Object.entries(places)) {
      const [method, path] = place.split(' ') as [string, string]
      expect([place, (await as(job.token, method, path)).status]).toEqual([place, status])
    }
    const bearer = await box.send('GET', `/projects/${id}/deployments`, {
      headers: { Authorization: `Bearer ${job.token}` },
    })
    expect(bearer.status).toBe(200)
    expect((await box.send('GET', `/projects/${id}/deployments?job_token=${job.token}`)).status).toBe(200)
    expect((await as(`${job.token.slice(0, -8)}AAAAAAAA`, 'GET', `/projects/${id}/deployments`)).status).toBe(401)
  })

  it('names the pipeline', async () => {
    const { body: own } = await as(job.token, 'GET', '/job')
    const url = `/projects/${job.projectId}/pipelines/${own.pipeline.id}`
    const renamed = await as(job.token, 'PUT', `${url}/metadata`, { name: 'Release 7' })
    expect([renamed.status, renamed.body.name]).toEqual([200, 'Release 7'])
    expect((await box.admin('PUT', `${url}/metadata`, { json: { name: '' } })).body.name).toBe(null)
    expect((await box.admin('PUT', `${url}/metadata`, { json: {} })).body).toEqual({ error: 'name is missing' })
    const long = await box.admin('PUT', `${url}/metadata`, { json: { name: 'x'.repeat(256) } })
    expect([long.status, long.body.message]).toEqual([400, { name: ['is too long (maximum is 255 characters)'] }])
  })

  it('names its scopes, and ends with its lease everywhere', async () => {
    const done = await startJob(box, { path: 'scope/ends' })
    const claims = JSON.parse(Buffer.from(done.token.split('.')[1]!, 'base64url').toString())
    expect(claims).toMatchObject({ job: done.id, project: done.projectId, fence: 1, scopes: jobTokenScopes })
    await done.put({ state: 'success' })
    const places = [
      ['GET', '/job'],
      ['GET', `/jobs/${done.id}/artifacts`],
      ['GET', `/projects/${done.projectId}/environments`],
      ['GET', `/projects/${done.projectId}/jobs/${done.id}/artifacts`],
    ] as const
    for (const [method, path] of places) {
      const answer = await as(done.token, method, path)
      expect([path, answer.status, answer.headers.get('job-status')]).toEqual([path, 403, 'success'])
    }
  })

  it('refuses an allowlist that makes no sense, and those who may not change it', async () => {
    const target = await box.core.project(oneJob, 'scope/bad')
    const url = scopeOf(target.id)
    const eve = await person(box, `eve-list-${engine}`)
    const post = (list: string, json: object) => box.admin('POST', `${url}/${list}`, { json })
    await post('allowlist', { target_project_id: job.projectId })
    const cases: [status: number, body: unknown, () => Promise<{ status: number; body: unknown }>][] = [
      [400, { error: 'enabled is missing' }, () => box.admin('PATCH', url, { json: {} })],
      [400, { error: 'enabled is invalid' }, () => box.admin('PATCH', url, { json: { enabled: 'perhaps' } })],
      [400, { error: 'target_project_id is missing' }, () => post('allowlist', {})],
      [400, { error: 'target_project_id is invalid' }, () => post('allowlist', { target_project_id: 'x' })],
      [404, expect.anything(), () => post('allowlist', { target_project_id: 999_999 })],
      [400, expect.anything(), () => post('allowlist', { target_project_id: target.id })],
      [400, expect.anything(), () => post('allowlist', { target_project_id: job.projectId })],
      [404, expect.anything(), () => post('groups_allowlist', { target_group_id: 999_999 })],
      [400, expect.anything(), () => box.admin('DELETE', `${url}/allowlist/${target.id}`)],
      [404, expect.anything(), () => box.admin('DELETE', `${url}/allowlist/x`)],
      [404, expect.anything(), () => box.send('GET', url, { headers: eve.headers })],
      [401, expect.anything(), () => box.send('GET', url)],
    ]
    const { tables } = await box.changes(async () => {
      for (const [status, body, act] of cases) {
        const answer = await act()
        expect([answer.status, answer.body]).toEqual([status, body])
      }
    })
    expect(tables).toEqual([])
  })

  it('holds 200 projects at most', async () => {
    const { id } = await box.core.project(oneJob, 'scope/full')
    await box.core.core.store.write((tx) =>
      tx.db
        .insertInto('job_token_allowances')
        .values(
          Array.from({ length: 200 }, (_, i) => ({ project_id: id, kind: 'project' as const, allowed_id: 10_000 + i })),
        )
        .execute(),
    )
    const answer = await box.admin('POST', `${scopeOf(id)}/allowlist`, { json: { target_project_id: job.projectId } })
    expect([answer.status, answer.body.message]).toEqual([400, expect.stringContaining('200')])
  })
})

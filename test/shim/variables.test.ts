import { afterAll, beforeAll, expect, it } from 'vitest'
import type { PayloadVariable } from '../contract/job-payload.js'
import { onBothEngines } from '../support/stores.js'
import { type ShimBox, startShimBox } from './support/box.js'
import { person } from './support/people.js'

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  let count = 0
  const project = (config: object = { test: { script: 'x' } }, path = `vars/p-${++count}`) =>
    box.core.project(config, path)

  /** The variables of the next job that a runner of the project gets, as its payload has them. */
  async function received(projectId: number, ref = 'main'): Promise<PayloadVariable[]> {
    await box.admin('POST', `/projects/${projectId}/pipeline`, { json: { ref } })
    const { body: runner } = await box.admin('POST', '/user/runners', {
      json: { runner_type: 'project_type', project_id: projectId },
    })
    const { body } = await box.poll(runner.token)
    await box.send('PUT', `/jobs/${body.id}`, { json: { token: body.token, state: 'success' } })
    return body.variables
  }
  const last = (list: PayloadVariable[], key: string) => list.findLast((one) => one.key === key)

  it('makes, shows, lists, changes and deletes a variable of a project', async () => {
    const { id } = await project()
    const url = `/projects/${id}/variables`
    const made = await box.admin('POST', url, { json: { key: 'HOST', value: 'a.example', description: 'where' } })
    const shown = {
      variable_type: 'env_var',
      key: 'HOST',
      value: 'a.example',
      hidden: false,
      protected: false,
      masked: false,
      raw: false,
      environment_scope: '*',
      description: 'where',
    }
    expect([made.status, made.body]).toEqual([201, shown])
    expect((await box.admin('GET', `${url}/HOST`)).body).toEqual(shown)
    const listed = await box.admin('GET', url)
    expect([listed.body, listed.headers.get('x-total')]).toEqual([[shown], '1'])
    const changed = await box.admin('PUT', `${url}/HOST`, {
      form: { value: 'b.example', protected: 'true', masked: 'true', variable_type: 'file', raw: 'true' },
    })
    const after = { ...shown, value: 'b.example', protected: true, masked: true, variable_type: 'file', raw: true }
    expect([changed.status, changed.body]).toEqual([200, after])
    const removed = await box.admin('DELETE', `${url}/HOST`)
    expect([removed.status, removed.text]).toEqual([204, ''])
    const gone = await box.admin('GET', `${url}/HOST`)
    expect([gone.status, gone.body]).toEqual([404, { message: '404 Variable Not Found' }])
  })

  it('keeps no value readable in the store', async () => {
    const { id } = await project()
    await box.admin('POST', `/projects/${id}/variables`, { json: { key: 'SECRET', value: 'open-sesame-42' } })
    const rows = await box.core.core.store.read.db.selectFrom('variables').selectAll().execute()
    expect(rows.length).toBeGreaterThan(0)
    for (const row of rows) expect(Buffer.from(row.value).includes('open-sesame-42')).toBe(false)
    await box.admin('DELETE', `/projects/${id}/variables/SECRET`)
    const events = await box.core.core.store.read.db
      .selectFrom('events')
      .selectAll()
      .where('project_id', '=', id)
      .execute()
    expect(JSON.stringify(events)).not.toContain('open-sesame-42')
    const noted = events.filter(({ kind }) => kind === 'variable.changed').map(({ data }) => JSON.parse(data!))
    const about = { owner: 'project', owner_id: id, key: 'SECRET', scope: '*' }
    expect(noted).toEqual([
      { ...about, what: 'made' },
      { ...about, what: 'deleted' },
    ])
  })

  it('tells equal keys apart by their scope', async () => {
    const { id } = await project()
    const url = `/projects/${id}/variables`
    for (const [scope, value] of [
      ['*', 'any'],
      ['production', 'prod'],
    ]) {
      const answer = await box.admin('POST', url, { json: { key: 'K', value, environment_scope: scope } })
      expect(answer.status).toBe(201)
    }
    const pick = encodeURIComponent('filter[environment_scope]')
    expect((await box.admin('GET', `${url}/K?${pick}=production`)).body.value).toBe('prod')
    const vague = await box.admin('PUT', `${url}/K`, { json: { value: 'x' } })
    expect([vague.status, vague.body.message]).toEqual([409, expect.stringContaining('filter[environment_scope]')])
    await box.admin('PUT', `${url}/K`, { json: { value: 'new', filter: { environment_scope: '*' } } })
    expect((await box.admin('GET', `${url}/K?${pick}=*`)).body.value).toBe('new')
    expect((await box.admin('DELETE', `${url}/K?${pick}=staging`)).status).toBe(404)
    expect((await box.admin('DELETE', `${url}/K?${pick}=production`)).status).toBe(204)
    expect((await box.admin('DELETE', `${url}/K`)).status).toBe(204)
  })

  it('never shows the value of a hidden one, and masks it', async () => {
    const { id } = await project()
    const url = `/projects/${id}/variables`
    const made = await box.admin('POST', url, { json: { key: 'H', value: 'hidden-value', masked_and_hidden: true } })
    expect(made.body).toMatchObject({ value: null, hidden: true, masked: true })
    expect((await box.admin('GET', url)).text).not.toContain('hidden-value')
    expect((await box.admin('PUT', `${url}/H`, { json: { masked: false } })).status).toBe(400)
    expect(last(await received(id), 'H')).toMatchObject({ value: 'hidden-value', masked: true })
  })

  it('refuses what cannot be, and changes nothing', async () => {
    const { id } = await project()
    const url = `/projects/${id}/variables`
    await box.admin('POST', url, { json: { key: 'TAKEN', value: 'x' } })
    const rows = () => box.core.core.store.read.db.selectFrom('variables').selectAll().orderBy('id').execute()
    const before = await rows()
    for (const [json, body] of [
      [{ value: 'x' }, { error: 'key is missing' }],
      [{ key: 'K' }, { error: 'value is missing' }],
      [{ key: 'A-B', value: 'x' }, { message: { key: ["can contain only letters, digits and '_'."] } }],
      [{ key: 'K'.repeat(256), value: 'x' }, { message: { key: ['is too long (maximum is 255 characters)'] } }],
      [{ key: 'K', value: 'x'.repeat(10_001) }, { message: { value: ['is too long (maximum is 10000 characters)'] } }],
      [{ key: 'K', value: 'short', masked: true }, { message: { value: ['is invalid'] } }],
      [{ key: 'K', value: 'two\nlines-of-it', masked: true, raw: true }, { message: { value: ['is invalid'] } }],
      [{ key: 'K', value: 'with $dollar', masked: true }, { message: { value: ['is invalid'] } }],
      [{ key: 'TAKEN', value: 'y' }, { message: { key: ['(TAKEN) has already been taken'] } }],
      [{ key: 'K', value: 'x', variable_type: 'folder' }, { error: 'variable_type does not have a valid value' }],
      [{ key: 'K', value: 'x', environment_scope: 'a;b' }, { message: { environment_scope: [expect.any(String)] } }],
      [{ key: 'K', value: ['x'] }, { error: 'value is invalid' }],
    ] as const) {
      const answer = await box.admin('POST', url, { json })
      expect([json, answer.status, answer.body]).toEqual([json, 400, body])
    }
    expect((await box.admin('GET', `${url}/%00`)).status).toBe(404)
    expect(await rows()).toEqual(before)
  })

  it('shows them to nobody but whoever administers their owner', async () => {
    const eve = await person(box, `eve-vars-${engine}`)
    const open = (await box.admin('POST', '/projects', { json: { path: `vars/open-${engine}`, visibility: 'public' } }))
      .body.id
    const own = (await box.send('POST', '/projects', { headers: eve.headers, json: { name: 'own' } })).body.id
    const status = async (path: string, headers: Record<string, string> = {}) =>
      (await box.send('GET', path, { headers })).status
    expect(await status(`/projects/${open}/variables`)).toBe(401)
    expect(await status(`/projects/${open}/variables`, eve.headers)).toBe(403)
    expect(await status(`/projects/${own}/variables`, eve.headers)).toBe(200)
    expect(await status('/groups/vars/variables', eve.headers)).toBe(404)
    expect(await status('/admin/ci/variables', eve.headers)).toBe(403)
    expect((await box.admin('GET', '/groups/no-such/variables')).body).toEqual({ message: '404 Group Not Found' })
  })

  it('gives jobs the strongest: pipeline, project, inner group, outer group, instance, file', async () => {
    const path = `outer-${engine}/inner/app`
    const { id } = await project({ variables: { V: 'file', REF: '$V' }, test: { script: 'x' } }, path)
    const set = (url: string, value: string) => box.admin('POST', url, { json: { key: 'V', value } })
    const value = async () => last(await received(id), 'V')
    expect(await value()).toMatchObject({ value: 'file', public: true })
    for (const [url, text] of [
      ['/admin/ci/variables', 'instance'],
      [`/groups/outer-${engine}/variables`, 'outer'],
      [`/groups/${encodeURIComponent(`outer-${engine}/inner`)}/variables`, 'inner'],
      [`/projects/${id}/variables`, 'project'],
    ] as const) {
      expect((await set(url, text)).status).toBe(201)
      expect(await value()).toMatchObject({ value: text, public: false })
    }
    await box.admin('POST', `/projects/${id}/pipeline`, {
      json: { ref: 'main', variables: [{ key: 'V', value: 'given' }] },
    })
    const { body: runner } = await box.admin('POST', '/user/runners', {
      json: { runner_type: 'project_type', project_id: id },
    })
    const { body } = await box.poll(runner.token)
    expect(last(body.variables, 'V')?.value).toBe('given')
    expect(last(body.variables, 'REF')?.value).toBe('given')
    await box.admin('DELETE', '/admin/ci/variables/V')
  })

  it('keeps protected ones from refs that are not, and follows scopes', async () => {
    const config = {
      deploy: { script: 'x', environment: { name: 'review/one' } },
    }
    const { id } = await project(config)
    const url = `/projects/${id}/variables`
    await box.admin('POST', url, { json: { key: 'GUARDED', value: 'x', protected: true } })
    for (const [scope, value] of [
      ['*', 'any'],
      ['review/*', 'review'],
      ['review/one', 'one'],
      ['production', 'prod'],
    ]) {
      await box.admin('POST', url, { json: { key: 'WHERE', value, environment_scope: scope } })
    }
    await box.admin('POST', url, { json: { key: 'ONLY_PROD', value: 'x', environment_scope: 'production' } })
    const onMain = await received(id)
    expect(onMain.filter((one) => one.key === 'WHERE').map((one) => one.value)).toEqual(['one'])
    expect(last(onMain, 'GUARDED')?.value).toBe('x')
    expect(last(onMain, 'ONLY_PROD')).toBeUndefined()
    expect(last(await received(id, 'topic'), 'GUARDED')).toBeUndefined()
    await box.admin('DELETE', `${url}/WHERE?${encodeURIComponent('filter[environment_scope]')}=review/one`)
    expect(last(await received(id), 'WHERE')?.value).toBe('review')
  })

  it('lets rules see them, but not those that the ref may not have', async () => {
    const { id } = await project({
      always: { script: 'x' },
      guarded: { script: 'x', rules: [{ if: '$FLAG == "on"' }] },
    })
    await box.admin('POST', `/projects/${id}/variables`, { json: { key: 'FLAG', value: 'on', protected: true } })
    const names = async (ref: string) => {
      const { body } = await box.admin('POST', `/projects/${id}/pipeline`, { json: { ref } })
      const jobs = await box.admin('GET', `/projects/${id}/pipelines/${body.id}/jobs`)
      const given = await box.admin('GET', `/projects/${id}/pipelines/${body.id}/variables`)
      expect(given.body).toEqual([])
      return jobs.body.map((job: { name: string }) => job.name).sort()
    }
    expect(await names('main')).toEqual(['always', 'guarded'])
    expect(await names('topic')).toEqual(['always'])
  })

  it('masks their values in logs, whatever the runner does', async () => {
    const { id } = await project()
    await box.admin('POST', `/projects/${id}/variables`, {
      json: { key: 'TOKEN', value: 'swordfish-1234', masked: true },
    })
    await box.admin('POST', `/projects/${id}/pipeline`, { json: { ref: 'main' } })
    const { body: runner } = await box.admin('POST', '/user/runners', {
      json: { runner_type: 'project_type', project_id: id },
    })
    const { body: job } = await box.poll(runner.token)
    const patch = (range: string, body: string) =>
      box.send('PATCH', `/jobs/${job.id}/trace`, {
        body,
        headers: { 'JOB-TOKEN': job.token, 'Content-Range': range, 'Content-Type': 'text/plain' },
      })
    expect((await patch('0-12', 'say swordfish')).status).toBe(202)
    expect((await patch('13-22', '-1234 done')).status).toBe(202)
    expect(await box.log(job.id)).toBe(`say ${'*'.repeat(14)} done`)
  })
})

import { afterAll, beforeAll, expect, it } from 'vitest'
import { onBothEngines } from '../support/stores.js'
import { realPoll, type ShimBox, startShimBox } from './support/box.js'
import { person } from './support/people.js'
import { startJob } from './support/running-job.js'

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const create = (json: Record<string, unknown>) => box.admin('POST', '/user/runners', { json })

  it('makes runners of each type, with GitLab’s defaults and a token shown once', async () => {
    const made = await create({ runner_type: 'instance_type' })
    expect(made.status).toBe(201)
    expect(made.body).toEqual({
      id: expect.any(Number),
      token: expect.stringMatching(/^glrt-t1_[\w-]{27}$/),
      token_expires_at: null,
    })
    const shown = await box.admin('GET', `/runners/${made.body.id}`)
    expect(shown.status).toBe(200)
    expect(shown.body).toEqual({
      id: made.body.id,
      description: '',
      ip_address: null,
      active: true,
      paused: false,
      is_shared: true,
      runner_type: 'instance_type',
      name: null,
      online: false,
      created_at: new Date(box.core.clock.now()).toISOString(),
      status: 'never_contacted',
      job_execution_status: 'idle',
      tag_list: [],
      run_untagged: true,
      locked: false,
      maximum_timeout: null,
      access_level: 'not_protected',
      version: null,
      revision: null,
      platform: null,
      architecture: null,
      contacted_at: null,
      maintenance_note: null,
      projects: [],
      groups: [],
    })
    expect(JSON.stringify(shown.body)).not.toContain(made.body.token)
    const project = await box.core.project({}, 'acme/of-runner')
    const own = await create({
      runner_type: 'project_type',
      project_id: project.id,
      tag_list: ['a', 'b,c'],
      description: 'mine',
    })
    expect(own.body.token).toMatch(/^glrt-t3_/)
    const details = (await box.admin('GET', `/runners/${own.body.id}`)).body
    expect(details).toMatchObject({
      is_shared: false,
      tag_list: ['a', 'b', 'c'],
      projects: [
        {
          id: project.id,
          path_with_namespace: 'acme/of-runner',
          default_branch: 'main',
          tag_list: [],
          topics: [],
          http_url_to_repo: 'http://box.test/acme/of-runner.git',
          namespace: { full_path: 'acme', kind: 'group' },
        },
      ],
    })
    const group = await create({ runner_type: 'group_type', group_id: project.groupId })
    expect(group.body.token).toMatch(/^glrt-t2_/)
    expect((await box.admin('GET', `/runners/${group.body.id}`)).body.groups).toMatchObject([
      { id: project.groupId, name: 'acme' },
    ])
  })

  it('takes the same from a query and from forms', async () => {
    const query = await box.admin('POST', '/user/runners?runner_type=instance_type&run_untagged=false&tag_list=x,y')
    expect(query.status).toBe(201)
    const form = await box.admin('POST', '/user/runners', {
      form: [
        ['runner_type', 'instance_type'],
        ['run_untagged', 'false'],
        ['tag_list[]', 'x'],
        ['tag_list[]', 'y'],
      ],
    })
    const body = new FormData()
    for (const [name, value] of [
      ['runner_type', 'instance_type'],
      ['run_untagged', 'false'],
      ['tag_list', 'x,y'],
    ] as const)
      body.append(name, value)
    const multipart = await box.admin('POST', '/user/runners', { body })
    for (const made of [query, form, multipart]) {
      expect((await box.admin('GET', `/runners/${made.body.id}`)).body).toMatchObject({
        run_untagged: false,
        tag_list: ['x', 'y'],
      })
    }
  })

  it('says what is wrong with a setting in GitLab’s words', async () => {
    for (const [json, status, body] of [
      [{}, 400, { error: 'runner_type is missing' }],
      [{ runner_type: 'other' }, 400, { error: 'runner_type does not have a valid value' }],
      [{ runner_type: 'project_type' }, 400, { error: 'project_id is missing' }],
      [{ runner_type: 'project_type', project_id: 99999 }, 404, { message: '404 Project Not Found' }],
      [{ runner_type: 'group_type', group_id: 99999 }, 404, { message: '404 Group Not Found' }],
      [{ runner_type: 'instance_type', run_untagged: 'maybe' }, 400, { error: 'run_untagged is invalid' }],
      [
        { runner_type: 'instance_type', run_untagged: false },
        400,
        { message: { tags_list: ['can not be empty when runner is not allowed to pick untagged jobs'] } },
      ],
      [
        { runner_type: 'instance_type', description: 'x'.repeat(10_240) },
        400,
        { message: { description: ['is too long'] } },
      ],
      [
        { runner_type: 'instance_type', tag_list: Array.from({ length: 51 }, (_, i) => `t${i}`) },
        400,
        { message: { tag_list: ['has too many tags, or one that is too long'] } },
      ],
      [
        { runner_type: 'instance_type', tag_list: ['x'.repeat(256)] },
        400,
        { message: { tag_list: ['has too many tags, or one that is too long'] } },
      ],
      [{ runner_type: 'instance_type', tag_list: [1, {}] }, 400, { error: 'tag_list is invalid' }],
      [{ runner_type: 'instance_type', maximum_timeout: -1 }, 400, { error: 'maximum_timeout is invalid' }],
      [{ runner_type: 'instance_type', maximum_timeout: 1e99 }, 400, { error: 'maximum_timeout is invalid' }],
      [{ runner_type: 'instance_type', maximum_timeout: 'NaN' }, 400, { error: 'maximum_timeout is invalid' }],
      [
        { runner_type: 'instance_type', maximum_timeout: 60 },
        400,
        { message: { maximum_timeout: ['needs to be at least 600 seconds'] } },
      ],
      [{ runner_type: 'instance_type', access_level: 'x' }, 400, { error: 'access_level does not have a valid value' }],
    ] as const) {
      const before = await box.rows()
      const answer = await create(json)
      expect([json, answer.status, answer.body]).toEqual([json, status, body])
      expect(await box.rows()).toBe(before)
    }
  })

  it('changes a runner, one setting or all of them', async () => {
    const { id } = (await create({ runner_type: 'instance_type' })).body
    const change = (json: Record<string, unknown>) => box.admin('PUT', `/runners/${id}`, { json })
    expect((await change({ paused: true })).body).toMatchObject({
      paused: true,
      active: false,
      status: 'never_contacted',
    })
    expect((await change({ active: 'true' })).body).toMatchObject({ paused: false, active: true })
    const all = {
      description: 'new',
      tag_list: 'a, b ,a',
      run_untagged: '0',
      locked: true,
      access_level: 'ref_protected',
      maximum_timeout: '900',
      maintenance_note: 'n',
    }
    const changed = await change(all)
    expect(changed.status).toBe(200)
    expect(changed.body).toMatchObject({ ...all, tag_list: ['a', 'b'], run_untagged: false, maximum_timeout: 900 })
    expect((await change({ maximum_timeout: null })).body.maximum_timeout).toBeNull()
    expect((await change({})).status).toBe(400)
    expect((await change({ tag_list: [] })).status).toBe(400)
    expect((await box.admin('GET', `/runners/${id}`)).body.tag_list).toEqual(['a', 'b'])
  })

  it('shows what a runner is, by its newest manager, and whether it is there', async () => {
    const { id, token } = (await create({ runner_type: 'instance_type' })).body
    await box.poll(token)
    expect((await box.admin('GET', `/runners/${id}`)).body).toMatchObject({
      status: 'online',
      online: true,
      name: 'gitlab-runner',
      version: '19.4.0',
      platform: 'linux',
      architecture: 'amd64',
      ip_address: '127.0.0.1',
      contacted_at: new Date(box.core.clock.now()).toISOString(),
    })
    box.core.clock.advance(60_000)
    await box.poll(token, { system_id: 's_new', info: { ...realPoll.info, version: '19.5.0' } })
    expect((await box.admin('GET', `/runners/${id}`)).body.version).toBe('19.5.0')
    const managers = (await box.admin('GET', `/runners/${id}/managers`)).body
    expect(managers.map((one: { system_id: string }) => one.system_id)).toEqual(['s_new', 's_0123456789ab'])
    box.core.clock.advance(2 * 3_600_000)
    expect((await box.admin('GET', `/runners/${id}`)).body).toMatchObject({ status: 'offline', online: false })
    box.core.clock.advance(8 * 24 * 3_600_000)
    expect((await box.admin('GET', `/runners/${id}`)).body.status).toBe('stale')
  })

  it('lists runners by filter, with pages', async () => {
    await using fresh = await startShimBox(engine)
    const ids: number[] = []
    const tokens: string[] = []
    for (const json of [
      { runner_type: 'instance_type', tag_list: 'a,b' },
      { runner_type: 'instance_type', tag_list: 'ab', paused: true },
      { runner_type: 'instance_type', description: 'third' },
    ]) {
      const made = (await fresh.admin('POST', '/user/runners', { json })).body
      ids.push(made.id)
      tokens.push(made.token)
    }
    const project = await fresh.core.project({})
    const own = await fresh.admin('POST', '/user/runners', {
      json: { runner_type: 'project_type', project_id: project.id },
    })
    ids.push(own.body.id)
    await fresh.poll(tokens[0]!)
    const list = async (path: string) =>
      (await fresh.admin('GET', path)).body.map((one: { id: number }) => ids.indexOf(one.id))
    expect(await list('/runners/all')).toEqual([3, 2, 1, 0])
    expect(await list('/runners')).toEqual([3, 2, 1, 0])
    expect(await list('/runners/all?type=project_type')).toEqual([3])
    expect(await list('/runners/all?scope=specific')).toEqual([3])
    expect(await list('/runners/all?paused=true')).toEqual([1])
    expect(await list('/runners/all?status=paused')).toEqual([1])
    expect(await list('/runners/all?status=online')).toEqual([0])
    expect(await list('/runners/all?status=never_contacted')).toEqual([3, 2, 1])
    expect(await list('/runners/all?tag_list=a')).toEqual([0])
    expect(await list('/runners/all?tag_list=a,b')).toEqual([0])
    expect(await list('/runners/all?tag_list=a,c')).toEqual([])
    expect(await list('/runners/all?version_prefix=19.')).toEqual([0])
    expect(await list('/runners/all?version_prefix=18')).toEqual([])
    // Also the instance's, which serve it.
    expect(await list(`/projects/${project.id}/runners`)).toEqual([3, 2, 1, 0])
    expect(await list(`/projects/${project.id}/runners?scope=specific`)).toEqual([3])
    await fresh.admin('PUT', `/projects/${project.id}`, { json: { shared_runners_enabled: false } })
    expect(await list(`/projects/${project.id}/runners`)).toEqual([3])
    const page = await fresh.admin('GET', `/runners/all?per_page=3&private_token=x`)
    const get = (name: string) => page.headers.get(name)
    expect([get('x-page'), get('x-per-page'), get('x-next-page'), get('x-prev-page')]).toEqual(['1', '3', '2', ''])
    expect([get('x-total'), get('x-total-pages')]).toEqual(['4', '2'])
    expect(get('link')).toBe(
      '<http://box.test/api/v4/runners/all?page=2&per_page=3>; rel="next", ' +
        '<http://box.test/api/v4/runners/all?page=1&per_page=3>; rel="first", ' +
        '<http://box.test/api/v4/runners/all?page=2&per_page=3>; rel="last"',
    )
    const second = await fresh.admin('GET', '/runners/all?per_page=3&page=2')
    expect([second.body.length, second.headers.get('x-next-page'), second.headers.get('x-prev-page')]).toEqual([
      1,
      '',
      '1',
    ])
    expect((await fresh.admin('GET', '/runners/all?per_page=1000')).headers.get('x-per-page')).toBe('100')
    expect((await fresh.admin('GET', '/runners/all?page=1000000000')).body).toEqual([])
  })

  it('lists the jobs of a runner', async () => {
    const job = await startJob(box)
    const { runner_id } = await box
      .job(job.id)
      .then(async () => ({ runner_id: (await box.leases(job.id))[0]!.runner_id }))
    await job.put({ state: 'running' })
    const jobs = await box.admin('GET', `/runners/${runner_id}/jobs?status=running&system_id=${realPoll.system_id}`)
    expect(jobs.body).toMatchObject([{ id: job.id, status: 'running', project: { id: job.projectId } }])
    expect((await box.admin('GET', `/runners/${runner_id}/jobs?status=success`)).body).toEqual([])
    expect((await box.admin('GET', `/runners/${runner_id}/jobs?system_id=s_none`)).body).toEqual([])
  })

  it('removes a runner, once', async () => {
    const { id, token } = (await create({ runner_type: 'instance_type' })).body
    expect((await box.admin('DELETE', `/runners/${id}`)).status).toBe(204)
    const again = await box.admin('DELETE', `/runners/${id}`)
    expect([again.status, again.body]).toEqual([404, { message: '404 Runner Not Found' }])
    expect((await box.poll(token)).status).toBe(403)
  })

  it('shows an ordinary user only the runners of its own projects', async () => {
    const ada = await person(box, `ada-${engine}`)
    const bob = await person(box, `bob-${engine}`)
    const project = (await box.send('POST', '/projects', { json: { name: 'ada' }, headers: ada.headers })).body
    const as = (who: typeof ada, method: string, path: string, json?: unknown) =>
      box.send(method, path, { headers: who.headers, ...(json === undefined ? {} : { json }) })
    expect((await as(ada, 'POST', '/user/runners', { runner_type: 'instance_type' })).status).toBe(403)
    const own = await as(ada, 'POST', '/user/runners', { runner_type: 'project_type', project_id: project.id })
    expect(own.status).toBe(201)
    expect(
      (await as(bob, 'POST', '/user/runners', { runner_type: 'project_type', project_id: project.id })).status,
    ).toBe(404)
    expect((await as(ada, 'GET', '/runners')).body).toMatchObject([{ id: own.body.id }])
    expect((await as(bob, 'GET', '/runners')).body).toEqual([])
    expect((await as(ada, 'GET', '/runners/all')).status).toBe(403)
    for (const [method, path] of [
      ['GET', ''],
      ['PUT', ''],
      ['DELETE', ''],
      ['GET', '/managers'],
      ['GET', '/jobs'],
      ['POST', '/reset_authentication_token'],
    ]) {
      expect((await as(bob, method!, `/runners/${own.body.id}${path}`)).status).toBe(404)
    }
    expect((await as(ada, 'GET', `/runners/${own.body.id}`)).status).toBe(200)
    expect((await as(ada, 'POST', '/runners/reset_registration_token')).status).toBe(403)
  })
})

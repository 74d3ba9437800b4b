import { afterAll, beforeAll, expect, it } from 'vitest'
import { onBothEngines } from '../support/stores.js'
import { oneJob, type ShimBox, startShimBox } from './support/box.js'
import { type RunningJob, startJob } from './support/running-job.js'

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  let count = 0
  const project = (config: object = oneJob) => box.core.project(config, `acme/p-${++count}`)

  it('creates a pipeline of the file at the ref', async () => {
    const { id } = await project()
    const made = await box.admin('POST', `/projects/${id}/pipeline`, { json: { ref: 'main' } })
    expect(made.status).toBe(201)
    const now = new Date(box.core.clock.now()).toISOString()
    const url = `http://box.test/acme/p-${count}/-/pipelines/${made.body.id}`
    expect(made.body).toEqual({
      id: made.body.id,
      iid: 1,
      project_id: id,
      sha: box.core.repositories.sha,
      ref: 'main',
      status: 'pending',
      source: 'api',
      created_at: now,
      updated_at: now,
      web_url: url,
      before_sha: '0'.repeat(40),
      tag: false,
      yaml_errors: null,
      user: {
        id: 1,
        username: 'root',
        name: 'Administrator',
        state: 'active',
        locked: false,
        avatar_url: null,
        web_url: 'http://box.test/root',
      },
      started_at: null,
      finished_at: null,
      committed_at: null,
      duration: null,
      queued_duration: null,
      coverage: null,
      detailed_status: {
        icon: 'status_pending',
        text: 'Pending',
        label: 'pending',
        group: 'pending',
        tooltip: 'pending',
        has_details: true,
        details_path: `/acme/p-${count}/-/pipelines/${made.body.id}`,
        illustration: null,
        favicon: '/assets/ci_favicons/favicon_status_pending.png',
      },
      name: null,
    })
    expect((await box.admin('GET', `/projects/${id}/pipelines/${made.body.id}`)).body).toEqual(made.body)
    expect((await box.admin('GET', `/projects/${id}/pipelines/latest`)).body.id).toBe(made.body.id)
    expect((await box.admin('GET', `/projects/${id}/pipelines/latest?ref=other`)).status).toBe(404)
  })

  it('takes variables however a client writes them', async () => {
    const want = [
      { variable_type: 'env_var', key: 'A', value: 'b', raw: false },
      { variable_type: 'file', key: 'C', value: 'd', raw: false },
    ]
    const { id } = await project({ test: { script: 'x', rules: [{ if: '$A == "b"' }] } })
    const rails =
      'variables[][key]=A&variables[][value]=b&variables[][key]=C&variables[][value]=d&variables[][variable_type]=file'
    const grouped =
      'variables[][key]=A&variables[][key]=C&variables[][value]=b&variables[][value]=d&variables[][variable_type]=env_var&variables[][variable_type]=file'
    const numbered =
      'variables[0][key]=A&variables[0][value]=b&variables[1][key]=C&variables[1][value]=d&variables[1][variable_type]=file'
    const form = { 'Content-Type': 'application/x-www-form-urlencoded' }
    for (const [query, sent] of [
      ['', { json: { ref: 'main', variables: want.map((one) => ({ ...one, raw: undefined })) } }],
      ['?ref=main', { body: rails, headers: form }],
      ['?ref=main', { body: grouped, headers: form }],
      ['?ref=main', { body: numbered, headers: form }],
      [`?ref=main&${encodeURI(rails)}`, {}],
    ] as const) {
      const made = await box.admin('POST', `/projects/${id}/pipeline${query}`, sent)
      expect([query, made.status]).toEqual([query, 201])
      expect((await box.admin('GET', `/projects/${id}/pipelines/${made.body.id}/variables`)).body).toEqual(want)
    }
  })

  it('gives a pipeline its inputs', async () => {
    const { project } = await box.run(
      'spec:\n  inputs:\n    who: {default: nobody}\n---\nj: {script: "echo $[[ inputs.who ]]"}',
      'acme/inputs',
    )
    const { body: runner } = await box.admin('POST', '/user/runners', {
      json: { runner_type: 'project_type', project_id: project.id },
    })
    const made = await box.admin('POST', `/projects/${project.id}/pipeline`, {
      json: { ref: 'main', inputs: { who: 'somebody' } },
    })
    expect(made.status).toBe(201)
    const scripts = [await box.poll(runner.token), await box.poll(runner.token)]
    expect(scripts.map((poll) => poll.body.steps[0].script)).toEqual([['echo nobody'], ['echo somebody']])
  })

  it('says why there is no pipeline', async () => {
    const { id } = await project()
    const broken = await project({ test: { scrip: 'x' } })
    const filtered = await project({ test: { script: 'x', rules: [{ when: 'never' }] } })
    const empty = await box.core.project({}, 'acme/empty')
    box.core.repositories.files.get(empty.id)!.clear()
    for (const [project, json, status, body] of [
      [id, {}, 400, { error: 'ref is missing' }],
      [id, { ref: '' }, 400, { error: 'ref is empty' }],
      [id, { ref: ['main'] }, 400, { error: 'ref is invalid' }],
      [id, { ref: 'missing' }, 400, { message: { base: ['Reference not found'] } }],
      [id, { ref: 'main', variables: 'x' }, 400, { error: 'variables is invalid' }],
      [id, { ref: 'main', variables: [{ key: 'a-b', value: 'c' }] }, 400, { error: 'variables[key] is invalid' }],
      [id, { ref: 'main', variables: [{ key: 'A' }] }, 400, { error: 'variables[value] is missing' }],
      [id, { ref: 'main', variables: [{ key: 'A', value: {} }] }, 400, { error: 'value is invalid' }],
      [id, { ref: 'main', inputs: { a: 1 } }, 400, { message: { base: [expect.stringContaining('inputs')] } }],
      [empty.id, { ref: 'main' }, 400, { message: { base: ['Missing CI config file'] } }],
      [
        broken.id,
        { ref: 'main' },
        400,
        { message: { base: expect.arrayContaining([expect.stringContaining('scrip')]) } },
      ],
      [filtered.id, { ref: 'main' }, 400, { message: { base: [expect.any(String)] } }],
      [99999, { ref: 'main' }, 404, { message: '404 Project Not Found' }],
    ] as const) {
      const before = await box.rows()
      const answer = await box.admin('POST', `/projects/${project}/pipeline`, { json })
      expect([json, answer.status, answer.body]).toEqual([json, status, body])
      expect(await box.rows()).toBe(before)
    }
  })

  it('cancels and retries a pipeline', async () => {
    const job = await startJob(box, { config: { a: { script: 'x' }, b: { script: 'x' } } })
    await job.put({ state: 'running' })
    const url = `/projects/${job.projectId}/pipelines/${(await box.job(job.id)).pipeline_id}`
    const canceled = await box.admin('POST', `${url}/cancel`)
    expect([canceled.status, canceled.body.status]).toEqual([200, 'canceling'])
    await job.put({ state: 'failed' })
    expect((await box.admin('GET', url)).body).toMatchObject({
      status: 'canceled',
      finished_at: expect.any(String),
      duration: 0,
    })
    const again = await box.admin('POST', `${url}/cancel`)
    expect([again.status, again.body.status]).toEqual([200, 'canceled'])
    const retried = await box.admin('POST', `${url}/retry`)
    // A pipeline that had ended is running again at once: gitlab app/models/ci/pipeline.rb.
    expect([retried.status, retried.body.status]).toEqual([201, 'running'])
    const jobs = await box.admin('GET', `${url}/jobs`)
    expect(jobs.body.map((one: { name: string; status: string }) => [one.name, one.status])).toEqual([
      ['b', 'pending'],
      ['a', 'pending'],
    ])
    expect((await box.admin('GET', `${url}/jobs?include_retried=true`)).body).toHaveLength(4)
    expect((await box.admin('GET', `${url}/jobs?scope[]=canceled&include_retried=1`)).body).toHaveLength(2)
  })

  it('lists pipelines by everything that they can be asked for', async () => {
    const { id } = await project()
    const ids: number[] = []
    const make = async (ref: string) => {
      box.core.clock.advance(60_000)
      const made = await box.admin('POST', `/projects/${id}/pipeline`, { json: { ref } })
      ids.push(made.body.id)
      return made.body
    }
    const first = await make('main')
    await make('main')
    await make('dev')
    const tag = await make('v1')
    await box.admin('POST', `/projects/${id}/pipelines/${ids[2]}/cancel`)
    const list = async (query: string) => {
      const answer = await box.admin('GET', `/projects/${id}/pipelines?${query}`)
      expect([query, answer.status]).toEqual([query, 200])
      return answer.body.map((one: { id: number }) => ids.indexOf(one.id))
    }
    expect(await list('')).toEqual([3, 2, 1, 0])
    expect(await list('sort=asc')).toEqual([0, 1, 2, 3])
    expect(await list('order_by=ref&sort=asc')).toEqual([2, 0, 1, 3])
    expect(await list('ref=main')).toEqual([1, 0])
    expect(await list('scope=branches')).toEqual([2, 1])
    expect(await list('scope=tags')).toEqual([3])
    expect(await list('scope=finished')).toEqual([2])
    expect(await list('scope=pending')).toEqual([3, 1, 0])
    expect(await list('status=canceled')).toEqual([2])
    expect(await list('source=api')).toEqual([3, 2, 1, 0])
    expect(await list('source=push')).toEqual([])
    expect(await list(`sha=${first.sha}`)).toHaveLength(4)
    expect(await list('username=root')).toHaveLength(4)
    expect(await list('username=nobody')).toEqual([])
    expect(await list('yaml_errors=true')).toEqual([])
    expect(await list('name=x')).toEqual([])
    expect(await list(`created_after=${first.created_at}`)).toEqual([3, 2, 1])
    expect(await list(`created_before=${tag.created_at}&created_after=${first.created_at}`)).toEqual([2, 1])
    expect(await list(`updated_after=${tag.created_at}`)).toEqual([])
    const page = await box.admin('GET', `/projects/${id}/pipelines?per_page=2&page=2`)
    expect(page.body).toHaveLength(2)
    expect([page.headers.get('x-total'), page.headers.get('x-prev-page')]).toEqual(['4', '1'])
    expect(Object.keys(page.body[0])).toEqual([
      'id',
      'iid',
      'project_id',
      'sha',
      'ref',
      'status',
      'source',
      'created_at',
      'updated_at',
      'web_url',
      'name',
    ])
    for (const wrong of [
      'scope=x',
      'status=x',
      'order_by=id;drop',
      'sort=up',
      'created_after=yesterday',
      'page=0',
      'page=-1',
      'per_page=a',
      'yaml_errors=maybe',
    ]) {
      const answer = await box.admin('GET', `/projects/${id}/pipelines?${wrong}`)
      expect([wrong, answer.status, Object.keys(answer.body)]).toEqual([wrong, 400, ['error']])
    }
  })

  it('keeps pipelines of another project out of reach', async () => {
    const [one, two] = [await project(), await project()]
    const { id } = (await box.admin('POST', `/projects/${one.id}/pipeline`, { json: { ref: 'main' } })).body
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/jobs'],
      ['GET', '/variables'],
      ['POST', '/cancel'],
      ['POST', '/retry'],
    ]) {
      const answer = await box.admin(method!, `/projects/${two.id}/pipelines/${id}${path}`)
      expect([path, answer.status, answer.body]).toEqual([path, 404, { message: '404 Pipeline Not Found' }])
    }
  })

  it('measures a pipeline in whole seconds', async () => {
    const job: RunningJob = await startJob(box)
    box.core.clock.advance(2500)
    await job.put({ state: 'running' })
    box.core.clock.advance(61_900)
    await job.put({ state: 'success' })
    const url = `/projects/${job.projectId}/pipelines/${(await box.job(job.id)).pipeline_id}`
    expect((await box.admin('GET', url)).body).toMatchObject({ status: 'success', duration: 61, queued_duration: 2 })
    const shown = (await box.admin('GET', `/projects/${job.projectId}/jobs/${job.id}`)).body
    expect(shown).toMatchObject({ duration: 61.9, queued_duration: 2.5 })
  })
})

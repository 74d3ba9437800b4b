/** What starts pipelines besides pushes and people: schedules, trigger tokens, other pipelines; and checks from outside. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { onBothEngines } from '../support/stores.js'
import { oneJob, type ShimBox, startShimBox } from './support/box.js'
import { startJob } from './support/running-job.js'

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  it('starts a pipeline for whoever has the trigger token', async () => {
    const project = await box.core.project({ workflow: { name: 'by $CI_TRIGGER_SHORT_TOKEN' }, ...oneJob }, 'trig/a')
    const url = `/projects/${project.id}/triggers`
    const made = await box.admin('POST', url, { json: { description: 'nightly' } })
    expect([made.status, made.body.token]).toEqual([201, expect.stringMatching(/^glptt-/)])
    const { token, id } = made.body
    expect((await box.admin('GET', `${url}/${id}`)).body).toMatchObject({
      token: expect.not.stringMatching(token),
      description: 'nightly',
      last_used: null,
      owner: { username: 'root' },
    })
    const start = (json: object) => box.send('POST', `/projects/${project.id}/trigger/pipeline`, { json })
    const started = await start({ token, ref: 'main', variables: { WHO: 'me' } })
    expect([started.status, started.body.source, started.body.ref]).toEqual([201, 'trigger', 'main'])
    expect(started.body.name).toBe(`by ${token.slice('glptt-'.length, 'glptt-'.length + 4)}`)
    const given = await box.admin('GET', `/projects/${project.id}/pipelines/${started.body.id}/variables`)
    expect(given.body).toMatchObject([{ key: 'WHO', value: 'me' }])
    const form = await box.send('POST', `/projects/trig%2Fa/ref/dev/trigger/pipeline`, {
      form: { token, 'variables[X]': 'y' },
    })
    expect([form.status, form.body.ref]).toEqual([201, 'dev'])
    expect((await box.admin('GET', `${url}/${id}`)).body.last_used).toEqual(expect.any(String))
    expect((await start({ token: `${token}x`, ref: 'main' })).status).toBe(404)
    expect((await start({ token, ref: 'missing' })).status).toBe(400)
    expect((await start({ token, ref: 'main', variables: { N: 1 } })).status).toBe(400)
    expect((await start({ ref: 'main' })).body).toEqual({ error: 'token is missing' })
    expect((await box.admin('DELETE', `${url}/${id}`)).status).toBe(204)
    expect((await start({ token, ref: 'main' })).status).toBe(404)
  })

  it('starts a pipeline with the token of a running job', async () => {
    const job = await startJob(box)
    const { token } = job
    const started = await box.send('POST', `/projects/${job.projectId}/trigger/pipeline`, {
      json: { token, ref: 'main' },
    })
    expect([started.status, started.body.source]).toEqual([201, 'pipeline'])
    const other = await box.core.project(oneJob, 'trig/other')
    const refused = await box.send('POST', `/projects/${other.id}/trigger/pipeline`, { json: { token, ref: 'main' } })
    expect(refused.status).toBe(404)
  })

  it('runs a schedule at its times, in its zone, once each, with its variables', async () => {
    const name = 'of the $CI_PIPELINE_SCHEDULE_DESCRIPTION'
    const project = await box.core.project({ workflow: { name }, ...oneJob }, 'sched/a')
    const url = `/projects/${project.id}/pipeline_schedules`
    box.core.clock.raise(Date.UTC(2030, 2, 30, 0, 0))
    const made = await box.admin('POST', url, {
      json: { description: 'night', ref: 'main', cron: '30 2 * * *', cron_timezone: 'Europe/Berlin' },
    })
    expect([made.status, made.body.next_run_at]).toEqual([201, '2030-03-30T01:30:00.000Z'])
    const one = `${url}/${made.body.id}`
    expect((await box.admin('POST', `${one}/variables`, { json: { key: 'A', value: 'b' } })).status).toBe(201)
    expect(await box.core.tasks.run('run_schedules')).toBe('nothing to do')
    box.core.clock.raise(Date.UTC(2030, 2, 30, 1, 30))
    expect(await box.core.tasks.run('run_schedules')).toBe('1 pipelines')
    expect(await box.core.tasks.run('run_schedules')).toBe('nothing to do')
    const shown = (await box.admin('GET', one)).body
    expect(shown).toMatchObject({
      // On the 31st Berlin's clock jumps from two to three: half past two comes at three, summer time.
      next_run_at: '2030-03-31T01:00:00.000Z',
      last_pipeline: { ref: 'main', status: 'pending' },
      variables: [{ key: 'A', value: 'b' }],
    })
    const pipeline = (await box.admin('GET', `/projects/${project.id}/pipelines/${shown.last_pipeline.id}`)).body
    expect([pipeline.source, pipeline.name]).toEqual(['schedule', 'of the night'])
    // Days that nobody was there for make one pipeline.
    box.core.clock.raise(Date.UTC(2030, 3, 5, 0, 0))
    expect(await box.core.tasks.run('run_schedules')).toBe('1 pipelines')
    expect((await box.admin('GET', one)).body.next_run_at).toBe('2030-04-05T00:30:00.000Z')
    expect((await box.admin('PUT', one, { json: { active: false } })).body.active).toBe(false)
    box.core.clock.raise(Date.UTC(2030, 3, 6, 12, 0))
    expect(await box.core.tasks.run('run_schedules')).toBe('nothing to do')
    expect((await box.admin('POST', `${one}/play`)).status).toBe(201)
    expect((await box.admin('GET', `${url}?scope=inactive`)).body).toHaveLength(1)
    expect((await box.admin('PUT', `${one}/variables/A`, { json: { value: 'c' } })).body.value).toBe('c')
    expect((await box.admin('DELETE', `${one}/variables/A`)).status).toBe(202)
    expect((await box.admin('DELETE', `${one}/variables/A`)).status).toBe(404)
    expect((await box.admin('DELETE', one)).status).toBe(204)
  })

  it.each([
    [{ cron: 'every day' }, { cron: ['syntax is invalid'] }],
    [{ cron: '61 * * * *' }, { cron: ['syntax is invalid'] }],
    [{ cron: '* * * * * *' }, { cron: ['syntax is invalid'] }],
    [{ cron: '0 0 31 2 *' }, { cron: ['never comes'] }],
    [{ cron_timezone: 'Mars/Olympus' }, { cron_timezone: ['syntax is invalid'] }],
  ])('refuses a schedule with %j', async (wrong, message) => {
    const name = `sched/${JSON.stringify(wrong).replace(/[^a-z0-9]/g, '')}`
    const project = await box.core.project(oneJob, name)
    const answer = await box.admin('POST', `/projects/${project.id}/pipeline_schedules`, {
      json: { description: 'x', ref: 'main', cron: '0 1 * * *', ...wrong },
    })
    expect([answer.status, answer.body]).toEqual([400, { message }])
  })

  it('lists child pipelines only to who asks for them', async () => {
    const project = await box.core.project({ go: { trigger: { include: 'child.yml' } } }, 'bridge/listed')
    box.core.repositories.files.get(project.id)!.set('child.yml', 'c: {script: x}')
    const { id } = await box.core.pipeline(project)
    const list = async (query: string) => (await box.admin('GET', `/projects/${project.id}/pipelines${query}`)).body
    const ids = async (query: string) => (await list(query)).map((one: { id: number }) => one.id)
    await eventually(async () => expect(await ids('?source=parent_pipeline')).toHaveLength(1))
    const [child] = await ids('?source=parent_pipeline')
    expect(await ids('')).toEqual([id])
    expect(await ids('?ref=main&scope=branches')).toEqual([id])
    expect(await ids('?iids[]=1&iids[]=2')).toEqual([child, id])
    expect(await ids(`?ids[]=${id}`)).toEqual([id])
    expect((await list('/latest')).id).toBe(id)
    expect((await box.admin('GET', `/projects/${project.id}/pipelines?iids[]=x`)).status).toBe(400)
  })

  it('shows trigger jobs with their pipelines', async () => {
    const project = await box.core.project({ go: { trigger: { include: 'child.yml' } } }, 'bridge/a')
    box.core.repositories.files.get(project.id)!.set('child.yml', 'c: {script: x}')
    const pipeline = await box.core.pipeline(project)
    await eventually(async () => {
      const { body } = await box.admin('GET', `/projects/${project.id}/pipelines/${pipeline.id}/bridges`)
      expect(body).toMatchObject([
        { name: 'go', status: 'success', downstream_pipeline: { source: 'parent_pipeline', status: 'pending' } },
      ])
      expect(body[0]).not.toHaveProperty('runner')
    })
  })

  it('takes in checks from outside: they count in the pipeline, and no runner gets them', async () => {
    const { project, pipeline } = await box.run(oneJob, 'status/a')
    const set = (json: object, sha = pipeline.sha) =>
      box.admin('POST', `/projects/${project.id}/statuses/${sha}`, { json })
    const first = await set({ state: 'pending', name: 'ci/outside', target_url: 'https://x.test', description: 'soon' })
    expect(first.status).toBe(201)
    expect(first.body).toMatchObject({
      status: 'pending',
      name: 'ci/outside',
      target_url: 'https://x.test',
      description: 'soon',
      pipeline_id: pipeline.id,
      author: { username: 'root' },
    })
    expect((await set({ state: 'running', name: 'ci/outside' })).body).toMatchObject({
      id: first.body.id,
      status: 'running',
      description: 'soon',
    })
    const again = await set({ state: 'pending', name: 'ci/outside' })
    expect(again.status).toBe(400)
    expect(again.body.message).toMatch(/^Cannot transition status via :enqueue from :running/)
    expect((await set({ state: 'failed', name: 'ci/outside', coverage: 12.5 })).body).toMatchObject({
      status: 'failed',
      coverage: 12.5,
    })
    const second = await set({ state: 'success', name: 'ci/outside' })
    expect(second.body.id).not.toBe(first.body.id)
    const list = (await box.admin('GET', `/projects/${project.id}/repository/commits/${pipeline.sha}/statuses`)).body
    expect(list.filter((one: { name: string }) => one.name === 'ci/outside')).toHaveLength(1)
    expect((await set({ state: 'done' })).status).toBe(400)
    expect((await set({ state: 'success', target_url: 'javascript:1' })).status).toBe(400)
    expect((await set({ state: 'success' }, 'missing')).status).toBe(404)
    expect((await set({ state: 'success', pipeline_id: 999_999 })).status).toBe(404)
  })

  it('makes a pipeline for a check of a commit that has none', async () => {
    const project = await box.core.project(oneJob, 'status/b')
    const set = (state: string) =>
      box.admin('POST', `/projects/${project.id}/statuses/${box.core.repositories.sha}`, {
        json: { state, ref: 'main' },
      })
    const { body } = await set('running')
    const url = `/projects/${project.id}/pipelines/${body.pipeline_id}`
    expect((await box.admin('GET', url)).body).toMatchObject({ source: 'external', status: 'running' })
    await set('success')
    expect((await box.admin('GET', url)).body).toMatchObject({ status: 'success' })
  })
})

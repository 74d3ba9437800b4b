import { afterAll, beforeAll, expect, it } from 'vitest'
import { onBothEngines } from '../support/stores.js'
import { oneJob, type ShimBox, startShimBox } from './support/box.js'
import { startJob } from './support/running-job.js'

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  let count = 0
  const run = (config: object = oneJob) => box.run(config, `acme/j-${++count}`)

  it('shows a job before, while and after it runs', async () => {
    const job = await startJob(box, {
      config: { unit: { stage: 'test', script: 'x', tags: ['a'] } },
      runner: { tag_list: 'a' },
    })
    const url = `/projects/${job.projectId}/jobs/${job.id}`
    const pending = (await box.admin('GET', url)).body
    expect(pending).toMatchObject({
      id: job.id,
      status: 'pending',
      stage: 'test',
      name: 'unit',
      ref: 'main',
      tag: false,
      coverage: null,
      allow_failure: false,
      created_at: new Date(box.core.clock.now()).toISOString(),
      started_at: null,
      finished_at: null,
      erased_at: null,
      duration: null,
      user: { username: 'root' },
      commit: {
        id: box.core.repositories.sha,
        short_id: '12345678',
        title: 'Say hello',
        message: 'Say hello\n',
        author_name: 'Ada',
      },
      pipeline: { project_id: job.projectId, ref: 'main', status: 'pending' },
      web_url: expect.stringMatching(/^http:\/\/box\.test\/acme\/app-\d+\/-\/jobs\/\d+$/),
      project: { ci_job_token_scope_enabled: false },
      artifacts: [],
      runner: null,
      runner_manager: null,
      artifacts_expire_at: null,
      archived: false,
      tag_list: ['a'],
    })
    expect(pending).not.toHaveProperty('failure_reason')
    expect(pending).not.toHaveProperty('artifacts_file')
    await job.put({ state: 'running' })
    expect((await box.admin('GET', url)).body).toMatchObject({
      status: 'running',
      duration: 0,
      runner: { runner_type: 'project_type', name: 'gitlab-runner' },
      runner_manager: { system_id: 's_0123456789ab', status: 'online' },
    })
    await job.put({ state: 'failed', failure_reason: 'script_failure', exit_code: 2 })
    expect((await box.admin('GET', url)).body).toMatchObject({
      status: 'failed',
      failure_reason: 'script_failure',
      finished_at: new Date(box.core.clock.now()).toISOString(),
    })
  })

  it('lists the jobs of a project newest first, without a count, by scope, and after a cursor', async () => {
    const { project } = await run({
      a: { script: 'x' },
      b: { script: 'x' },
      c: { script: 'x', when: 'manual' },
      d: { script: 'x' },
    })
    const url = `/projects/${project.id}/jobs`
    const names = (answer: { body: { name: string }[] }) => answer.body.map((one) => one.name).join('')
    const all = await box.admin('GET', url)
    expect(names(all)).toBe('dcba')
    expect(all.headers.get('x-total')).toBeNull()
    expect(names(await box.admin('GET', `${url}?scope=manual`))).toBe('c')
    expect(names(await box.admin('GET', `${url}?scope[]=manual&scope[]=pending&per_page=2`))).toBe('dc')
    expect((await box.admin('GET', `${url}?scope=done`)).status).toBe(400)
    const page = await box.admin('GET', `${url}?per_page=3`)
    expect([names(page), page.headers.get('x-next-page')]).toEqual(['dcb', '2'])
    expect(page.headers.get('link')).toBe(
      `<http://box.test/api/v4${url}?page=2&per_page=3>; rel="next", <http://box.test/api/v4${url}?page=1&per_page=3>; rel="first"`,
    )
    const first = await box.admin('GET', `${url}?pagination=keyset&order_by=id&per_page=3`)
    expect([names(first), first.headers.get('x-page')]).toEqual(['dcb', null])
    const next = /^<http:\/\/box\.test\/api\/v4(\S+)>; rel="next"$/.exec(first.headers.get('link') ?? '')?.[1]
    const second = await box.admin('GET', next!)
    expect([names(second), second.headers.get('link')]).toEqual(['a', null])
    expect((await box.admin('GET', `${url}?pagination=keyset&cursor=%22%22`)).status).toBe(400)
  })

  it('plays a manual job, and only one that waits for somebody', async () => {
    const { project } = await run({ a: { script: 'x', when: 'manual' }, b: { script: 'x' } })
    const [b, a] = (await box.admin('GET', `/projects/${project.id}/jobs`)).body
    const unknown = { job_inputs: { size: 3 } }
    const wrong = await box.admin('POST', `/projects/${project.id}/jobs/${a.id}/play`, { json: unknown })
    expect([wrong.status, wrong.body]).toEqual([400, { message: '400 Bad request - unknown input arguments: size' }])
    const played = await box.admin('POST', `/projects/${project.id}/jobs/${a.id}/play`)
    expect([played.status, played.body.status]).toEqual([200, 'pending'])
    const other = await box.admin('POST', `/projects/${project.id}/jobs/${b.id}/play`)
    expect([other.status, other.body]).toEqual([400, { message: '400 Bad request - Unplayable Job' }])
    const variables = { job_variables_attributes: [{ key: 'A', value: 'b' }] }
    expect((await box.admin('POST', `/projects/${project.id}/jobs/${a.id}/play`, { json: variables })).status).toBe(400)
  })

  it('retries a job that has ended with a new one, and no other', async () => {
    const job = await startJob(box)
    const url = `/projects/${job.projectId}/jobs/${job.id}/retry`
    const early = await box.admin('POST', url)
    expect([early.status, early.body]).toEqual([403, { message: '403 Forbidden - Job is not retryable' }])
    await job.put({ state: 'failed' })
    const retried = await box.admin('POST', url)
    expect([retried.status, retried.body.status, retried.body.name]).toEqual([201, 'pending', 'test'])
    expect(retried.body.id).toBeGreaterThan(job.id)
    expect((await box.admin('POST', url)).status).toBe(403)
  })

  it('cancels a job that has not ended, and no other', async () => {
    const { project } = await run({ a: { script: 'x' }, b: { script: 'x', when: 'manual' } })
    const [manual, pending] = (await box.admin('GET', `/projects/${project.id}/jobs`)).body
    const cancel = (id: number) => box.admin('POST', `/projects/${project.id}/jobs/${id}/cancel`)
    const canceled = await cancel(pending.id)
    expect([canceled.status, canceled.body.status]).toEqual([201, 'canceled'])
    expect((await cancel(pending.id)).status).toBe(422)
    expect((await cancel(manual.id)).status).toBe(422)
  })

  it('keeps jobs of another project out of reach', async () => {
    const [one, two] = [await startJob(box), await run()]
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/trace'],
      ['GET', '/artifacts'],
      ['POST', '/cancel'],
      ['POST', '/retry'],
      ['POST', '/play'],
    ]) {
      const answer = await box.admin(method!, `/projects/${two.project.id}/jobs/${one.id}${path}`)
      expect([path, answer.status, answer.body]).toEqual([path, 404, { message: '404 Job Not Found' }])
    }
    expect((await box.admin('GET', `/projects/${two.project.id}/jobs/x`)).status).toBe(404)
  })

  it('sends a long log whole, and an empty one', async () => {
    const job = await startJob(box)
    const url = `/projects/${job.projectId}/jobs/${job.id}/trace`
    expect((await box.admin('GET', url)).text).toBe('')
    const piece = Buffer.alloc(1024 * 1024, 'abcdefgh')
    await job.patch(`0-${piece.length - 1}`, piece)
    await job.patch(`${piece.length}-${2 * piece.length - 1}`, piece)
    const log = await box.admin('GET', url)
    expect(log.headers.get('content-length')).toBe(String(2 * piece.length))
    expect(log.text === 'abcdefgh'.repeat(piece.length / 4)).toBe(true)
  })

  it('holds back the end of a log that could be the beginning of a secret', async () => {
    const job = await startJob(box)
    const url = `/projects/${job.projectId}/jobs/${job.id}/trace`
    await job.patch('0-9', `key ${job.token.slice(0, 20)}`)
    expect((await box.admin('GET', url)).text).toBe('key ')
    await job.patch('24-25', ' !')
    expect((await box.admin('GET', url)).text).toBe(`key ${job.token.slice(0, 20)} !`)
  })
})

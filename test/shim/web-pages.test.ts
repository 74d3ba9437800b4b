/** What the addresses that are printed after a push lead to. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { adminToken } from '../support/core.js'
import { onBothEngines } from '../support/stores.js'
import { type ShimBox, startShimBox } from './support/box.js'
import { startJob } from './support/running-job.js'

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const basic = (token: string) => ({ Authorization: `Basic ${Buffer.from(`any:${token}`).toString('base64')}` })
  const get = async (path: string, headers: Record<string, string> = basic(adminToken)) => {
    const response = await fetch(box.url + path, { headers, redirect: 'manual' })
    return { status: response.status, headers: response.headers, text: await response.text() }
  }
  const places = async () => {
    const job = await startJob(box)
    await job.put({ state: 'running' })
    await job.patch('0-9', 'the <log>\n')
    const shown = (await box.admin('GET', `/projects/${job.projectId}/jobs/${job.id}`)).body
    const [pipeline, own] = [shown.pipeline.web_url, shown.web_url].map((url: string) => new URL(url).pathname)
    return { job, project: pipeline!.split('/-/')[0]!, pipeline: pipeline!, own: own! }
  }

  it('shows projects, pipelines, jobs and logs, without anything that could run', async () => {
    const { job, project, pipeline, own } = await places()
    const shown = await get(project)
    expect(shown).toMatchObject({ status: 200, text: expect.stringContaining(`href="${pipeline}"`) })
    expect(shown.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(shown.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect((await get(pipeline)).text).toContain(`href="${own}/raw"`)
    expect((await get(own)).text).toContain('running')
    const log = await get(`${own}/raw`)
    expect([log.headers.get('content-type'), log.text]).toEqual(['text/plain; charset=utf-8', 'the <log>\n'])
    expect((await get(`${project}/-/pipelines`)).status).toBe(200)
    for (const path of [`${project}/-/jobs/99999`, `${project}/-/jobs/x`, `${pipeline}/raw`, '/', '/nowhere/at/all']) {
      expect([path, (await get(path)).status]).toEqual([path, 404])
    }
    const other = await box.core.project({}, 'other/place')
    expect((await get(`/${other.fullPath}/-/jobs/${job.id}`)).status).toBe(404)
  })

  it('shows nobody what they may not read, nor whether it is there', async () => {
    const { project, pipeline, own } = await places()
    for (const path of [pipeline, own, `${own}/raw`, '/not/there/-/pipelines/1', '/not/there/-/jobs/1']) {
      const answer = await get(path, {})
      expect([path, answer.status, answer.headers.get('www-authenticate')]).toEqual([
        path,
        401,
        'Basic realm="Signalbox"',
      ])
      expect((await get(path, basic('glpat-wrong'))).status).toBe(401)
    }
    expect((await get(project, {})).status).toBe(404)
    expect((await get('/not/there', {})).status).toBe(404)
    await box.admin('PUT', `/projects/${encodeURIComponent(project.slice(1))}`, { json: { visibility: 'public' } })
    for (const path of [project, pipeline, own, `${own}/raw`]) expect((await get(path, {})).status).toBe(200)
  })

  it('shows names as text', async () => {
    const name = '<script>alert("1")</script>&amp;\''
    const { pipeline, project } = await box.run({ [name]: { script: 'x' } }, 'odd/names')
    const { text } = await get(`/${project.fullPath}/-/pipelines/${pipeline.id}`)
    expect(text).toContain('&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;amp;&#39;')
    expect(text).not.toContain('<script')
  })
})

/** Logs as they are, at the address of their job with `/raw`. */
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
    const own = new URL(shown.web_url).pathname
    return { job, project: own.split('/-/')[0]!, own }
  }

  it('are text that nothing runs', async () => {
    const { job, project, own } = await places()
    const log = await get(`${own}/raw`)
    expect([log.headers.get('content-type'), log.text]).toEqual(['text/plain; charset=utf-8', 'the <log>\n'])
    expect(log.headers.get('content-security-policy')).toBe("sandbox; default-src 'none'")
    for (const path of [`${project}/-/jobs/99999/raw`, `${project}/-/jobs/x/raw`, '/nowhere/at/all/raw']) {
      expect([path, (await get(path)).status]).toEqual([path, 404])
    }
    const other = await box.core.project({}, 'other/place')
    expect((await get(`/${other.fullPath}/-/jobs/${job.id}/raw`)).status).toBe(404)
  })

  it('are shown to nobody who may not read them, nor whether they are there', async () => {
    const { project, own } = await places()
    for (const path of [`${own}/raw`, '/not/there/-/jobs/1/raw']) {
      const answer = await get(path, {})
      expect([path, answer.status, answer.headers.get('www-authenticate')]).toEqual([
        path,
        401,
        'Basic realm="Signalbox"',
      ])
      expect((await get(path, basic('glpat-wrong'))).status).toBe(401)
    }
    await box.admin('PUT', `/projects/${encodeURIComponent(project.slice(1))}`, { json: { visibility: 'public' } })
    expect((await get(`${own}/raw`, {})).status).toBe(200)
  })
})

/** What the page's first looks ask for: projects, the queue, the fleet, and the feed of changes; each for whom it is. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Coordinator, git } from '../support/processes.js'

const ci = `one: { tags: [brush], script: [echo one] }
two: { tags: [brush], script: [echo two] }
`

describe('looks', () => {
  let box: Coordinator
  let stranger: string
  const own = '/api/signalbox/v1'
  const get = (path: string, token = box.token) =>
    fetch(`${box.url}${own}${path}`, { headers: { 'PRIVATE-TOKEN': token } })
  const read = async <T>(path: string, token?: string) => (await (await get(path, token)).json()) as T

  beforeAll(async () => {
    box = await Coordinator.start()
    const folder = await box.repository('shop/web', { '.gitlab-ci.yml': ci })
    await git(folder, 'push', '--quiet', 'origin', 'main')
    const user = await box.api<{ id: number }>('POST', '/api/v4/users', {
      ...{ username: 'eve', name: 'Eve', email: 'eve@example.com', reset_password: true },
    })
    const token = { name: 'all', scopes: ['api'], expires_at: '2030-01-01' }
    stranger = (await box.api<{ token: string }>('POST', `/api/v4/users/${user.id}/personal_access_tokens`, token))
      .token
  })
  afterAll(() => box[Symbol.asyncDispose]())

  it('show the queue in the real order, with a reason for each', async () => {
    interface Queue {
      total: number
      jobs: { id: number; name: string; tags: string[]; fitting: number; reason: string }[]
    }
    const queue = await read<Queue>('/queue')
    expect(queue).toMatchObject({ total: 2, jobs: [{ name: 'one' }, { name: 'two', tags: ['brush'], fitting: 0 }] })
    for (const { reason } of queue.jobs) expect(reason).toMatch(/\w/)
    expect(await read<Queue>('/queue', stranger)).toEqual({ total: 0, jobs: [] })
    // Whoever may put a job first changes the order that is shown.
    await box.api('PUT', `${own}/jobs/${queue.jobs[1]!.id}/priority`, { priority: 10 })
    expect((await read<Queue>('/queue')).jobs.map((job) => job.name)).toEqual(['two', 'one'])
  })

  it('show the fleet to administrators, with what each runs', async () => {
    const { id } = await box.api<{ id: number }>('POST', '/api/v4/user/runners', {
      ...{ runner_type: 'instance_type', description: 'heron', tag_list: 'ink' },
    })
    expect(await read('/runners')).toMatchObject([
      {
        id,
        description: 'heron',
        status: 'never_contacted',
        tags: ['ink'],
        managers: [],
        jobs: [],
        median_wait_ms: null,
      },
    ])
    expect((await get('/runners', stranger)).status).toBe(403)
  })

  it('show projects with their last pipelines to those who may see them', async () => {
    expect(await read('/overview')).toMatchObject([
      { path: 'shop/web', pipelines: [{ status: 'pending', ref: 'main' }] },
    ])
    expect(await read('/overview?search=nothing')).toEqual([])
    expect(await read('/overview?group=shop')).toHaveLength(1)
    expect(await read('/overview?group=sho')).toEqual([])
    expect(await read('/overview', stranger)).toEqual([])
    expect((await get(`/overview?search=${'x'.repeat(300)}`)).status).toBe(400)
  })

  it('tell of changes at once, to those who may see them', async () => {
    const texts = { root: '', eve: '' }
    const stop = new AbortController()
    const follow = async (who: keyof typeof texts, token: string) => {
      const answer = await fetch(`${box.url}${own}/events`, {
        headers: { 'PRIVATE-TOKEN': token },
        signal: stop.signal,
      })
      const read = async () => {
        for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) texts[who] += chunk
      }
      return { ended: read().catch(() => undefined) }
    }
    const [root, eve] = [await follow('root', box.token), await follow('eve', stranger)]
    const [job] = await box.api<{ id: number }[]>('GET', '/api/v4/projects/shop%2Fweb/jobs')
    await box.api('POST', `/api/v4/projects/shop%2Fweb/jobs/${job!.id}/cancel`)
    await expect.poll(() => texts.root).toContain(`"job_id":${job!.id}`)
    // What she may see comes after what she may not: by then the other would have come.
    await box.api('POST', '/api/v4/projects', { name: 'open', visibility: 'public' })
    await expect.poll(() => texts.eve).toContain('"kind":"project.created"')
    expect(texts.eve).not.toContain('"job_id":1')
    expect(texts.eve).not.toContain(`"job_id":${job!.id}`)
    stop.abort()
    await Promise.all([root.ended, eve.ended])
  })
})

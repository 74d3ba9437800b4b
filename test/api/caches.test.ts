import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { defaultCoreSettings } from '../../src/core/core.js'
import { listCaches } from '../../src/core/store/caches.js'
import { type ShimBox, startShimBox } from '../shim/support/box.js'
import { person } from '../shim/support/people.js'
import { type RunningJob, startJob, takeJob } from '../shim/support/running-job.js'
import { onBothEngines } from '../support/stores.js'

const day = 24 * 3_600_000
const settings = { caches: { ...defaultCoreSettings.caches, entryBytes: 1000, projectBytes: 1500 } }

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine, {}, settings)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const cacheOf = (job: RunningJob, token = job.token) => {
    const url = (key: string) => `/api/signalbox/v1/jobs/${job.id}/caches?key=${encodeURIComponent(key)}`
    const headers = { 'JOB-TOKEN': token }
    return {
      get: (key: string) => box.send('GET', url(key), { headers }),
      put: (key: string, body: string) => box.send('PUT', url(key), { headers, body }),
    }
  }
  const keys = async (projectId: number) =>
    (await listCaches(box.core.core.store.read, projectId)).map(({ key }) => key).sort()

  it('gives a job what another job of its project has kept, and nobody else', async () => {
    const job = await startJob(box)
    const cache = cacheOf(job)
    expect((await cache.get('gems-protected')).body).toMatchObject({ status: 404, code: 'not_found' })
    expect((await cache.put('gems-protected', 'one')).status).toBe(201)
    expect((await cache.put('gems-protected', 'two')).status).toBe(201)
    expect((await cache.put('gems-protected', 'two')).status).toBe(201)
    await box.admin('POST', `/projects/${job.projectId}/pipeline`, { json: { ref: 'main' } })
    const other = await takeJob(box, job.projectId, job.runnerToken)
    const got = await cacheOf(other).get('gems-protected')
    expect([got.status, got.text, got.headers.get('content-length')]).toEqual([200, 'two', '3'])
    const stranger = await startJob(box)
    expect((await cacheOf(stranger).get('gems-protected')).status).toBe(404)
    expect((await cacheOf(job, stranger.token).get('gems-protected')).status).toBe(403)
    expect((await cacheOf(job, '').get('gems-protected')).status).toBe(403)
    const inAddress = await box.send('GET', `/api/signalbox/v1/jobs/${job.id}/caches?key=x&token=${job.token}`)
    expect(inAddress.status).toBe(403)
  })

  it('takes any text for a key, and none for a path', async () => {
    const job = await startJob(box)
    const { get, put } = cacheOf(job)
    for (const key of ['../../../etc/passwd', '/abs/olute', 'feature/x y', 'ключ', '%2e%2e', 'k'.repeat(1024)]) {
      expect([key, (await put(key, 'bytes')).status]).toEqual([key, 201])
      expect((await get(key)).text).toBe('bytes')
      await box.admin('POST', `/api/signalbox/v1/projects/${job.projectId}/clear-caches`)
    }
    const before = await box.rows()
    for (const key of ['', 'k'.repeat(1025), 'a\0b', 'a\nb']) {
      expect([key, (await put(key, 'x')).body.code]).toEqual([key, 'invalid'])
      expect((await get(key)).status).toBe(400)
    }
    expect(await box.rows()).toBe(before)
  })

  it('keeps again what the disk has lost, though it is what was there', async () => {
    const job = await startJob(box)
    const { get, put } = cacheOf(job)
    await put('gems', 'bytes')
    const { read } = box.core.core.store
    const [kept] = await listCaches(read, job.projectId)
    await box.core.core.caches.remove(kept!.location)
    expect((await get('gems')).status).toBe(404)
    expect((await put('gems', 'bytes')).status).toBe(201)
    expect((await get('gems')).text).toBe('bytes')
  })

  it('keeps jobs of unprotected branches from what protected ones have', async () => {
    const job = await startJob(box)
    expect((await cacheOf(job).put('gems-protected', 'good')).status).toBe(201)
    await box.admin('POST', `/projects/${job.projectId}/pipeline`, { json: { ref: 'feature' } })
    const outside = cacheOf(await takeJob(box, job.projectId, job.runnerToken))
    expect((await outside.put('gems-protected', 'bad')).body.code).toBe('forbidden')
    expect((await outside.get('gems-protected')).status).toBe(403)
    expect((await outside.put('gems-non_protected', 'fine')).status).toBe(201)
    expect((await cacheOf(job).get('gems-protected')).text).toBe('good')
  })

  it('takes nothing from a job whose lease is over', async () => {
    const job = await startJob(box)
    await cacheOf(job).put('a', 'x')
    await job.put({ state: 'success' })
    const before = await box.rows()
    expect((await cacheOf(job).put('a', 'y')).body.code).toBe('fenced')
    expect((await cacheOf(job).get('a')).status).toBe(409)
    expect(await box.rows()).toBe(before)
  })

  it('refuses what is too large or cut off, and keeps what was there', async () => {
    const job = await startJob(box)
    await cacheOf(job).put('a', 'whole')
    expect((await cacheOf(job).put('a', 'x'.repeat(1001))).body.code).toBe('too_large')
    await box.raw(
      `PUT /api/signalbox/v1/jobs/${job.id}/caches?key=a HTTP/1.1\r\nHost: x\r\nJOB-TOKEN: ${job.token}\r\n` +
        `Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n${(2000).toString(16)}\r\n${'x'.repeat(2000)}\r\n0\r\n\r\n`,
      /413/,
    )
    expect((await cacheOf(job).get('a')).text).toBe('whole')
  })

  it('deletes the least recently used of a project past its limit, and what nobody has used for long', async () => {
    const job = await startJob(box)
    const { get, put } = cacheOf(job)
    for (const key of ['a', 'b', 'c']) {
      await put(key, key.repeat(500))
      box.core.clock.advance(1000)
    }
    await get('a')
    box.core.clock.advance(1000)
    await put('d', 'd'.repeat(500))
    expect(await keys(job.projectId)).toEqual(['a', 'c', 'd'])
    expect((await get('b')).status).toBe(404)
    box.core.clock.advance(14 * day - 1500)
    const run = await box.admin('POST', '/api/signalbox/v1/tasks/evict_caches/run')
    expect(run.body.result).toMatch(/\d caches/)
    expect(await keys(job.projectId)).toEqual(['a', 'd'])
  })

  it('clears them, those of GitLab Runners too, for who may operate the project', async () => {
    const files = { 'a.lock': 'one', 'b.lock': 'two' }
    const sum = (...texts: string[]) => {
      const sha1 = (text: string) => createHash('sha1').update(text).digest('hex')
      return sha1(texts.map(sha1).sort().join('-'))
    }
    const config = {
      build: {
        script: 'x',
        cache: [
          { key: { files: ['a.lock', 'b*'] }, paths: ['v'], fallback_keys: ['old'] },
          { key: { files: ['none.lock', 'deep.er/x.y'] }, paths: ['w'], unprotect: true },
          { key: { files: ['b.lock'], prefix: 'p-$CI_JOB_NAME' }, paths: ['y'], policy: 'pull', when: 'always' },
          { key: 'plain', paths: ['z'] },
        ],
      },
    }
    const { project } = await box.run(config, `acme/keys-${engine}`)
    for (const [name, text] of Object.entries(files)) box.core.repositories.files.get(project.id)!.set(name, text)
    const run = async () => {
      await box.admin('POST', `/projects/${project.id}/pipeline`, { json: { ref: 'main' } })
      const poll = await box.poll(await box.runnerToken({ type: 'project', projectId: project.id }), {
        info: { features: { fallback_cache_keys: true } },
      })
      return poll.body.cache
    }
    // The first pipeline was made when there were no files.
    expect((await run()).map((one: { key: string }) => one.key)[0]).toBe('0_a_b*-default-protected')
    const expected = (index: string) => [
      {
        key: `0_a_b*-${sum('one', 'two')}${index}-protected`,
        untracked: false,
        policy: 'pull-push',
        paths: ['v'],
        when: 'on_success',
        fallback_keys: [`old${index}-protected`],
      },
      expect.objectContaining({ key: `1_none_deep-default${index}-non_protected`, fallback_keys: [] }),
      expect.objectContaining({
        key: `p-$CI_JOB_NAME-${sum('two')}${index}-protected`,
        policy: 'pull',
        when: 'always',
      }),
      expect.objectContaining({ key: `plain${index}-protected`, paths: ['z'] }),
    ]
    expect(await run()).toEqual(expected(''))
    const address = `/api/signalbox/v1/projects/${encodeURIComponent(project.fullPath)}/clear-caches`
    const eve = await person(box, `eve-cache-${engine}`)
    expect((await box.send('POST', address, { headers: eve.headers })).status).toBe(404)
    expect((await box.send('POST', address)).status).toBe(401)
    expect((await box.admin('POST', '/api/signalbox/v1/projects/999999/clear-caches')).status).toBe(404)
    const cleared = await box.admin('POST', address)
    expect([cleared.status, cleared.body]).toEqual([200, { project_id: project.id, cache_index: 1, deleted: 0 }])
    // Two pipelines wait whose payloads carry the old keys.
    await run()
    await run()
    expect(await run()).toEqual(expected('-1'))
  })
})

import { afterAll, beforeAll, expect, it } from 'vitest'
import { adminToken } from '../support/core.js'
import { onBothEngines } from '../support/stores.js'
import { type ShimBox, startShimBox } from './support/box.js'
import { person } from './support/people.js'
import { type RunningJob, startJob, takeJob } from './support/running-job.js'
import { zipOf } from './support/zip.js'

const files = {
  'out/report.txt': 'all is well\n'.repeat(1000),
  'out/deep/er/a b.txt': 'nested',
  'top.txt': 'top',
  'out/link': { link: '/etc/passwd' },
  'empty/': '',
}
const config = { build: { script: 'make', artifacts: { paths: ['out'] } } }

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  /** A job that has ended with this archive. */
  async function ended(body: Uint8Array, query = ''): Promise<RunningJob & { url: string }> {
    const job = await startJob(box, { config })
    return finish(job, body, query)
  }
  async function finish(job: RunningJob, body: Uint8Array, query = '') {
    await job.patch('0-3', 'log\n')
    expect((await job.upload(body, { query })).status).toBe(201)
    await job.put({ state: 'success' })
    expect(await job.status()).toBe('success')
    return Object.assign(job, { url: `/projects/${job.projectId}/jobs/${job.id}` })
  }

  it('is not held up by paths of any depth', async () => {
    const deep = 'a/'.repeat(30_000)
    const job = await ended(await zipOf({ [`${deep}x`]: 'x', 'a/fine': 'y' }))
    const tree = await box.admin('GET', `${job.url}/artifacts/tree?recursive=true`)
    expect((tree.body as { path: string }[]).map((one) => one.path)).toEqual(['a/', 'a/fine'])
  })

  it('gives one file out of the archive, also to a job of the project, and nothing else', async () => {
    const job = await ended(await zipOf(files))
    const get = (path: string) => box.admin('GET', `${job.url}/artifacts/${path}`)
    const report = await get('out/report.txt')
    expect([report.status, report.text]).toEqual([200, files['out/report.txt']])
    expect(report.headers.get('content-length')).toBe('12000')
    expect(report.headers.get('content-type')).toBe('application/octet-stream')
    expect(report.headers.get('content-disposition')).toMatch(/^attachment; filename="report.txt"/)
    expect((await get('out/deep/er/a%20b.txt')).text).toBe('nested')
    expect((await get('out%2Fdeep%2Fer%2Fa%20b.txt')).text).toBe('nested')
    for (const path of ['out', 'out/', 'empty/', 'none.txt', 'out/link', '/top.txt', 'top.txt%00']) {
      const answer = await get(path)
      expect([path, answer.status, answer.body]).toEqual([path, 404, { message: '404 Not Found' }])
    }
    for (const path of ['%2e%2e%2f', '..%2fup', 'out%2f..%2ftop.txt', '.%2ftop.txt']) {
      const answer = await get(path)
      expect([path, answer.status, answer.body]).toEqual([path, 400, { error: 'artifact_path is invalid' }])
    }
    await box.admin('POST', `/projects/${job.projectId}/pipeline`, { json: { ref: 'main' } })
    const other = await takeJob(box, job.projectId, job.runnerToken)
    const byJob = await box.send('GET', `${job.url}/artifacts/top.txt`, { headers: { 'JOB-TOKEN': other.token } })
    expect([byJob.status, byJob.text]).toEqual([200, 'top'])
    const eve = await person(box, `eve-files-${engine}`)
    expect((await box.send('GET', `${job.url}/artifacts/top.txt`, { headers: eve.headers })).status).toBe(404)
  })

  it('lists what an archive holds', async () => {
    const job = await ended(await zipOf(files))
    const list = async (query = '') => (await box.admin('GET', `${job.url}/artifacts/tree${query}`)).body
    expect(await list()).toEqual([
      { name: 'empty', path: 'empty/', type: 'directory', mode: '040775' },
      { name: 'out', path: 'out/', type: 'directory', mode: '040755' },
      { name: 'top.txt', path: 'top.txt', type: 'file', size: 3, mode: '100644' },
    ])
    const paths = async (query: string) => (await list(query)).map((one: { path: string }) => one.path)
    expect(await paths('?path=out')).toEqual(['out/deep/', 'out/link', 'out/report.txt'])
    expect(await paths('?path=out/deep&recursive=true')).toEqual(['out/deep/er/', 'out/deep/er/a b.txt'])
    const second = await box.admin('GET', `${job.url}/artifacts/tree?per_page=1&page=2`)
    expect([second.body[0].name, second.headers.get('x-total'), second.headers.get('x-next-page')]).toEqual([
      'out',
      '3',
      '3',
    ])
    expect(await list('?path=nowhere')).toEqual({ message: '404 Path Not Found' })
  })

  it('finds no file in what is no zip, or is a broken one, and does not list it', async () => {
    const whole = await zipOf(files)
    const halved = whole.subarray(0, whole.length / 2)
    const lying = Buffer.from(whole)
    lying.writeUInt32LE(0xffffff00, whole.length - 6)
    for (const body of [Buffer.from('no zip at all'), Buffer.alloc(0), halved, lying]) {
      const job = await ended(body)
      expect((await box.admin('GET', `${job.url}/artifacts/top.txt`)).status).toBe(404)
      const tree = await box.admin('GET', `${job.url}/artifacts/tree`)
      expect([tree.status, tree.body]).toEqual([
        422,
        { message: '422 Unprocessable Entity - the archive cannot be listed' },
      ])
    }
  })

  it('gives nothing of zips that lead elsewhere, hide or lie, and keeps them as they are', async () => {
    const good = await zipOf({ 'aa/bb/passwd': 'x'.repeat(100), 'top.txt': 'top' })
    const renamed = (name: string) => {
      const zip = Buffer.from(good)
      for (let at = zip.indexOf('aa/bb/passwd'); at !== -1; at = zip.indexOf('aa/bb/passwd', at + 1))
        zip.write(name, at)
      return zip
    }
    /** Writes into each record of the zip's directory. */
    const changed = (write: (zip: Buffer, at: number) => void) => {
      const zip = Buffer.from(good)
      for (let at = zip.indexOf('PK\x01\x02'); at !== -1; at = zip.indexOf('PK\x01\x02', at + 1)) write(zip, at)
      return zip
    }
    const hostile: [string, Buffer][] = [
      ['a slip', renamed('../../passwd')],
      ['an absolute path', renamed('/etc//passwd')],
      ['a drive', renamed('C:\\aa\\pass.x')],
      ['a NUL', renamed('aa/bb/pa\0swd')],
      ['encrypted', changed((zip, at) => zip.writeUInt16LE(zip.readUInt16LE(at + 8) | 1, at + 8))],
      ['an unknown method', changed((zip, at) => zip.writeUInt16LE(99, at + 10))],
      ['a size of 4 GiB', changed((zip, at) => zip.writeUInt32LE(0xfffffffe, at + 24))],
      ['a size that zip64 does not say', changed((zip, at) => zip.writeUInt32LE(0xffffffff, at + 24))],
      ['an entry that lies beyond the end', changed((zip, at) => zip.writeUInt32LE(0x7fffffff, at + 42))],
    ]
    for (const [what, zip] of hostile) {
      const job = await ended(zip)
      for (const path of ['aa/bb/passwd', '..%2F..%2Fpasswd', '%2e%2e/%2e%2e/passwd', '/etc//passwd', 'etc/passwd']) {
        const answer = await box.admin('GET', `${job.url}/artifacts/${path}`).catch(() => undefined)
        expect([what, path, answer?.status ?? 'broken off']).toEqual([
          what,
          path,
          expect.toBeOneOf([400, 404, 'broken off']),
        ])
      }
      expect([200, 422]).toContain((await box.admin('GET', `${job.url}/artifacts/tree`)).status)
      const whole = await fetch(`${box.url}/api/v4${job.url}/artifacts`, { headers: { 'PRIVATE-TOKEN': adminToken } })
      expect(Buffer.from(await whole.arrayBuffer()).equals(zip)).toBe(true)
    }
    expect(box.core.logged.filter((line) => line.level === 'error')).toEqual([])
  })

  it('gives no file whose bytes are not what the archive says', async () => {
    const broken = await zipOf({ 'a.txt': 'x'.repeat(5000) })
    broken.fill(0xff, 40, 50)
    const other = await zipOf({ 'a.txt': 'x'.repeat(5000) })
    const entry = other.indexOf('PK\x01\x02')
    other.writeUInt32LE(other.readUInt32LE(entry + 16) ^ 1, entry + 16)
    for (const zip of [broken, other]) {
      const job = await ended(zip)
      const answer = await box.admin('GET', `${job.url}/artifacts/a.txt`)
      expect([answer.status, answer.body]).toEqual([
        422,
        { message: '422 Unprocessable Entity - "a.txt" cannot be unpacked: the archive is broken' },
      ])
      expect((await box.admin('GET', job.url)).status).toBe(200)
    }
  })

  it('breaks off a long file whose checksum is wrong, before its last bytes', async () => {
    const text = Array.from({ length: 200_000 }, (_, i) => i * 7919).join()
    const zip = await zipOf({ 'a.txt': text })
    const job = await ended(Buffer.from(zip))
    expect((await box.admin('GET', `${job.url}/artifacts/a.txt`)).text).toBe(text)
    const entry = zip.indexOf('PK\x01\x02')
    zip.writeUInt32LE(zip.readUInt32LE(entry + 16) ^ 1, entry + 16)
    const wrong = await ended(zip)
    await expect(box.admin('GET', `${wrong.url}/artifacts/a.txt`)).rejects.toThrow()
    expect((await box.admin('GET', wrong.url)).status).toBe(200)
  })

  it('finds the newest successful job of a branch, whatever its name', async () => {
    const ref = 'feature/one'
    const older = await ended(await zipOf({ 'v.txt': 'main' }))
    const project = older.projectId
    const run = async (text: string) => {
      await box.admin('POST', `/projects/${project}/pipeline`, { json: { ref } })
      return finish(await takeJob(box, project, older.runnerToken), await zipOf({ 'v.txt': text }))
    }
    await run('first')
    const newest = await run('second')
    const by = (path: string) => box.admin('GET', `/projects/${project}/jobs/artifacts/${path}`)
    expect((await by('main/raw/v.txt?job=build')).text).toBe('main')
    expect((await by('feature/one/raw/v.txt?job=build')).text).toBe('second')
    expect((await by('feature%2Fone/raw/v.txt?job=build')).text).toBe('second')
    const archive = await by('feature%2Fone/download?job=build')
    expect([archive.status, archive.headers.get('content-disposition')]).toEqual([
      200,
      expect.stringContaining('artifacts.zip'),
    ])
    expect((await by('main/raw/v.txt')).body).toEqual({ error: 'job is missing' })
    for (const path of ['main/raw/v.txt?job=other', 'none/download?job=build']) {
      expect((await by(path)).body).toEqual({ message: '404 Job Not Found' })
    }
    expect((await by('%00/download?job=build')).status).toBe(404)
    expect((await box.admin('DELETE', `${newest.url}/artifacts`)).status).toBe(204)
    expect((await by('feature/one/raw/v.txt?job=build')).status).toBe(404)
    const recent = await by('feature/one/raw/v.txt?job=build&search_recent_successful_pipelines=true')
    expect(recent.text).toBe('first')
  })

  it('keeps artifacts that would expire, and lets all of a project expire', async () => {
    const job = await ended(await zipOf(files), '?expire_in=1+day')
    const kept = await box.admin('POST', `${job.url}/artifacts/keep`)
    expect([kept.status, kept.body.artifacts_expire_at]).toEqual([200, null])
    box.core.clock.advance(2 * 24 * 3_600_000)
    expect((await box.admin('GET', `${job.url}/artifacts/top.txt`)).status).toBe(200)
    const all = await box.admin('DELETE', `/projects/${job.projectId}/artifacts`)
    expect([all.status, all.body]).toEqual([202, { message: '202 Accepted' }])
    expect((await box.admin('GET', `${job.url}/artifacts/top.txt`)).status).toBe(404)
    expect((await box.admin('POST', `${job.url}/artifacts/keep`)).status).toBe(404)
  })

  it('erases the log and the artifacts of a job that is over, once', async () => {
    const running = await startJob(box, { config })
    const early = await box.admin('POST', `/projects/${running.projectId}/jobs/${running.id}/erase`)
    expect([early.status, early.body]).toEqual([403, { message: '403 Forbidden - Job is not erasable!' }])
    const job = await finish(running, await zipOf(files))
    const erased = await box.admin('POST', `${job.url}/erase`)
    expect([erased.status, erased.body]).toEqual([
      201,
      expect.objectContaining({ id: job.id, artifacts: [], erased_at: new Date(box.core.clock.now()).toISOString() }),
    ])
    expect((await box.admin('GET', `${job.url}/trace`)).text).toBe('')
    expect((await box.admin('GET', `${job.url}/artifacts`)).status).toBe(404)
    expect((await box.admin('POST', `${job.url}/erase`)).status).toBe(403)
  })
})

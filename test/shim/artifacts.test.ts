import { readdirSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { takesFormat } from '../../src/core/artifact.js'
import { listArtifacts } from '../../src/core/store/artifacts.js'
import { onBothEngines } from '../support/stores.js'
import { type ShimBox, startShimBox, until } from './support/box.js'
import { type RunningJob, startJob, takeJob } from './support/running-job.js'

/** Every file below the artifacts folder, and those that are being uploaded. */
function filesOf(box: ShimBox): { kept: number; uploads: number } {
  const folder = path.dirname(path.dirname(box.core.core.traces.fileOf(0)))
  const root = path.join(path.dirname(folder), 'artifacts')
  const count = (under: string): number =>
    readdirSync(under, { withFileTypes: true }).reduce(
      (sum, entry) => sum + (entry.isDirectory() ? count(path.join(under, entry.name)) : 1),
      0,
    )
  try {
    const uploads = readdirSync(path.join(root, 'uploads')).length
    return { kept: count(root) - uploads, uploads }
  } catch {
    return { kept: 0, uploads: 0 }
  }
}

const chain = {
  stages: ['build', 'test'],
  compile: { stage: 'build', script: 'make', artifacts: { paths: ['out'] } },
  unit: { stage: 'test', script: 'make test' },
}

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine, {}, { artifactLimitBytes: 1024 * 1024 })
  })
  afterAll(() => box[Symbol.asyncDispose]())

  it('says 503 to an upload when the disk is full, so that it is tried again', async () => {
    const job = await startJob(box, { config: chain })
    const store = vi.spyOn(box.core.core.artifacts, 'store')
    // No test can fill the disk of whoever runs it.
    store.mockRejectedValueOnce(Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' }))
    const refused = await job.upload('PK\x03\x04 zip')
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
    store.mockRestore()
    expect((await job.upload('PK\x03\x04 zip')).status).toBe(201)
  })

  it('stores an upload, shows it on the job and gives it to the jobs after it', async () => {
    const job = await startJob(box, { config: chain })
    await job.put({ state: 'running' })
    const upload = await job.upload('PK\x03\x04 zip', {
      query: '?artifact_format=zip&artifact_type=archive&expire_in=1+week',
    })
    expect([upload.status, upload.text]).toEqual([201, '201'])
    await job.put({ state: 'success' })
    const shown = await box.admin('GET', `/projects/${job.projectId}/jobs/${job.id}`)
    expect(shown.body).toMatchObject({
      artifacts_file: { filename: 'artifacts.zip', size: 8 },
      artifacts: [{ file_type: 'archive', size: 8, filename: 'artifacts.zip', file_format: 'zip' }],
      artifacts_expire_at: new Date(box.core.clock.now() + 7 * 24 * 3_600_000).toISOString(),
    })
    const poll = await box.poll(job.runnerToken)
    expect(poll.body.dependencies).toEqual([
      { id: job.id, name: 'compile', token: poll.body.token, artifacts_file: { filename: 'artifacts.zip', size: 8 } },
    ])
    const got = await job.download(poll.body.token)
    expect([got.status, got.text]).toEqual([200, 'PK\x03\x04 zip'])
    expect(got.headers.get('content-disposition')).toBe(
      `attachment; filename="artifacts.zip"; filename*=UTF-8''artifacts.zip`,
    )
    expect(got.headers.get('x-content-type-options')).toBe('nosniff')
    expect(got.headers.get('accept-ranges')).toBe('bytes')
    const byPerson = await box.admin('GET', `/projects/${job.projectId}/jobs/${job.id}/artifacts`)
    expect(byPerson.text).toBe(got.text)
    box.core.clock.advance(8 * 24 * 3_600_000)
    expect((await box.admin('GET', `/projects/${job.projectId}/jobs/${job.id}/artifacts`)).status).toBe(404)
  })

  it('serves one range, and 416 for what cannot be served', async () => {
    const job = await startJob(box)
    await job.upload('0123456789')
    const range = (value: string) => job.download(job.token, { Range: value })
    const probe = await range('bytes=0-0')
    expect([probe.status, probe.text, probe.headers.get('content-range')]).toEqual([206, '0', 'bytes 0-0/10'])
    expect((await range('bytes=7-')).text).toBe('789')
    expect((await range('bytes=-3')).text).toBe('789')
    expect((await range('bytes=5-99')).text).toBe('56789')
    expect((await range('lines=1-2')).status).toBe(200)
    for (const wrong of [
      'bytes=10-',
      'bytes=5-2',
      'bytes=-',
      'bytes=a-b',
      'bytes=0-0,1-1',
      `bytes=${'0-0,'.repeat(1000)}`,
    ]) {
      const answer = await range(wrong)
      expect([wrong.slice(0, 20), answer.status, answer.headers.get('content-range')]).toEqual([
        wrong.slice(0, 20),
        416,
        'bytes */10',
      ])
    }
  })

  it('gives the first answer for the same bytes again, and refuses others', async () => {
    const job = await startJob(box)
    const before = filesOf(box).kept
    expect((await job.upload('one')).status).toBe(201)
    expect((await job.upload('one')).status).toBe(201)
    expect((await job.upload('two')).status).toBe(400)
    expect(filesOf(box)).toEqual({ kept: before + 1, uploads: 0 })
    expect((await job.download()).text).toBe('one')
  })

  it('accepts an offer by an upload', async () => {
    const job = await startJob(box)
    expect((await job.upload('x')).status).toBe(201)
    expect(await job.status()).toBe('running')
  })

  it('lets nobody in from another project, nor after the end', async () => {
    const [one, two] = [await startJob(box), await startJob(box)]
    await one.upload('secret')
    expect((await one.download(two.token)).status).toBe(404)
    expect((await one.download('glcbt-nonsense')).status).toBe(403)
    expect((await box.send('GET', `/jobs/${one.id}/artifacts`)).status).toBe(403)
    await one.put({ state: 'success' })
    const late = await one.upload('again')
    expect([late.status, late.headers.get('job-status')]).toEqual([403, 'success'])
    expect((await one.download(one.token)).status).toBe(403)
  })

  it('answers authorize as GitLab’s own proxy asks it', async () => {
    const job = await startJob(box)
    const ask = (query: string, token = job.token) =>
      box.send('POST', `/jobs/${job.id}/artifacts/authorize${query}`, { headers: { 'JOB-TOKEN': token } })
    expect((await ask('')).status).toBe(200)
    expect((await ask('?filesize=2000000')).status).toBe(413)
    expect((await ask('', 'x')).status).toBe(403)
  })

  it('refuses a file over the limit before it is sent, and stops one that grows over it', async () => {
    const job = await startJob(box)
    const before = filesOf(box)
    const declared = await new Promise<{ status: number; continued: boolean }>((resolve, reject) => {
      let continued = false
      const req = http.request(`${box.url}/api/v4/jobs/${job.id}/artifacts`, {
        method: 'POST',
        headers: {
          Expect: '100-continue',
          'Content-Length': 50_000_000,
          'Content-Type': 'multipart/form-data; boundary=x',
          'JOB-TOKEN': job.token,
        },
      })
      req.on('continue', () => {
        continued = true
      })
      req.on('response', (res) => {
        resolve({ status: res.statusCode!, continued })
        res.resume()
        req.destroy()
      })
      req.on('error', reject)
      req.flushHeaders()
    })
    expect(declared).toEqual({ status: 413, continued: false })
    expect((await job.upload(new Uint8Array(1024 * 1024 + 1))).status).toBe(413)
    expect((await job.upload(new Uint8Array(1024 * 1024))).status).toBe(201)
    expect(filesOf(box)).toEqual({ kept: before.kept + 1, uploads: 0 })
  })

  it('lets a file that is expected to fit come', async () => {
    const job = await startJob(box)
    const body = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\nzip\r\n--x--\r\n'
    const head = `POST /api/v4/jobs/${job.id}/artifacts HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nJOB-TOKEN: ${job.token}\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: ${body.length}\r\n\r\n`
    const socket = net.connect(box.port, '127.0.0.1')
    let got = ''
    socket.on('data', (data) => {
      got += data.toString('latin1')
      if (/^HTTP\/1.1 100 Continue\r\n\r\n$/.test(got)) socket.write(body)
    })
    socket.write(head)
    await until(() => /HTTP\/1\.1 201/.test(got))
    socket.destroy()
    expect((await job.download()).text).toBe('zip')
  })

  it('leaves nothing behind when the sender goes away in the middle', async () => {
    const job = await startJob(box)
    const before = filesOf(box)
    for (let i = 0; i < 20; i++) {
      const socket = net.connect(box.port, '127.0.0.1')
      socket.on('error', () => undefined)
      socket.write(
        `POST /api/v4/jobs/${job.id}/artifacts HTTP/1.1\r\nHost: x\r\nJOB-TOKEN: ${job.token}\r\n` +
          'Content-Type: multipart/form-data; boundary=x\r\nTransfer-Encoding: chunked\r\n\r\n',
      )
      const part = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\nPK'
      socket.write(`${part.length.toString(16)}\r\n${part}\r\n4000\r\n${'z'.repeat(0x4000)}\r\n`)
      await until(() => filesOf(box).uploads > 0)
      if (i % 2) socket.destroy()
      else socket.end('0\r\n\r\n')
      await until(() => filesOf(box).uploads === 0)
      socket.destroy()
    }
    expect(filesOf(box)).toEqual(before)
    expect((await job.upload('after all')).status).toBe(201)
  })

  it('gives up on a sender that is too slow', async () => {
    const job: RunningJob = await startJob(box)
    const socket = net.connect(box.port, '127.0.0.1')
    let got = ''
    socket.on('data', (data) => {
      got += data.toString('latin1')
    })
    socket.write(
      `PATCH /api/v4/jobs/${job.id}/trace HTTP/1.1\r\nHost: x\r\nJOB-TOKEN: ${job.token}\r\nContent-Range: 0-99\r\nContent-Length: 100\r\n\r\nabc`,
    )
    const timers = box.core.clock.timers
    await until(() => box.core.clock.timers > timers)
    box.core.clock.advance(30_000)
    await until(() => /^HTTP\/1\.1 408/.test(got))
    socket.destroy()
    expect(await box.log(job.id)).toBe('')
  })

  it('cleans the name of a file or refuses it', async () => {
    for (const [filename, kept] of [
      ['../../etc/passwd', 'passwd'],
      ['C:\\x\\build.zip', 'build.zip'],
      ['a b.zip', 'a b.zip'],
      ['наш.zip', 'наш.zip'],
    ] as const) {
      const job = await startJob(box)
      expect([filename, (await job.upload('x', { filename })).status]).toEqual([filename, 201])
      const { db } = box.core.core.store.read
      const row = await db.selectFrom('artifacts').selectAll().where('job_id', '=', job.id).executeTakeFirstOrThrow()
      expect(row.filename).toBe(kept)
      const got = await job.download()
      expect(got.headers.get('content-disposition')).toMatch(
        /^attachment; filename="[\x20-\x7e]+"; filename\*=UTF-8''\S+$/,
      )
    }
    const job = await startJob(box)
    for (const filename of ['..', '.', 'x'.repeat(300), `${'y'.repeat(5000)}.zip`]) {
      expect([filename.slice(0, 9), (await job.upload('x', { filename })).status]).toEqual([filename.slice(0, 9), 400])
    }
  })

  it('keeps reports beside the archive', async () => {
    const job = await startJob(box)
    await job.upload('zip')
    expect(
      (await job.upload('gz', { query: '?artifact_type=junit&artifact_format=gzip', filename: 'junit.xml.gz' })).status,
    ).toBe(201)
    const shown = await box.admin('GET', `/projects/${job.projectId}/jobs/${job.id}`)
    expect(shown.body.artifacts.map((one: { file_type: string }) => one.file_type)).toEqual(['archive', 'junit'])
    expect(shown.body.artifacts_file.filename).toBe('artifacts.zip')
  })

  it('serves an empty file, and HEAD without a body', async () => {
    const job = await startJob(box)
    expect((await job.upload('')).status).toBe(201)
    expect((await job.download()).text).toBe('')
    const head = await box.send('HEAD', `/jobs/${job.id}/artifacts`, { headers: { 'JOB-TOKEN': job.token } })
    expect([head.status, head.headers.get('content-length'), head.text]).toEqual([200, '0', ''])
  })

  describe('a dotenv report', () => {
    const config = {
      stages: ['build', 'test'],
      compile: { stage: 'build', script: 'make', artifacts: { reports: { dotenv: 'build.env' } } },
      other: { stage: 'build', script: 'make' },
      unit: { stage: 'test', script: 'make test', variables: { VERSION: 'of the file', MINE: '1' } },
      picky: { stage: 'test', script: 'make test', dependencies: ['other'] },
      needy: { stage: 'test', script: 'make test', needs: [{ job: 'compile', artifacts: false }] },
    }
    const query = '?artifact_type=dotenv&artifact_format=gzip'
    const upload = (job: RunningJob, text: string) => job.upload(gzipSync(text), { query, filename: '.env.gz' })
    const variablesOf = (job: { variables: { key: string; value: string; raw: boolean }[] }) =>
      new Map(job.variables.map((one) => [one.key, one]))

    it('reaches the jobs that download from its job, over their YAML, and no others', async () => {
      const compile = await startJob(box, { config })
      expect((await upload(compile, 'VERSION=1.2.3\nURL=http://$HOST/\n')).status).toBe(201)
      expect((await upload(compile, 'VERSION=1.2.3\nURL=http://$HOST/\n')).status).toBe(201)
      const other = await takeJob(box, compile.projectId, compile.runnerToken)
      await compile.put({ state: 'success' })
      await other.put({ state: 'success' })
      const given = new Map<string, ReturnType<typeof variablesOf>>()
      for (let i = 0; i < 3; i++) {
        const { body } = await box.poll(compile.runnerToken)
        given.set(body.job_info.name, variablesOf(body))
      }
      const unit = given.get('unit')!
      expect(unit.get('VERSION')).toMatchObject({ value: '1.2.3', raw: false })
      expect(unit.get('URL')).toMatchObject({ value: 'http://$HOST/', raw: false })
      expect(unit.get('MINE')).toMatchObject({ value: '1' })
      for (const name of ['picky', 'needy']) expect([...given.get(name)!.keys()]).not.toContain('URL')
    })

    it('that is none is refused with the line at fault, and leaves nothing behind', async () => {
      const job = await startJob(box, { config })
      await job.put({ state: 'running' })
      const before = [await box.rows(), filesOf(box)]
      const answer = await upload(job, 'A=1\n\nB=2\n')
      expect([answer.status, answer.body.message]).toEqual([400, expect.stringContaining('line 2')])
      expect([await box.rows(), filesOf(box)]).toEqual(before)
      expect((await upload(job, 'A=1\n')).status).toBe(201)
    })

    it('is kept from those who read the database', async () => {
      const job = await startJob(box, { config })
      await upload(job, 'SECRET=hunter2\n')
      const rows = await box.core.core.store.read.db.selectFrom('dotenv_variables').selectAll().execute()
      expect(rows.length).toBeGreaterThan(0)
      for (const row of rows) expect(Buffer.from(row.body).toString('latin1')).not.toContain('hunter2')
    })
  })

  it.each([
    ['before', 'behind'],
    ['behind', 'before'],
  ] as const)('takes what the form says %s its file', async (first, second) => {
    const job = await startJob(box)
    const said = { artifact_type: 'junit', artifact_format: 'gzip' }
    const sent = { [first]: said, [second]: { expire_in: '1 day', unknown: 'x' }, query: '?expire_in=never' }
    expect((await job.upload(gzipSync('<testsuites/>'), { ...sent, filename: 'junit.xml.gz' })).status).toBe(201)
    const { body } = await box.admin('GET', `/projects/${job.projectId}/jobs/${job.id}`)
    expect(body.artifacts).toMatchObject([{ file_type: 'junit', file_format: 'gzip', filename: 'junit.xml.gz' }])
    const [kept] = await listArtifacts(box.core.core.store.read, [job.id])
    expect(kept!.expiresAt).toBe(box.core.clock.now() + 86_400_000)
  })

  it('takes each type in its own format only', async () => {
    const formats = {
      archive: 'tarzstd',
      junit: 'gzip',
      codequality: 'raw',
      terraform: 'raw',
      lsif: 'zip',
      sast: 'raw',
    }
    const job = await startJob(box)
    for (const [type, format] of Object.entries(formats)) {
      const wrong = format === 'gzip' ? 'raw' : 'gzip'
      const upload = (as: string) => job.upload('x', { query: `?artifact_type=${type}&artifact_format=${as}` })
      expect([type, (await upload(wrong)).status]).toEqual([type, 400])
      expect([type, (await upload(format)).status]).toEqual([type, 201])
    }
    expect((await job.upload('x', { query: '?artifact_type=nonsense&artifact_format=raw' })).status).toBe(400)
  })
})

/** Source: gitlab app/models/concerns/enums/ci/job_artifact.rb. */
const typesByFormat = {
  zip: ['archive', 'lsif', 'scip'],
  gzip: [
    ...['metadata', 'junit', 'dotenv', 'cobertura', 'jacoco', 'metrics', 'metrics_referee', 'network_referee'],
    ...['cyclonedx', 'annotations', 'repository_xray'],
  ],
  raw: [
    ...['trace', 'codequality', 'accessibility', 'terraform', 'performance', 'browser_performance'],
    ...['load_performance', 'sast', 'secret_detection', 'dependency_scanning', 'container_scanning'],
    ...['cluster_image_scanning', 'dast', 'api_fuzzing', 'coverage_fuzzing', 'license_scanning', 'requirements'],
    ...['requirements_v2', 'sarif'],
  ],
}

it('knows every type that GitLab has, and its format', () => {
  for (const [format, types] of Object.entries(typesByFormat)) {
    for (const type of types) {
      const taken = ['raw', 'gzip', 'zip', 'tar', ''].filter((one) => takesFormat(type, one))
      expect([type, taken]).toEqual([type, [format]])
    }
  }
  expect(['zipzstd', 'tarzstd'].every((one) => takesFormat('archive', one))).toBe(true)
  expect(takesFormat('constructor', 'raw')).toBe(false)
})

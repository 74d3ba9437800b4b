/**
 * Every endpoint that GitLab Runner calls, as gitlab-runner network/gitlab.go, network/trace.go and
 * commands/helpers/artifacts_*.go of 19.4 call it: the request with its headers, the whole answer, and the tables that
 * have changed. Where a runner does not look (bodies of 200 and 202), GitLab's answer stands.
 */
import http from 'node:http'
import { crc32 } from 'node:zlib'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { oneJob, realPoll, type ShimBox, startShimBox } from '../shim/support/box.js'
import { onBothEngines } from '../support/stores.js'

const requestId = '0123456789abcdef0123456789abcdef'
const common = { 'User-Agent': 'gitlab-runner 19.4.0 (main; go1.26.5; linux/amd64)', 'X-Request-Id': requestId }
const json = { ...common, 'Content-Type': 'application/json', Accept: 'application/json' }
/** Where the runner decodes no body it accepts any. */
const jsonIn = { ...common, 'Content-Type': 'application/json' }

const checksum = (text: string) => `crc32:${crc32(Buffer.from(text)).toString(16).padStart(8, '0')}`

/** Headers of which no runner knows. */
const ofTheConnection = new Set(['date', 'connection', 'keep-alive', 'transfer-encoding'])

interface Wire {
  status: number
  headers: Record<string, string>
  text: string
}

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine, { routerUrl: () => 'wss://box.test/runner/v1/router' })
  })
  afterAll(() => box[Symbol.asyncDispose]())

  /** Sends a request as it is, and gives the answer as it is but for what no runner sees. */
  function wire(method: string, path: string, headers: object, body?: string | Buffer): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const req = http.request(`${box.url}/api/v4/${path}`, { method, headers: { ...headers } }, (res) => {
        const chunks: Buffer[] = []
        res.on('data', (chunk: Buffer) => chunks.push(chunk))
        res.on('end', () => {
          const headers = Object.entries(res.headers).filter(([name]) => !ofTheConnection.has(name))
          resolve({
            status: res.statusCode!,
            headers: Object.fromEntries(headers) as Record<string, string>,
            text: Buffer.concat(chunks).toString(),
          })
        })
      })
      req.on('error', reject)
      if (body !== undefined && !('Transfer-Encoding' in headers))
        req.setHeader('Content-Length', Buffer.byteLength(body))
      req.end(body)
    })
  }

  const exchange = (...args: Parameters<typeof wire>) => box.changes(() => wire(...args))

  /** What every answer with a body has. */
  const answered = (type: string, text: string) => ({
    'cache-control': 'no-store',
    'content-length': String(Buffer.byteLength(text)),
    'content-type': type,
    'x-content-type-options': 'nosniff',
    'x-request-id': requestId,
  })
  const plain = 'text/plain; charset=utf-8'

  const registrationToken = async () => (await box.admin('POST', '/runners/reset_registration_token')).body.token

  /** A job that the runner has accepted, with its token. */
  async function running(state = 'running'): Promise<{ id: number; token: string; runnerToken: string }> {
    const { project } = await box.run(oneJob, `contract/app-${Math.random().toString(36).slice(2)}`)
    const made = await box.admin('POST', '/user/runners', {
      json: { runner_type: 'project_type', project_id: project.id },
    })
    const { body } = await box.poll(made.body.token)
    if (state !== 'offered') await wire('PUT', `jobs/${body.id}`, jsonIn, JSON.stringify({ token: body.token, state }))
    return { id: body.id, token: body.token, runnerToken: made.body.token }
  }

  it('POST runners', async () => {
    const token = await registrationToken()
    const body = {
      token,
      description: 'docker-1',
      maintenance_note: 'lab',
      tag_list: 'docker,linux',
      run_untagged: true,
      locked: false,
      access_level: 'not_protected',
      maximum_timeout: 3600,
      paused: false,
      info: { name: 'gitlab-runner', version: '19.4.0', platform: 'linux', architecture: 'amd64', features: {} },
    }
    const made = await exchange('POST', 'runners', { ...json, 'RUNNER-TOKEN': token }, JSON.stringify(body))
    expect(made.answer.status).toBe(201)
    expect(made.answer.headers).toEqual(answered('application/json', made.answer.text))
    const answer = JSON.parse(made.answer.text)
    expect(answer).toEqual({
      id: expect.any(Number),
      token: expect.stringMatching(/^glrtr-[\w-]{20}/),
      token_expires_at: null,
    })
    expect(made.tables).toEqual(['runners', 'events'])
    const refused = await exchange('POST', 'runners', json, JSON.stringify({ ...body, token: 'GR1348941nope' }))
    expect([refused.answer.status, refused.answer.text]).toEqual([403, '{"message":"403 Forbidden"}'])
    expect(refused.tables).toEqual([])
  })

  it('POST runners/verify', async () => {
    const token = await box.runnerToken()
    const body = JSON.stringify({ token, ...realPoll })
    const known = await exchange('POST', 'runners/verify', { ...json, 'RUNNER-TOKEN': token }, body)
    expect(known.answer.status).toBe(200)
    expect(known.answer.headers).toEqual(answered('application/json', known.answer.text))
    expect(JSON.parse(known.answer.text)).toEqual({ id: expect.any(Number), token, token_expires_at: null })
    expect(known.tables).toEqual(['runners', 'runner_managers'])
    const again = await exchange('POST', 'runners/verify', { ...json, 'RUNNER-TOKEN': token }, body)
    expect(again.tables).toEqual([])
    const unknown = await exchange('POST', 'runners/verify', json, JSON.stringify({ ...realPoll, token: 'glrt-nope' }))
    expect([unknown.answer.status, unknown.tables]).toEqual([403, []])
  })

  it('DELETE runners, with a body', async () => {
    const token = await registrationToken()
    const made = await wire('POST', 'runners', json, JSON.stringify({ token, description: 'gone soon' }))
    const own = JSON.parse(made.text).token
    const left = await exchange('DELETE', 'runners', { ...jsonIn, 'RUNNER-TOKEN': own }, JSON.stringify({ token: own }))
    expect([left.answer.status, left.answer.text]).toEqual([204, ''])
    expect(left.answer.headers).toEqual({ 'x-request-id': requestId })
    expect(left.tables).toEqual(['runners', 'events'])
    const twice = await exchange('DELETE', 'runners', jsonIn, JSON.stringify({ token: own }))
    expect([twice.answer.status, twice.tables]).toEqual([403, []])
  })

  it('DELETE runners/managers', async () => {
    const token = await box.runnerToken()
    await wire('POST', 'runners/verify', json, JSON.stringify({ token, ...realPoll }))
    const body = JSON.stringify({ token, system_id: realPoll.system_id })
    const left = await exchange('DELETE', 'runners/managers', { ...jsonIn, 'RUNNER-TOKEN': token }, body)
    expect([left.answer.status, left.answer.text, left.tables]).toEqual([204, '', ['runner_managers']])
    const twice = await exchange('DELETE', 'runners/managers', jsonIn, body)
    expect([twice.answer.status, twice.tables]).toEqual([404, []])
    expect((await box.poll(token)).status).toBe(204)
  })

  it('POST runners/reset_authentication_token, by the runner and by a person', async () => {
    const token = await box.runnerToken()
    const own = await exchange('POST', 'runners/reset_authentication_token', json, JSON.stringify({ token }))
    expect(own.answer.status).toBe(201)
    expect(own.answer.headers).toEqual(answered('application/json', own.answer.text))
    const { id, token: second } = JSON.parse(own.answer.text)
    expect(JSON.parse(own.answer.text)).toEqual({
      id,
      token: expect.stringMatching(/^glrt-t1_/),
      token_expires_at: null,
    })
    expect(own.tables).toEqual(['runners', 'events'])
    const old = await exchange('POST', 'runners/reset_authentication_token', json, JSON.stringify({ token }))
    expect([old.answer.status, old.tables]).toEqual([403, []])
    const path = `runners/${id}/reset_authentication_token`
    const pat = { ...json, 'PRIVATE-TOKEN': 'glpat-test-admin-token-000' }
    const byPerson = await exchange('POST', path, pat, 'null')
    expect(byPerson.answer.status).toBe(201)
    expect(JSON.parse(byPerson.answer.text).token).not.toBe(second)
    expect((await exchange('POST', path, { ...pat, 'PRIVATE-TOKEN': 'glpat-nope' }, 'null')).answer.status).toBe(401)
  })

  it('GET runners/router/discovery', async () => {
    const token = await box.runnerToken()
    const headers = { ...common, Accept: 'application/json' }
    const found = await exchange('GET', 'runners/router/discovery', { ...headers, 'RUNNER-TOKEN': token })
    expect(found.answer).toEqual({
      status: 200,
      headers: answered('application/json', found.answer.text),
      text: '{"server_url":"wss://box.test/runner/v1/router"}',
    })
    expect(found.tables).toEqual([])
    const unknown = await exchange('GET', 'runners/router/discovery', { ...headers, 'RUNNER-TOKEN': 'glrt-nope' })
    expect(unknown.answer.status).toBe(403)
  })

  it('POST jobs/request', async () => {
    const token = await box.runnerToken()
    const session = { url: 'https://runner:8093/session/1', certificate: '-----BEGIN…', authorization: 'secret' }
    const body = (more = {}) => JSON.stringify({ ...realPoll, token, session, ...more })
    const headers = { ...json, 'RUNNER-TOKEN': token }
    const none = await exchange('POST', 'jobs/request', headers, body())
    expect([none.answer.status, none.answer.text]).toEqual([204, ''])
    const value = none.answer.headers['x-gitlab-last-update']
    expect(none.answer.headers).toEqual({
      'x-gitlab-last-update': expect.stringMatching(/^\w+$/),
      'x-request-id': requestId,
    })
    expect(none.tables).toEqual(['runners', 'runner_managers'])
    await box.run(oneJob, 'contract/requested')
    const job = await exchange('POST', 'jobs/request', headers, body({ last_update: value }))
    expect(job.answer.status).toBe(201)
    expect(job.answer.headers).toEqual({
      'content-length': String(Buffer.byteLength(job.answer.text)),
      'content-type': 'application/json',
      'x-request-id': requestId,
    })
    expect(job.tables).toEqual(['projects', 'jobs', 'lanes', 'leases', 'events'])
    expect((await exchange('POST', 'jobs/request', json, body({ token: 'glrt-nope' }))).answer.status).toBe(403)
  })

  it('PUT jobs/:id', async () => {
    const { id, token } = await running('offered')
    const put = (more: object, headers: object = { ...jsonIn, 'JOB-TOKEN': token }) =>
      exchange('PUT', `jobs/${id}`, headers, JSON.stringify({ token, info: realPoll.info, ...more }))
    const ack = await put({ state: 'running', output: {} })
    expect([ack.answer.status, ack.answer.text]).toEqual([200, '200'])
    expect(ack.answer.headers).toEqual({
      ...answered(plain, '200'),
      'job-status': 'running',
      'x-gitlab-trace-update-interval': '30',
    })
    expect(ack.tables).toEqual(expect.arrayContaining(['jobs', 'leases', 'traces', 'events']))
    box.core.clock.advance(30_000)
    const alive = await put({ state: 'running', output: { checksum: 'crc32:00000000' } })
    expect([alive.answer.status, alive.tables]).toEqual([200, ['leases']])
    const end = await put({
      state: 'failed',
      failure_reason: 'script_failure',
      exit_code: 1,
      output: { checksum: 'crc32:00000000' },
    })
    expect([end.answer.status, end.answer.headers['job-status']]).toEqual([200, 'failed'])
    const again = await put({
      state: 'failed',
      failure_reason: 'script_failure',
      exit_code: 1,
      output: { checksum: 'crc32:00000000' },
    })
    expect([again.answer.status, again.tables]).toEqual([200, []])
    const late = await put({ state: 'success' })
    expect(late.answer).toMatchObject({
      status: 403,
      text: '{"message":"403 Forbidden"}',
      headers: { 'job-status': 'failed' },
    })
    expect(late.tables).toEqual([])
    expect((await put({ state: 'nonsense' })).answer.status).toBe(400)
    expect((await put({ state: 'running', token: 'glcbt-nope' })).answer.status).toBe(403)
  })

  it('PATCH jobs/:id/trace', async () => {
    const { id, token } = await running()
    const patch = (range: string | undefined, bytes: string) =>
      exchange(
        'PATCH',
        `jobs/${id}/trace?debug_trace=false`,
        { ...common, 'Content-Type': 'text/plain', 'JOB-TOKEN': token, ...(range && { 'Content-Range': range }) },
        bytes,
      )
    const first = await patch('0-13', 'fourteen bytes')
    expect(first.answer).toEqual({
      status: 202,
      headers: {
        'content-length': '0',
        'job-status': 'running',
        range: '0-14',
        'x-gitlab-trace-update-interval': '30',
        'x-request-id': requestId,
      },
      text: '',
    })
    expect(first.tables).toEqual(['traces'])
    const repeated = await patch('0-13', 'fourteen bytes')
    expect(repeated.answer).toMatchObject({ status: 416, headers: { range: '0-14', 'job-status': 'running' } })
    expect(repeated.tables).toEqual([])
    expect((await patch(undefined, 'x')).answer.status).toBe(400)
    expect((await patch('14-14', '!')).answer.headers.range).toBe('0-15')
    const output = { checksum: checksum('fourteen bytes!'), bytesize: 15 }
    const end = await wire('PUT', `jobs/${id}`, jsonIn, JSON.stringify({ token, state: 'success', output }))
    expect(end.status).toBe(200)
    expect((await patch('15-15', 'x')).answer).toMatchObject({ status: 403, headers: { 'job-status': 'success' } })
  })

  /** The helper writes the form while it packs: it knows no length. */
  const form = (bytes: string) =>
    `--bnd\r\nContent-Disposition: form-data; name="file"; filename="build.zip"\r\nContent-Type: application/octet-stream\r\n\r\n${bytes}\r\n--bnd--\r\n`
  const formType = { 'Content-Type': 'multipart/form-data; boundary=bnd', 'Transfer-Encoding': 'chunked' }

  it('POST and GET jobs/:id/artifacts', async () => {
    const { id, token } = await running()
    const headers = { ...common, ...formType, 'JOB-TOKEN': token }
    const path = `jobs/${id}/artifacts?artifact_format=zip&artifact_type=archive&expire_in=1+week`
    const kept = await exchange('POST', path, headers, form('PK\x03\x04'))
    expect(kept.answer).toEqual({ status: 201, headers: answered(plain, '201'), text: '201' })
    expect(kept.tables).toEqual(expect.arrayContaining(['artifacts']))
    const same = await exchange('POST', path, headers, form('PK\x03\x04'))
    expect(same.answer.status).toBe(201)
    expect(same.tables).not.toContain('artifacts')
    expect((await exchange('POST', path, headers, form('other'))).answer.status).toBe(400)
    expect((await exchange('POST', path, { ...headers, 'JOB-TOKEN': 'x' }, form('PK'))).answer.status).toBe(403)
    // The helper's request without redirects has neither the runner's agent nor an id.
    const got = await exchange('GET', `jobs/${id}/artifacts?direct_download=true`, { 'JOB-TOKEN': token })
    expect([got.answer.status, got.answer.text, got.tables]).toEqual([200, 'PK\x03\x04', []])
    expect(got.answer.headers).toMatchObject({
      'accept-ranges': 'bytes',
      'content-disposition': expect.stringContaining('filename="build.zip"'),
      'content-length': '4',
      'content-type': 'application/octet-stream',
    })
    const probe = await wire('GET', `jobs/${id}/artifacts`, { ...common, 'JOB-TOKEN': token, Range: 'bytes=0-0' })
    expect([probe.status, probe.headers['content-range']]).toEqual([206, 'bytes 0-0/4'])
    const none = await running()
    const missing = await exchange('GET', `jobs/${none.id}/artifacts`, { ...common, 'JOB-TOKEN': none.token })
    expect(missing.answer).toMatchObject({ status: 404, text: '{"message":"404 Not Found"}' })
  })

  it('POST jobs/:id/artifacts/authorize, which GitLab’s own proxy sends', async () => {
    const { id, token } = await running()
    const ask = (query: string) =>
      exchange('POST', `jobs/${id}/artifacts/authorize${query}`, { ...jsonIn, 'JOB-TOKEN': token }, '')
    const may = await ask('?filesize=1000')
    expect([may.answer.status, JSON.parse(may.answer.text), may.tables]).toEqual([
      200,
      { MaximumSize: 104_857_600 },
      [],
    ])
    expect((await ask('?filesize=999999999')).answer.status).toBe(413)
  })
})

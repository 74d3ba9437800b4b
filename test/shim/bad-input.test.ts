import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adminToken } from '../support/core.js'
import { onBothEngines } from '../support/stores.js'
import { type Answer, realPoll, type ShimBox, startShimBox, until } from './support/box.js'
import { type RunningJob, startJob } from './support/running-job.js'

const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`

onBothEngines((engine) => {
  let box: ShimBox
  let token: string
  beforeAll(async () => {
    box = await startShimBox(engine, { rates: { wrongCredentials: 'off', polls: 'off', registrations: 'off' } })
    token = await box.runnerToken({ tags: 'nothing', runUntagged: false })
    await box.poll(token)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  /** The status is right, nothing has changed, and the next good request works. */
  async function refuses(send: () => Promise<Answer | string>, status: number, body?: unknown): Promise<void> {
    const before = await box.rows()
    const answer = await send()
    if (typeof answer === 'string') {
      expect(Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1])).toBe(status)
    } else {
      expect(answer.status).toBe(status)
      if (body !== undefined) expect(answer.body).toEqual(body)
      expect(answer.text).not.toMatch(/\bat .*\.(ts|js):\d|node_modules|select |SQLITE|postgres/i)
    }
    expect(await box.rows()).toBe(before)
    expect((await box.poll(token)).status).toBe(204)
  }

  describe('POST /jobs/request', () => {
    const ask = (body: string | Uint8Array, headers: Record<string, string> = {}) =>
      box.send('POST', '/jobs/request', { body, headers: { 'Content-Type': 'application/json', ...headers } })
    const poll = (more: Record<string, unknown>) => ask(JSON.stringify({ ...realPoll, token, ...more }))
    const raw = (headers: string, body: string) =>
      box.raw(
        `POST /api/v4/jobs/request HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${headers}\r\n\r\n${body}`,
        /\r\n\r\n/,
      )
    const text = (value: unknown) => JSON.stringify(value)

    const cases: [string, () => Promise<Answer | string>, number, unknown?][] = [
      ['no token', () => ask('{}'), 400, { error: 'token is missing' }],
      ['an empty token', () => ask('{"token":""}'), 400, { error: 'token is missing' }],
      ['an unknown token', () => poll({ token: 'glrt-t1_unknown' }), 403, { message: '403 Forbidden' }],
      ['a list for a token', () => poll({ token: ['a'] }), 400, { error: 'token is invalid' }],
      ['a map for a token', () => poll({ token: {} }), 400, { error: 'token is invalid' }],
      ['a number for a token', () => poll({ token: 12 }), 400, { error: 'token is invalid' }],
      ['a long token', () => poll({ token: 'x'.repeat(100_000) }), 400, { error: 'token is invalid' }],
      [
        'a token list in a form',
        () => box.send('POST', '/jobs/request', { form: { 'token[]': token } }),
        400,
        { error: 'token is invalid' },
      ],
      [
        'a token twice in a form',
        () => ask(`token=${token}&token=${token}`, { 'Content-Type': 'application/x-www-form-urlencoded' }),
        400,
        { error: 'token is invalid' },
      ],
      ['JSON that is cut off', () => ask('{"token":'), 400],
      ['a JSON list', () => ask('[]'), 400],
      ['JSON null', () => ask('null'), 400],
      ['a JSON text', () => ask('"x"'), 400],
      ['a key twice', () => ask(`{"token":${text(token)},"token":${text(token)}}`), 400],
      ['a depth of 10,000', () => ask(`{"token":${text(token)},"x":${nested(10_000)}}`), 400],
      ['10,000 list items', () => poll({ tags: Array.from({ length: 10_000 }, () => 'a') }), 400],
      ['300 KiB', () => poll({ x: 'x'.repeat(300 * 1024) }), 413],
      [
        '300 KiB in chunks',
        () => raw('Transfer-Encoding: chunked', `4b000\r\n${'x'.repeat(300 * 1024)}\r\n0\r\n\r\n`),
        413,
      ],
      ['plain text', () => ask('token=x', { 'Content-Type': 'text/plain' }), 415],
      ['XML', () => ask('<token/>', { 'Content-Type': 'application/xml' }), 415],
      [
        'no content type',
        () => box.raw('POST /api/v4/jobs/request HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}', /\r\n\r\n/),
        415,
      ],
      ['a gzip body', () => ask(gzipSync('{}'), { 'Content-Encoding': 'gzip' }), 415],
      ['__proto__ as a feature', () => ask(`{"token":${text(token)},"info":{"features":{"__proto__":true}}}`), 400],
      ['constructor as a key', () => ask(`{"token":${text(token)},"constructor":{}}`), 400],
      [
        '__proto__ in a form',
        () => ask(`token=${token}&info[__proto__][x]=1`, { 'Content-Type': 'application/x-www-form-urlencoded' }),
        400,
      ],
      ['a system id with a line end', () => poll({ system_id: 's_\r\nX: y' }), 400, { error: 'system_id is invalid' }],
      ['a system id of 2 KB', () => poll({ system_id: 's'.repeat(2048) }), 400, { error: 'system_id is invalid' }],
      ['a version of 1 KB', () => poll({ info: { version: 'v'.repeat(1024) } }), 400, { error: 'version is too long' }],
      ['info that is a text', () => poll({ info: 'x' }), 400, { error: 'info is invalid' }],
      ['NUL in a text', () => poll({ info: { name: 'a\0b' } }), 400],
      [
        'invalid UTF-8',
        () => ask(Buffer.concat([Buffer.from('{"token":"'), Buffer.from([0xff]), Buffer.from('"}')])),
        400,
      ],
      [
        '1,001 parameters',
        () => ask('a=1&'.repeat(1001), { 'Content-Type': 'application/x-www-form-urlencoded' }),
        400,
      ],
      ['both lengths', () => raw('Content-Length: 2\r\nTransfer-Encoding: chunked', '2\r\n{}\r\n0\r\n\r\n'), 400],
      ['two lengths', () => raw('Content-Length: 2\r\nContent-Length: 3', '{}'), 400],
      ['a broken chunk', () => raw('Transfer-Encoding: chunked', 'zz\r\n{}\r\n'), 400],
      ['a number too large', () => ask(`{"token":${text(token)},"x":1e999}`), 400],
    ]
    it.each(cases)('refuses %s', async (_, send, status, body) => refuses(send, status, body))

    it('refuses a token that was revoked', async () => {
      const dead = await box.runnerToken()
      await box.send('DELETE', '/runners', { json: { token: dead } })
      await refuses(() => box.poll(dead), 403, { message: '403 Forbidden' })
    })
  })

  describe('runners', () => {
    const send = (method: string, path: string, json: unknown) => () => box.send(method, path, { json })
    const cases: [string, () => Promise<Answer>, number, unknown?][] = [
      [
        'a wrong registration token',
        send('POST', '/runners', { token: 'GR1348941x' }),
        403,
        { message: '403 Forbidden' },
      ],
      [
        'a key twice',
        () =>
          box.send('POST', '/runners', {
            body: '{"token":"x","token":"y"}',
            headers: { 'Content-Type': 'application/json' },
          }),
        400,
      ],
      [
        'a description of 10 KB',
        () =>
          box.admin('POST', '/user/runners', {
            json: { runner_type: 'instance_type', description: 'd'.repeat(10_240) },
          }),
        400,
      ],
      ['no registration token', send('POST', '/runners', {}), 400, { error: 'token is missing' }],
      ['a wrong token to verify', send('POST', '/runners/verify', { token: 'x' }), 403, { message: '403 Forbidden' }],
      ['no token to verify', send('POST', '/runners/verify', {}), 400, { error: 'token is missing' }],
      ['a wrong token to delete', send('DELETE', '/runners', { token: 'x' }), 403, { message: '403 Forbidden' }],
      [
        'a runner’s own token for another’s manager',
        send('DELETE', '/runners/managers', { token: 'x', system_id: 's_a' }),
        403,
      ],
      ['an access token as a runner’s', send('POST', '/runners/verify', { token: adminToken }), 403],
      [
        'NUL in a description',
        () => box.admin('POST', '/user/runners', { json: { runner_type: 'instance_type', description: 'a\0' } }),
        400,
      ],
      [
        'NUL in a form',
        () =>
          box.admin('POST', '/user/runners', {
            body: 'description=%00',
            headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
          }),
        400,
      ],
      [
        'a file where none is expected',
        () => {
          const body = new FormData()
          body.append('token', new Blob(['x']), 'x')
          return box.send('POST', '/runners/verify', { body })
        },
        400,
      ],
    ]
    it.each(cases)('refuses %s', async (_, sent, status, body) => refuses(sent, status, body))

    it('keeps a name with markup and escapes as it is', async () => {
      const description = '<script>alert(1)</script> \u001b[31mred'
      const made = await box.admin('POST', '/user/runners', {
        json: { runner_type: 'instance_type', paused: true, description },
      })
      const shown = await box.admin('GET', `/runners/${made.body.id}`)
      expect(shown.body.description).toBe(description)
      expect(shown.headers.get('content-type')).toBe('application/json')
      expect(shown.headers.get('x-content-type-options')).toBe('nosniff')
    })
  })

  describe('PATCH /jobs/:id/trace', () => {
    let job: RunningJob
    beforeAll(async () => {
      job = await startJob(box)
      await job.patch('0-3', 'log\n')
    })
    const cases: [string, () => Promise<Answer>, number, unknown?][] = [
      ['no Content-Range', () => job.patch(undefined, 'x'), 400, { message: '400 Missing header Content-Range' }],
      ...['5-2', 'a-b', '-1-5', '0-99999999999999999999', '0-1, 5-6', 'bytes 4-5/6', '4', ''].map(
        (range): [string, () => Promise<Answer>, number] => [
          `Content-Range ${range}`,
          () => job.patch(range, 'x'),
          400,
        ],
      ),
      ['a part of 3 MiB', () => job.patch('4-9', new Uint8Array(3 * 1024 * 1024)), 413],
      ['a compressed part', () => job.patch('4-9', gzipSync('x'), { headers: { 'Content-Encoding': 'gzip' } }), 415],
      [
        'no token',
        () => box.send('PATCH', `/jobs/${job.id}/trace`, { body: 'x', headers: { 'Content-Range': '4-4' } }),
        403,
      ],
      ['a token that is none', () => job.patch('4-4', 'x', { headers: { 'JOB-TOKEN': 'glcbt-a.b.c' } }), 403],
      [
        'an altered token',
        () => job.patch('4-4', 'x', { headers: { 'JOB-TOKEN': `${job.token.slice(0, -4)}AAAA` } }),
        403,
      ],
      ['a runner’s token', () => job.patch('4-4', 'x', { headers: { 'JOB-TOKEN': job.runnerToken } }), 403],
      ...['1e3', '0x1', '-1', '9e99', '0', '%00', '99999999999999999999', '1%2F2'].map(
        (id): [string, () => Promise<Answer>, number] => [
          `the id ${id}`,
          () =>
            box.send('PATCH', `/jobs/${id}/trace`, {
              body: 'x',
              headers: { 'Content-Range': '4-4', 'JOB-TOKEN': job.token },
            }),
          404,
        ],
      ),
    ]
    it.each(cases)('refuses %s', async (_, send, status, body) => refuses(send, status, body))

    it('goes on where it was after all that', async () => {
      expect((await job.patch('4-7', 'end\n')).status).toBe(202)
      expect(await box.log(job.id)).toBe('log\nend\n')
    })
  })

  describe('PUT /jobs/:id', () => {
    let job: RunningJob
    beforeAll(async () => {
      job = await startJob(box)
      await job.put({ state: 'running' })
    })
    const put = (json: unknown, path = `/jobs/${job.id}`) => box.send('PUT', path, { json })
    const cases: [string, () => Promise<Answer>, number, unknown?][] = [
      ['the state banana', () => job.put({ state: 'banana' }), 400, { error: 'state does not have a valid value' }],
      ['no state', () => job.put({}), 400, { error: 'state is missing' }],
      ['no body', () => box.send('PUT', `/jobs/${job.id}`), 400, { error: 'token is missing' }],
      [
        'no body but a token',
        () => box.send('PUT', `/jobs/${job.id}`, { headers: { 'JOB-TOKEN': job.token } }),
        400,
        { error: 'state is missing' },
      ],
      [
        'an exit code of 2^53',
        () => job.put({ state: 'failed', exit_code: 2 ** 53 }),
        400,
        { error: 'exit_code is invalid' },
      ],
      [
        'an exit code of 2^31',
        () => job.put({ state: 'failed', exit_code: 2 ** 31 }),
        400,
        { error: 'exit_code does not have a valid value' },
      ],
      [
        'an exit code that is code',
        () => job.put({ state: 'failed', exit_code: '1; rm' }),
        400,
        { error: 'exit_code is invalid' },
      ],
      [
        'a reason that is a map',
        () => job.put({ state: 'failed', failure_reason: {} }),
        400,
        { error: 'failure_reason is invalid' },
      ],
      ['a length below zero', () => job.put({ state: 'success', output: { bytesize: -1 } }), 400],
      ['a wrong token', () => put({ token: 'glcbt-x', state: 'success' }), 403, { message: '403 Forbidden' }],
      [
        'another job',
        () => put({ token: job.token, state: 'success' }, '/jobs/99999'),
        403,
        { message: '403 Forbidden' },
      ],
      [
        'an id that is none',
        () => put({ token: job.token, state: 'success' }, '/jobs/1e3'),
        404,
        { message: '404 Job Not Found' },
      ],
      [
        'JSON that is none',
        () => box.send('PUT', `/jobs/${job.id}`, { body: '{', headers: { 'Content-Type': 'application/json' } }),
        400,
      ],
    ]
    it.each(cases)('refuses %s', async (_, send, status, body) => refuses(send, status, body))
  })

  describe('artifacts', () => {
    let job: RunningJob
    beforeAll(async () => {
      job = await startJob(box)
      await job.put({ state: 'running' })
    })
    const type = (boundary: string) => ({
      'Content-Type': `multipart/form-data; boundary=${boundary}`,
      'JOB-TOKEN': job.token,
    })
    const multipart = (body: string, headers = type('x')) =>
      box.send('POST', `/jobs/${job.id}/artifacts`, { body: body.replaceAll('\n', '\r\n'), headers })
    const part = (name: string, filename?: string) =>
      `--x\nContent-Disposition: form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"`}\n\nzip\n`
    const cases: [string, () => Promise<Answer>, number][] = [
      ['no file', () => multipart('--x--\n'), 400],
      ['two files', () => multipart(`${part('file', 'a')}${part('file', 'b')}--x--\n`), 400],
      ['another field', () => multipart(`${part('other', 'a')}--x--\n`), 400],
      ['a wrong type behind the file', () => multipart(`${part('file', 'a')}${part('artifact_type')}--x--\n`), 400],
      ['a wrong expiry before the file', () => multipart(`${part('expire_in')}${part('file', 'a')}--x--\n`), 400],
      ['a thousand fields', () => multipart(`${part('file', 'a')}${part('b').repeat(1000)}--x--\n`), 400],
      [
        'a field of 2 KiB',
        () => multipart(`${part('b').replace('zip', 'b'.repeat(2048))}${part('file', 'a')}--x--\n`),
        400,
      ],
      ['the field __proto__', () => multipart(`${part('__proto__', 'a')}--x--\n`), 400],
      ['the field a[99999999]', () => multipart(`${part('a[99999999]', 'a')}--x--\n`), 400],
      ['a field of 1,000 brackets', () => multipart(`${part(`a${'[b]'.repeat(1000)}`, 'a')}--x--\n`), 400],
      ['a form that does not end', () => multipart(part('file', 'a')), 400],
      ['a body that is no form', () => multipart('nothing of the kind'), 400],
      ['no boundary', () => multipart('x', { 'Content-Type': 'multipart/form-data', 'JOB-TOKEN': job.token }), 400],
      ['a boundary of 300 bytes', () => multipart('x', type('b'.repeat(300))), 400],
      [
        'JSON',
        () => box.send('POST', `/jobs/${job.id}/artifacts`, { json: {}, headers: { 'JOB-TOKEN': job.token } }),
        400,
      ],
      ['a name with NUL', () => multipart(`${part('file', 'a\0b')}--x--\n`), 400],
      ['an unknown type', () => job.upload('x', { query: '?artifact_type=virus' }), 400],
      ['an unknown format', () => job.upload('x', { query: '?artifact_format=rar' }), 400],
      ['the type __proto__', () => job.upload('x', { query: '?artifact_type=__proto__' }), 400],
      ['an expiry that is none', () => job.upload('x', { query: '?expire_in=1e9+years' }), 400],
      ['an expiry list', () => job.upload('x', { query: '?expire_in[]=1' }), 400],
      ['a wrong token', () => job.upload('x', { token: 'glcbt-x' }), 403],
      ['a job that is none', () => box.send('GET', '/jobs/0/artifacts', { headers: { 'JOB-TOKEN': job.token } }), 404],
      ['a job without any', () => job.download(), 404],
    ]
    it.each(cases)('refuses %s', async (_, send, status) => refuses(send, status))

    it('takes a good one after all that', async () => {
      expect((await multipart(`${part('file', 'a.zip')}--x--\n`)).status).toBe(201)
    })
  })

  describe('the connection', () => {
    const raw = (text: string) => () => box.raw(text, /\r\n\r\n/)
    const cases: [string, () => Promise<string>, number][] = [
      ['a request line that is none', raw('nonsense\r\n\r\n'), 400],
      ['a header that is none', raw('GET /api/v4/user HTTP/1.1\r\nHost: x\r\n bad\r\n\r\n'), 400],
      ['a header of 20 KB', raw(`GET /api/v4/user HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`), 431],
      ['an address of 20 KB', raw(`GET /api/v4/user?${'y'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`), 431],
      [
        'a smuggled second request',
        raw(
          'POST /api/v4/jobs/request HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n',
        ),
        400,
      ],
    ]
    it.each(cases)('refuses %s', async (_, send, status) => refuses(send, status))

    it('gives up on a body that does not come', async () => {
      const before = await box.rows()
      const timers = box.core.clock.timers
      const answer = box.raw(
        `POST /api/v4/jobs/request HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"`,
        /\r\n\r\n/,
      )
      await until(() => box.core.clock.timers > timers)
      box.core.clock.advance(60_000)
      expect(await answer).toMatch(/^HTTP\/1\.1 408 .*\r\n(.*\r\n)*Connection: close/)
      expect(await box.rows()).toBe(before)
    })
  })
})

/**
 * What strangers can send to the two ports without a token: whatever it is, the process lives, answers with the right
 * status where there is somebody to answer, nobody's exception is left uncaught, and the log stays JSON lines.
 */
import { once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Coordinator } from '../support/processes.js'

let box: Coordinator
let token = ''

beforeAll(async () => {
  box = await Coordinator.start({ flags: ['--log-level', 'debug'] })
  await box.repository('acme/app', { '.gitlab-ci.yml': 'job:\n  script: "true"\n' })
  await box.api('POST', '/api/signalbox/v1/projects', { path: 'acme/app' })
  const runner = await box.api<{ token: string }>('POST', '/api/v4/user/runners', { runner_type: 'instance_type' })
  token = runner.token
})

afterAll(async () => {
  expect(await uncaught()).toBe(0)
  await box[Symbol.asyncDispose]()
})

async function uncaught(): Promise<number> {
  const metrics = await (await fetch(`${box.url}/metrics`)).text()
  return Number(/^signalbox_uncaught_faults (\d+)/m.exec(metrics)?.[1] ?? Number.NaN)
}

type Port = 'http' | 'grpc'

function open(port: Port): Promise<net.Socket> {
  const { hostname, port: number } = new URL((port === 'http' ? box.url : box.grpcUrl).replace(/^grpc/, 'http'))
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port: Number(number), host: hostname, allowHalfOpen: true }, () => resolve(socket))
    socket.once('error', reject)
  })
}

/** Sends bytes, then ends its half if `end`. Gives all that came back until the other side has closed. */
async function exchange(port: Port, bytes: string | Buffer, end = false): Promise<string> {
  const socket = await open(port)
  let seen = ''
  socket.on('error', () => undefined)
  socket.on('data', (chunk) => {
    seen += chunk.toString('latin1')
  })
  const closed = new Promise((resolve) => socket.once('end', resolve).once('close', resolve))
  socket.write(bytes)
  if (end) socket.end()
  await closed
  socket.destroy()
  return seen
}

/** Sends bytes and cuts the connection: with a reset, or with an end that nobody reads after. */
async function cutOff(port: Port, bytes: string | Buffer, reset = true): Promise<void> {
  const socket = await open(port)
  socket.on('error', () => undefined)
  await new Promise<void>((resolve) => socket.write(bytes, () => resolve()))
  const closed = once(socket, 'close')
  if (reset) socket.resetAndDestroy()
  else socket.destroy()
  await closed
}

const statusOf = (answer: string) =>
  answer === '' ? 0 : Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? Number.NaN)

/** An upgrade request; `more`: further header lines. */
const upgrade = (target: string, ...more: string[]) =>
  [`GET ${target} HTTP/1.1`, 'Host: a', 'Upgrade: websocket', 'Connection: Upgrade', ...more, '', ''].join('\r\n')
const handshake = ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13']
const stream = (...more: string[]) =>
  upgrade('/runner/v1/stream', ...handshake, 'Sec-WebSocket-Protocol: signalbox.v1+proto', ...more)
const tunnel = (...more: string[]) =>
  upgrade('/runner/v1/router', ...handshake, 'Sec-WebSocket-Protocol: ws-tunnel', ...more)
const get = (target: string, ...more: string[]) =>
  [`GET ${target} HTTP/1.1`, 'Host: a', 'Connection: close', ...more, '', ''].join('\r\n')
const post = (target: string, body: string, ...more: string[]) =>
  [`POST ${target} HTTP/1.1`, 'Host: a', 'Connection: close', ...more, '', body].join('\r\n')

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
const tlsHello = Buffer.from(`16030100c8010000c40303${'00'.repeat(32)}`, 'hex')
const chunked = 'Transfer-Encoding: chunked'
const upload = ['Content-Type: application/x-git-upload-pack-request', 'Content-Encoding: gzip', chunked]
const json = 'Content-Type: application/json'

/** What is sent, and the status of the answer; 0: the connection is closed without one. */
const requests: [what: string, bytes: string | Buffer, status: number][] = [
  ['an upgrade of //', upgrade('//'), 400],
  ['an upgrade of //host', upgrade('//host/runner/v1/stream'), 400],
  ['an upgrade of a bad port', upgrade('http://a:99999999/runner/v1/stream'), 400],
  ['an upgrade of *', upgrade('*'), 400],
  ['an upgrade of a broken escape', upgrade('/%'), 404],
  ['an upgrade of a wrong host', upgrade('http://[::g]/'), 404],
  ['an upgrade in absolute form', upgrade('http://elsewhere/nope'), 404],
  ['an upgrade of no door', upgrade('/nope'), 404],
  ['an upgrade of the stream without protocol', upgrade('/runner/v1/stream', ...handshake), 400],
  ['an upgrade of the stream by a page', stream('Origin: http://evil.test'), 403],
  [
    'an upgrade of the stream without key',
    upgrade('/runner/v1/stream', 'Sec-WebSocket-Protocol: signalbox.v1+proto'),
    400,
  ],
  [
    'an upgrade of another version',
    upgrade(
      '/runner/v1/stream',
      handshake[0]!,
      'Sec-WebSocket-Version: 1',
      'Sec-WebSocket-Protocol: signalbox.v1+proto',
    ),
    400,
  ],
  ['an upgrade to something else', stream().replace('Upgrade: websocket', 'Upgrade: h2c'), 400],
  ['an upgrade by POST', stream().replace('GET', 'POST'), 405],
  ['an upgrade of the tunnel without token', tunnel(), 401],
  ['an upgrade of the tunnel with a wrong token', tunnel('Authorization: Bearer glrt-nobody'), 403],
  ['an upgrade of the tunnel with a token of bytes', tunnel('Authorization: Bearer \xff\xfe'), 403],
  ['an upgrade with a body', `${stream('Content-Length: 5')}hello`, 101],
  ['a pipelined upgrade', get('/-/health').replace('Connection: close\r\n', '') + upgrade('//'), 200],
  ['two upgrades', upgrade('/nope') + upgrade('/nope'), 404],
  ['GET //', get('//'), 400],
  ['GET //host/path', get('//host/api/v4/version'), 400],
  ['GET *', get('*'), 400],
  ['OPTIONS *', get('*').replace('GET', 'OPTIONS'), 400],
  ['GET in absolute form', get('http://anywhere:1/-/health'), 200],
  ['GET of the API in absolute form', get('http://anywhere/api/v4/version'), 401],
  ['GET with user information', get('http://user:pass@anywhere/-/health'), 200],
  ['GET without a path', get('http://anywhere'), 400],
  ['GET ?', get('?a=b'), 400],
  ['CONNECT', 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n', 405],
  ['CONNECT and bytes', `CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n${'x'.repeat(100_000)}`, 405],
  ['TRACE', get('/').replace('GET', 'TRACE'), 404],
  ['an unknown method', get('/').replace('GET', 'BREW'), 400],
  ['no host', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
  ['a broken host', get('/-/health').replace('Host: a', 'Host: a b:::/'), 200],
  ['two hosts', get('/-/health', 'Host: b'), 400],
  ['the same host twice', get('/api/v4/version', 'Host: a'), 400],
  ['an upgrade with two hosts', upgrade('/runner/v1/stream', 'Host: b'), 400],
  ['HTTP 3.0', 'GET / HTTP/3.0\r\nHost: a\r\n\r\n', 400],
  ['the preface of HTTP/2', preface, 400],
  [
    'h2c',
    get('/-/health', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__').replace('close', 'Upgrade, HTTP2-Settings'),
    404,
  ],
  ['a TLS hello', tlsHello, 400],
  ['NUL', '\0\0\0\0', 400],
  ['NUL in the target', 'GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['NUL in a header', get('/', 'X-A: a\0b'), 400],
  ['a bare CR', 'GET / HTTP/1.1\rHost: a\r\r', 400],
  ['a folded header', get('/', 'X-A: a', ' b'), 400],
  ['a blank in a header name', get('/', 'X A: a'), 400],
  ['bytes above ASCII in the target', Buffer.from('GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n', 'latin1'), 400],
  ['a header of 20 KiB', get('/', `X-A: ${'a'.repeat(20_000)}`), 431],
  ['3,000 headers', get('/', ...Array.from({ length: 3000 }, (_, i) => `X-${i}: a`)), 431],
  ['a target of 20 KiB', get(`/${'a'.repeat(20_000)}`), 431],
  ['a target of 15,000 bytes', get(`/api/v4/${'a/'.repeat(7500)}`), 404],
  ['a broken escape', get('/api/v4/projects/%E0%A4%A'), 400],
  ['an escaped NUL', get('/api/v4/projects/%00'), 404],
  ['a broken escape in a query', get('/api/v4/version?a=%'), 400],
  ['a broken escape of git', get('/acme/%.git/info/refs?service=git-upload-pack'), 404],
  ['two lengths', post('/api/v4/jobs/request', '', 'Content-Length: 1', 'Content-Length: 2'), 400],
  ['a negative length', post('/api/v4/jobs/request', '', 'Content-Length: -1'), 400],
  ['a length and chunks', post('/api/v4/jobs/request', '0\r\n\r\n', 'Content-Length: 5', chunked), 400],
  ['a broken chunk', post('/api/v4/jobs/request', 'zz\r\n', json, chunked), 400],
  ['a chunk that is longer than a number', post('/api/v4/jobs/request', `${'f'.repeat(40)}\r\n`, json, chunked), 400],
  ['endless chunk extensions', post('/api/v4/jobs/request', `1;${'a'.repeat(20_000)}\r\n`, json, chunked), 413],
  ['a compressed poll', post('/api/v4/jobs/request', '', json, 'Content-Encoding: gzip', 'Content-Length: 0'), 415],
  ['an expectation', post('/api/v4/jobs/request', '', 'Expect: the-unexpected', 'Content-Length: 0'), 417],
  ['a body of git that is no gzip', post('/acme/app.git/git-upload-pack', '4\r\nnope\r\n0\r\n\r\n', ...upload), 401],
]

describe('a stranger on the HTTP port', () => {
  it.each(requests)('sends %s', async (_, bytes, status) => {
    expect(statusOf(await exchange('http', bytes))).toBe(status)
  })

  it('cuts the connection at every byte of an upgrade', async () => {
    const whole = stream()
    const cuts = Array.from({ length: whole.length }, (_, at) => whole.slice(0, at + 1))
    for (const reset of [true, false]) {
      for (let at = 0; at < cuts.length; at += 16) {
        await Promise.all(cuts.slice(at, at + 16).map((part) => cutOff('http', part, reset)))
      }
    }
    await alive()
  })

  it('resets refused upgrades', async () => {
    const refused = [upgrade('/nope'), upgrade('//'), tunnel(), tunnel('Authorization: Bearer x'), stream('Origin: x')]
    refused.push('CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', '\0', preface, get('/metrics'))
    for (let round = 0; round < 40; round++) await Promise.all(refused.map((bytes) => cutOff('http', bytes)))
    await alive()
  })
})

async function alive(): Promise<void> {
  expect((await fetch(`${box.url}/-/health`)).status).toBe(200)
  expect(await uncaught()).toBe(0)
}

/** A frame of a WebSocket, as clients must not send it. */
const frame = (first: number, second: number, ...rest: number[]) => Buffer.from([first, second, ...rest])
const mask = [1, 2, 3, 4]

const frames: [what: string, bytes: Buffer][] = [
  ['without a mask', frame(0x82, 0x01, 0x00)],
  ['of a reserved operation', frame(0x83, 0x80, ...mask)],
  ['of a reserved control operation', frame(0x8b, 0x80, ...mask)],
  ['with reserved bits', frame(0xf2, 0x80, ...mask)],
  ['with a ping of 126 bytes', frame(0x89, 0xfe, 0x00, 0x7e, ...mask)],
  ['with a ping in pieces', frame(0x09, 0x80, ...mask)],
  ['that goes on with nothing', frame(0x80, 0x80, ...mask)],
  ['of 2^63 bytes', frame(0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, ...mask)],
  ['of 2^40 bytes', frame(0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, ...mask)],
  ['that closes with one byte', frame(0x88, 0x81, ...mask, 0)],
  ['that closes with a code that is none', frame(0x88, 0x82, ...mask, 0x00 ^ 1, 0x01 ^ 2)],
  ['that closes with no UTF-8', frame(0x88, 0x84, ...mask, 0x03 ^ 1, 0xe8 ^ 2, 0xff ^ 3, 0xfe ^ 4)],
  ['of text where bytes belong', frame(0x81, 0x81, ...mask, 0x61 ^ 1)],
  ['of text that is no UTF-8', frame(0x81, 0x81, ...mask, 0xff ^ 1)],
  ['that is no message', frame(0x82, 0x84, ...mask, 0xff, 0xff, 0xff, 0xff)],
  ['that is empty', frame(0x82, 0x80, ...mask)],
]

describe('a stranger on a WebSocket', () => {
  it.each(frames)('sends a frame %s to the stream', async (_, bytes) => {
    // An empty message is one that we do not know: only Hello is taken, so that ends the stream as well.
    const answer = await exchange('http', Buffer.concat([Buffer.from(stream()), bytes]), true)
    expect(statusOf(answer)).toBe(101)
  })

  it.each(frames)('sends a frame %s to the tunnel', async (_, bytes) => {
    const opening = Buffer.from(tunnel(`Authorization: Bearer ${token}`))
    expect(statusOf(await exchange('http', Buffer.concat([opening, bytes]), true))).toBe(101)
  })

  it('resets streams and tunnels while they are opened', async () => {
    const openings = [stream(), tunnel(`Authorization: Bearer ${token}`)].map((text) => Buffer.from(text))
    const parts = [...frames.map(([, bytes]) => bytes), inFrame(preface), inFrame(`${preface}\0\0\0\x04`)]
    for (const opening of openings) {
      for (const part of parts) {
        await Promise.all(Array.from({ length: 8 }, () => cutOff('http', Buffer.concat([opening, part]))))
      }
    }
    await alive()
  })

  it.each([
    ['no HTTP/2', 'GET / HTTP/1.1\r\n\r\n'],
    ['half a preface', preface.slice(0, 10)],
    ['a frame of HTTP/2 that is too long', `${preface}\xff\xff\xff\x00\x00\x00\x00\x00\x00`],
    ['headers that are no HPACK', `${preface}\0\0\0\x04\0\0\0\0\0\0\0\x04\x01\x05\0\0\0\x01\xff\xff\xff\xff`],
    ['a goodbye', `${preface}\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0`],
  ])('sends %s through the tunnel', async (_, text) => {
    const opening = Buffer.from(tunnel(`Authorization: Bearer ${token}`))
    expect(statusOf(await exchange('http', Buffer.concat([opening, inFrame(text)]), true))).toBe(101)
  })
})

/** A short binary message in a frame whose mask is zero. */
function inFrame(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  return Buffer.concat([Buffer.from([0x82, 0x80 | bytes.length, 0, 0, 0, 0]), bytes])
}

describe('a stranger on the gRPC port', () => {
  it.each<[string, string | Buffer]>([
    ['HTTP/1.1', get('/')],
    ['a TLS hello', tlsHello],
    ['NUL', '\0'.repeat(64)],
    ['half a preface', preface.slice(0, 12)],
    ['a frame that is too long', Buffer.from(`${preface}\xff\xff\xff\x00\x00\x00\x00\x00\x00`, 'latin1')],
    [
      'headers that are no HPACK',
      Buffer.from(`${preface}\0\0\0\x04\0\0\0\0\0\0\0\x04\x01\x05\0\0\0\x01\xff\xff\xff\xff`, 'latin1'),
    ],
    ['settings with a body of five bytes', Buffer.from(`${preface}\0\0\x05\x04\0\0\0\0\0aaaaa`, 'latin1')],
    ['a window of zero', Buffer.from(`${preface}\0\0\0\x04\0\0\0\0\0\0\0\x04\x08\0\0\0\0\0\0\0\0\0`, 'latin1')],
    [
      'a reset of an idle stream',
      Buffer.from(`${preface}\0\0\0\x04\0\0\0\0\0\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08`, 'latin1'),
    ],
    ['data on stream 0', Buffer.from(`${preface}\0\0\0\x04\0\0\0\0\0\0\0\x01\x00\0\0\0\0\0a`, 'latin1')],
  ])('sends %s', async (_, bytes) => {
    for (let i = 0; i < 5; i++) await cutOff('grpc', bytes)
    await alive()
  })

  const call = async (path: string, headers: Record<string, string>, body: Buffer | undefined, rst = false) => {
    const session = http2.connect(box.grpcUrl.replace(/^grpc/, 'http'))
    session.on('error', () => undefined)
    const request = session.request({ ':method': 'POST', ':path': path, te: 'trailers', ...headers })
    let status = ''
    request.on('error', () => undefined)
    request.on('response', (all) => {
      status = String(all['grpc-status'] ?? all[':status'])
    })
    request.on('trailers', (all) => {
      status = String(all['grpc-status'])
    })
    request.resume()
    const closed = new Promise((resolve) => request.once('close', resolve))
    if (body) request.write(body)
    if (rst) request.close(http2.constants.NGHTTP2_CANCEL)
    else request.end()
    await closed
    session.destroy()
    return status
  }
  const connect = '/signalbox.runner.v1.RunnerService/Connect'
  const getJob = '/gitlab.agent.job_router.rpc.JobRouter/GetJob'
  const grpcType = { 'content-type': 'application/grpc' }

  it.each<[string, string, Record<string, string>, Buffer | undefined, string]>([
    ['an unknown method', '/nope/Nope', grpcType, undefined, '12'],
    ['another content type', connect, { 'content-type': 'text/plain' }, undefined, '415'],
    [
      'a compression that nobody knows',
      getJob,
      { ...grpcType, 'grpc-encoding': 'brotli' },
      Buffer.from([1, 0, 0, 0, 1, 0]),
      '12',
    ],
    ['a deadline that is none', getJob, { ...grpcType, 'grpc-timeout': 'soon' }, Buffer.from([0, 0, 0, 0, 0]), '13'],
    ['a message without a token', getJob, grpcType, Buffer.from([0, 0, 0, 0, 0]), '16'],
    ['a message of 4 GiB', getJob, grpcType, Buffer.from([0, 255, 255, 255, 255]), '8'],
    ['half a message', getJob, grpcType, Buffer.from([0, 0, 0, 0, 9, 1]), '12'],
    ['no message', getJob, grpcType, undefined, '12'],
    ['two messages', getJob, grpcType, Buffer.alloc(10), '12'],
    ['a message that is none', connect, grpcType, Buffer.from([0, 0, 0, 0, 4, 255, 255, 255, 255]), '9'],
    ['binary metadata that is no base64', connect, { ...grpcType, 'x-bin': '%%%' }, undefined, '0'],
  ])('calls with %s', async (_, path, headers, body, status) => {
    expect(await call(path, headers, body)).toBe(status)
    await Promise.all(Array.from({ length: 5 }, () => call(path, headers, body, true)))
    await alive()
  })
})

describe('a client of git', () => {
  const basic = () => `Authorization: Basic ${Buffer.from(`root:${box.token}`).toString('base64')}`
  const chunk = (bytes: Buffer) =>
    Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])
  const last = Buffer.from('0\r\n\r\n')
  const head = (service: string, ...more: string[]) =>
    Buffer.from(
      post(`/acme/app.git/${service}`, '', `Content-Type: application/x-${service}-request`, basic(), ...more),
    )
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024))

  it.each<[string, () => Buffer[], number]>([
    [
      'gzip that is none',
      () => [head('git-upload-pack', chunked, 'Content-Encoding: gzip'), chunk(Buffer.from('nope')), last],
      400,
    ],
    [
      'gzip that is cut',
      () => [head('git-upload-pack', chunked, 'Content-Encoding: gzip'), chunk(gzipSync('0000').subarray(0, 12)), last],
      400,
    ],
    [
      'a gzip bomb to fetch with',
      () => [head('git-upload-pack', chunked, 'Content-Encoding: gzip'), chunk(bomb), last],
      413,
    ],
    [
      'a gzip bomb to push',
      () => [head('git-receive-pack', chunked, 'Content-Encoding: gzip'), chunk(bomb), last],
      400,
    ],
    ['a broken chunk', () => [head('git-upload-pack', chunked), Buffer.from('zz\r\n')], 400],
    [
      'a broken chunk of a push',
      () => [head('git-receive-pack', chunked), chunk(Buffer.from('00')), Buffer.from('zz\r\n')],
      400,
    ],
    ['an encoding that nobody knows', () => [head('git-upload-pack', chunked, 'Content-Encoding: br'), last], 415],
  ])('sends %s', async (_, parts, status) => {
    expect(statusOf(await exchange('http', Buffer.concat(parts())))).toBe(status)
  })

  it('resets its requests', async () => {
    const gzip = ['Content-Encoding: gzip', chunked]
    const parts = [
      [head('git-upload-pack', ...gzip), chunk(bomb)],
      [head('git-upload-pack', ...gzip), chunk(Buffer.from('nope'))],
      [head('git-receive-pack', ...gzip), chunk(gzipSync('00a0').subarray(0, 14))],
      [head('git-receive-pack', chunked), chunk(Buffer.from('0000PACK'))],
      [Buffer.from(get('/acme/app.git/info/refs?service=git-receive-pack', basic()))],
    ]
    for (const part of parts) {
      await Promise.all(Array.from({ length: 6 }, () => cutOff('http', Buffer.concat(part))))
    }
    await alive()
  })
})

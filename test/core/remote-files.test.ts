import http from 'node:http'
import type https from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { RemoteFiles, type RemoteFilesOptions } from '../../src/core/config/remote-files.js'
import { isPublicAddress } from '../../src/core/public-address.js'

let server: http.Server
const requests: { path: string; headers: http.IncomingHttpHeaders }[] = []

beforeAll(async () => {
  server = http.createServer(({ url = '', headers }, res) => {
    requests.push({ path: url, headers })
    const [, kind, rest = ''] = /^\/(\w+)\/?(.*)$/.exec(url) ?? []
    if (kind === 'to') res.writeHead(302, { location: decodeURIComponent(rest) }).end()
    else if (kind === 'status') res.writeHead(Number(rest)).end('no')
    else if (kind === 'large') res.end('x'.repeat(1024 * 1024 + 1))
    else if (kind === 'slow') res.write('begun')
    else res.end(`content of ${url}`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

/** Connects to our server whatever address was checked, and tells which it was. */
const connected: unknown[] = []
const request = ((options: https.RequestOptions) => {
  connected.push(options.host)
  return http.request({ ...options, host: '127.0.0.1', port: (server.address() as AddressInfo).port })
}) as unknown as typeof https.request

function files(options: Partial<RemoteFilesOptions> = {}): RemoteFiles {
  const names: Record<string, string[]> = {
    'example.com': ['93.184.216.34', '2606:2800:220:1::1'],
    'inside.example.com': ['93.184.216.34', '10.0.0.1'],
  }
  return new RemoteFiles({
    hosts: ['example.com', 'inside.example.com', 'Other.example.com:8443', '127.0.0.1', '[::1]', '93.184.216.34'],
    resolve: async (name) => names[name] ?? [],
    request,
    ...options,
  })
}

it('fetches from the address that it has checked, by the name, and without credentials', async () => {
  expect(await files().fetch('https://example.com/a/b.yml?x=1')).toEqual({
    ok: true,
    content: 'content of /a/b.yml?x=1',
  })
  expect(connected.at(-1)).toBe('93.184.216.34')
  expect(requests.at(-1)!.headers).toMatchObject({ host: 'example.com' })
  expect(Object.keys(requests.at(-1)!.headers).filter((name) => /auth|cookie|token/.test(name))).toEqual([])
  expect(await files().fetch('https://93.184.216.34/x.yml')).toMatchObject({ ok: true })
})

it('follows two redirects, each checked', async () => {
  const to = (url: string) => `https://example.com/to/${encodeURIComponent(url)}`
  expect(await files().fetch(to('/file.yml'))).toMatchObject({ ok: true, content: 'content of /file.yml' })
  expect(await files().fetch(to(to('/file.yml')))).toMatchObject({ ok: true })
  expect(await files().fetch(to(to(to('/file.yml'))))).toEqual({ ok: false, reason: 'redirected more than 2 times' })
  for (const target of [
    'http://example.com/x',
    'https://127.0.0.1/x',
    'https://elsewhere.com/x',
    'file:///etc/passwd',
  ]) {
    expect(await files().fetch(to(target))).toMatchObject({ ok: false, reason: expect.stringContaining('is blocked') })
  }
})

it.each([
  ['http://example.com/x', 'only https'],
  ['file:///etc/passwd', 'only https'],
  ['https://user:secret@example.com/x', 'credentials'],
  ['https://elsewhere.com/x', 'not an allowed host'],
  ['https://example.com:444/x', 'not an allowed host'],
  ['https://127.0.0.1/x', 'not public'],
  ['https://127.1/x', 'not public'],
  ['https://2130706433/x', 'not public'],
  ['https://0x7f.0.0.1/x', 'not public'],
  ['https://[::1]/x', 'not public'],
  ['https://inside.example.com/x', 'not public'],
  ['https://example.com/status/404', 'status 404'],
  ['https://example.com/large', 'more than'],
])('refuses %s: %s', async (url, reason) => {
  const before = connected.length
  expect(await files().fetch(url)).toMatchObject({ ok: false, reason: expect.stringContaining(reason) })
  if (!/status|more/.test(reason)) expect(connected.length).toBe(before)
})

it('waits for no server for ever', async () => {
  const answer = await files({ timeoutMs: 100 }).fetch('https://example.com/slow')
  expect(answer).toEqual({ ok: false, reason: 'could not be fetched in time' })
  const unresolved = files({ resolve: () => Promise.reject(new Error('ENOTFOUND')) })
  expect(await unresolved.fetch('https://example.com/x')).toEqual({ ok: false, reason: 'could not be fetched' })
})

it('finds templates in a folder of the web', async () => {
  const templates = files({ hosts: [], templatesUrl: 'https://example.com/templates/' })
  expect(await templates.fetchTemplate('Jobs/Build.gitlab-ci.yml')).toMatchObject({
    content: 'content of /templates/Jobs/Build.gitlab-ci.yml',
  })
  for (const name of ['../x.gitlab-ci.yml', '/x.gitlab-ci.yml', 'a?b', 'a#b', 'a//b']) {
    expect(await templates.fetchTemplate(name)).toEqual({ ok: false, reason: 'no name of a template' })
  }
  expect(await files().fetchTemplate('Go.gitlab-ci.yml')).toMatchObject({ ok: false })
})

it('tells public addresses from all others', () => {
  const others =
    '0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8 192.0.2.1 ' +
    '192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 255.255.255.255 :: ::1 ::127.0.0.1 ' +
    '::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:8.8.8.8 64:ff9b::7f00:1 64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1:: ' +
    'fc00::1 fd12::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 0 127.1 localhost'
  expect(others.split(' ').filter(isPublicAddress)).toEqual([])
  const publicOnes = '8.8.8.8 93.184.216.34 172.32.0.1 100.128.0.1 2606:2800:220:1::1 2a00:1450:4001::1'.split(' ')
  expect(publicOnes.filter((address) => !isPublicAddress(address))).toEqual([])
})

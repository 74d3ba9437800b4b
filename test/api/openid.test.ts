/** Signing in by OpenID Connect: with a real provider, with one that lies, and with everything that somebody may try in between. */
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { stringify } from 'smol-toml'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readSettings } from '../../src/config/read.js'
import { inThisThread } from '../../src/core/ci-config/language.js'
import { readAdminToken } from '../../src/data-folder.js'
import { type Server, startServer } from '../../src/server.js'
import { client, RealProvider, startHostileProvider, Wanderer } from '../support/openid.js'

const own = '/api/signalbox/v1'
const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

let folder: string
let real: RealProvider
let hostile: Awaited<ReturnType<typeof startHostileProvider>>
let server: Server
let adminToken: string

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'signalbox-openid-'))
  real = await RealProvider.start()
  hostile = await startHostileProvider()
  await start()
})
afterEach(async () => {
  await server.close()
  await Promise.all([real.close().catch(() => undefined), hostile.close().catch(() => undefined)])
  await rm(folder, { recursive: true, force: true })
})

async function start(more: Record<string, unknown> = {}): Promise<void> {
  const openid = [
    {
      ...{ name: 'corp', label: 'Corp', issuer: real.issuer, client_id: client.id, client_secret_env: 'CORP_SECRET' },
      scopes: ['openid', 'profile', 'email', 'groups'],
      ...more,
    },
    { name: 'evil', issuer: hostile.issuer, client_id: client.id, client_secret: client.secret },
  ]
  const config = path.join(folder, 'signalbox.toml')
  await writeFile(config, stringify({ openid }))
  const dataDir = path.join(folder, 'data')
  const flags = { dataDir, config, http: '127.0.0.1:0', grpc: '127.0.0.1:0' }
  server = await startServer({
    settings: readSettings({ flags, env: { CORP_SECRET: client.secret }, cwd: folder }),
    log: quiet,
    language: inThisThread,
    fatal(error) {
      throw error
    },
  })
  adminToken = readAdminToken(dataDir, { make: true, durable: false })
  real.serve(server.httpUrl)
}

async function restart(more: Record<string, unknown>): Promise<void> {
  await server.close()
  await start(more)
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
async function admin(method: string, at: string, json?: object): Promise<any> {
  const headers = { 'PRIVATE-TOKEN': adminToken, 'Content-Type': 'application/json' }
  const answer = await fetch(`${server.httpUrl}/api${at}`, {
    method,
    headers,
    ...(json ? { body: JSON.stringify(json) } : {}),
  })
  const text = await answer.text()
  return text === '' ? undefined : JSON.parse(text)
}

const fromPage = () => ({ Origin: server.httpUrl, 'Content-Type': 'application/json' })

/** Presses the button: the address that the browser is sent to. */
async function press(
  browser: Wanderer,
  { provider = 'corp', to }: { provider?: string; to?: string } = {},
): Promise<string> {
  const answer = await browser.send(`${server.httpUrl}${own}/session/openid/${provider}`, {
    method: 'POST',
    headers: fromPage(),
    body: JSON.stringify(to === undefined ? {} : { to }),
  })
  expect(answer.status).toBe(200)
  return ((await answer.json()) as { url: string }).url
}

/** Signs in, and gives where the browser ends up. */
async function signIn(browser: Wanderer, options: { provider?: string; to?: string } = {}) {
  return browser.go(await press(browser, options))
}

// biome-ignore lint/suspicious/noExplicitAny: as above
async function who(browser: Wanderer): Promise<any> {
  const answer = await browser.send(`${server.httpUrl}${own}/session`)
  return answer.status === 200 ? answer.json() : undefined
}

const entries = () => admin('GET', '/signalbox/v1/audit')
const ada = { sub: 'u-1', preferred_username: 'ada', name: 'Ada L.', email: 'ada@example.com', email_verified: true }

describe('a real provider', () => {
  it('signs in who is new, and later again as the same, whatever they are called by then', async () => {
    real.account = ada
    const ways = await (await fetch(`${server.httpUrl}${own}/sign-in`)).json()
    expect(ways).toEqual({
      password: true,
      openid: [
        { name: 'corp', label: 'Corp' },
        { name: 'evil', label: 'evil' },
      ],
    })
    const browser = new Wanderer()
    expect(await signIn(browser, { to: '/team/app/-/pipelines/1?x=1#y' })).toMatchObject({
      url: `${server.httpUrl}/team/app/-/pipelines/1?x=1#y`,
    })
    const first = await who(browser)
    expect(first).toMatchObject({
      user: { username: 'ada', name: 'Ada L.', email: 'ada@example.com', is_admin: false },
      session: { signed_in_by: 'openid', current: true },
    })
    expect(browser.cookie(server.httpUrl, 'signalbox_openid')).toBeUndefined()

    real.account = { ...ada, preferred_username: 'root', email: 'other@example.com' }
    const later = new Wanderer()
    await signIn(later)
    expect((await who(later)).user).toMatchObject({ id: first.user.id, username: 'ada' })
    expect((await entries()).slice(0, 2)).toMatchObject([
      { kind: 'session.opened', data: { way: 'openid' } },
      { kind: 'session.opened', data: { way: 'openid' } },
    ])
  })

  it('never takes somebody for another by a name or an address', async () => {
    await admin('POST', '/v4/users', { username: 'ada', name: 'Ada', email: 'ada@example.com' })
    real.account = { ...ada, email_verified: false }
    const browser = new Wanderer()
    await signIn(browser)
    expect((await who(browser)).user).toMatchObject({ username: 'ada2', email: 'ada2@noreply.invalid' })
    const names = ['root', 'api', '../x', '-', '.git', 'ＡＤＡ', '💥', 'a'.repeat(500), '']
    for (const [i, preferred_username] of names.entries()) {
      real.account = { sub: `of-${i}`, preferred_username }
      const one = new Wanderer()
      await signIn(one)
      const { user } = await who(one)
      expect(user).toMatchObject({ username: expect.stringMatching(/^[A-Za-z0-9][\w.-]*$/), is_admin: false })
      expect(['root', 'api', 'ada', 'ada2']).not.toContain(user.username)
    }
  })

  it('links by a verified address only where that is wanted', async () => {
    const { id } = await admin('POST', '/v4/users', { username: 'ada', name: 'Ada', email: 'Ada@example.com' })
    await restart({ link_by_email: true })
    real.account = { ...ada, email_verified: false }
    const stranger = new Wanderer()
    await signIn(stranger)
    expect((await who(stranger)).user.id).not.toBe(id)
    real.account = { ...ada, sub: 'u-2' }
    const browser = new Wanderer()
    await signIn(browser)
    expect((await who(browser)).user.id).toBe(id)
    // Another account with the same address is somebody else.
    real.account = { ...ada, sub: 'u-3' }
    const other = new Wanderer()
    await signIn(other)
    expect((await who(other)).user.id).not.toBe(id)
  })

  it('gives levels by groups, takes them again, and leaves those alone that somebody gave', async () => {
    const groups = await Promise.all(
      ['one', 'two', 'three'].map((at) => admin('POST', '/v4/groups', { name: at, path: at })),
    )
    const [one, two, three] = groups.map(({ id }) => id as number)
    const roles = [
      { claim: 'devs', group: 'one', level: 'developer' },
      { claim: 'leads', group: 'one', level: 'maintainer' },
      { claim: 'devs', group: 'two', level: 'reporter' },
      { claim: 'owners', group: 'three', level: 'owner' },
      { claim: 'devs', group: 'nowhere', level: 'owner' },
    ]
    await restart({ roles, admin_group: 'ops' })
    const come = async (named: string[]) => {
      real.account = { ...ada, groups: named }
      const browser = new Wanderer()
      await signIn(browser)
      const { user } = await who(browser)
      const levels: Record<number, number> = {}
      for (const id of [one!, two!, three!]) {
        const members: { id: number; access_level: number }[] = await admin('GET', `/v4/groups/${id}/members`)
        const found = members.find((member) => member.id === user.id)
        if (found) levels[id] = found.access_level
      }
      return { user, levels }
    }
    expect((await come([])).levels).toEqual({})
    const { user, levels } = await come(['devs', 'leads'])
    expect([user.is_admin, levels]).toEqual([false, { [one!]: 40, [two!]: 20 }])
    expect((await come(['devs', 'ops'])).user.is_admin).toBe(true)
    expect(await come(['devs'])).toMatchObject({ user: { is_admin: false }, levels: { [one!]: 30, [two!]: 20 } })
    // What somebody says by hand is said by hand from then on.
    await admin('PUT', `/v4/groups/${two}/members/${user.id}`, { access_level: 10 })
    expect((await come(['devs'])).levels).toEqual({ [one!]: 30, [two!]: 10 })
    expect((await come([])).levels).toEqual({ [two!]: 10 })
    // The last owner of a group stays.
    expect((await come(['owners'])).levels).toEqual({ [two!]: 10, [three!]: 50 })
    await admin('DELETE', `/v4/groups/${three}/members/1`)
    expect((await come([])).levels).toEqual({ [two!]: 10, [three!]: 50 })
    const told = (await entries()) as { kind: string }[]
    expect(told.filter(({ kind }) => kind === 'member.removed').length).toBe(2)
    expect(await admin('GET', '/signalbox/v1/audit/verify')).toMatchObject({ valid: true })
  })

  it('makes the first who comes administrator where that is wanted, and nobody after', async () => {
    await restart({ first_is_admin: true })
    for (const [sub, isAdmin] of [
      ['a', true],
      ['b', false],
    ] as const) {
      real.account = { sub, preferred_username: sub }
      const browser = new Wanderer()
      await signIn(browser)
      expect((await who(browser)).user.is_admin).toBe(isAdmin)
    }
  })

  it('lets nobody in who is blocked, or new where nobody signs up', async () => {
    real.account = ada
    const browser = new Wanderer()
    await signIn(browser)
    const { user } = await who(browser)
    await admin('POST', `/v4/users/${user.id}/block`)
    expect(await who(browser)).toBeUndefined()
    const again = new Wanderer()
    expect(await signIn(again)).toMatchObject({ status: 403, text: expect.stringContaining('is blocked') })
    expect(await who(again)).toBeUndefined()
    await restart({ sign_up: false })
    real.account = { sub: 'new' }
    expect(await signIn(again)).toMatchObject({ status: 403, text: expect.stringContaining('nobody here') })
    expect((await entries()).slice(0, 1)).toMatchObject([
      { kind: 'session.refused', data: { issuer: `${real.issuer}/` } },
    ])
    real.account = undefined
    expect(await signIn(new Wanderer())).toMatchObject({
      status: 403,
      text: expect.stringContaining('Corp did not let you in'),
    })
  })

  it('links an account to who has signed in, and only in the browser that has begun it', async () => {
    const password = 'correct horse battery'
    await admin('POST', '/v4/users', { username: 'bob', name: 'Bob', email: 'bob@example.com', password })
    const bob = new Wanderer()
    const sent = { method: 'POST', headers: fromPage() }
    await bob.send(`${server.httpUrl}${own}/session`, { ...sent, body: JSON.stringify({ username: 'bob', password }) })
    const begin = async (browser: Wanderer) =>
      browser.send(`${server.httpUrl}${own}/identities/corp`, { ...sent, body: JSON.stringify({ to: '/-/look' }) })
    expect((await begin(new Wanderer())).status).toBe(401)
    const crossSite = { method: 'POST', headers: { ...fromPage(), Origin: 'http://evil.test' } }
    expect((await bob.send(`${server.httpUrl}${own}/identities/corp`, crossSite)).status).toBe(403)

    real.account = { sub: 'mallory' }
    const { url } = (await (await begin(bob)).json()) as { url: string }
    // Mallory goes there, and has Bob come back with her code: it is good in the browser only that has begun it.
    const mallory = new Wanderer()
    const back = await mallory.go(url, `${server.httpUrl}/-/openid`)
    expect(await mallory.go(back.url)).toMatchObject({ status: 400 })

    const own1 = await press(mallory)
    const hers = await mallory.go(own1, `${server.httpUrl}/-/openid`)
    expect(await bob.go(hers.url)).toMatchObject({ status: 400, text: expect.stringContaining('not begun') })
    expect(await (await bob.send(`${server.httpUrl}${own}/identities`)).json()).toEqual([])

    real.account = { sub: 'bob-at-corp' }
    const again = (await (await begin(bob)).json()) as { url: string }
    expect(await bob.go(again.url)).toMatchObject({ url: `${server.httpUrl}/-/look` })
    expect(await (await bob.send(`${server.httpUrl}${own}/identities`)).json()).toEqual([
      { provider: 'corp', issuer: `${real.issuer}/`, subject: 'bob-at-corp' },
    ])
    const elsewhere = new Wanderer()
    await signIn(elsewhere)
    expect((await who(elsewhere)).user.username).toBe('bob')
    // What somebody has cannot be linked to another.
    const root = new Wanderer()
    await admin('POST', '/v4/users', { username: 'eve', name: 'Eve', email: 'eve@example.com', password })
    await root.send(`${server.httpUrl}${own}/session`, { ...sent, body: JSON.stringify({ username: 'eve', password }) })
    const stolen = (await (await begin(root)).json()) as { url: string }
    expect(await root.go(stolen.url)).toMatchObject({ status: 409 })

    const gone = await bob.send(`${server.httpUrl}${own}/identities/corp`, { method: 'DELETE', headers: fromPage() })
    expect(gone.status).toBe(204)
    expect(await who(elsewhere)).toBeUndefined()
    expect((await who(bob)).user.username).toBe('bob')
  })

  it('signs out at the provider too where that is wanted', async () => {
    real.account = ada
    const browser = new Wanderer()
    await signIn(browser)
    const out = () => browser.send(`${server.httpUrl}${own}/session`, { method: 'DELETE', headers: fromPage() })
    expect((await out()).status).toBe(204)
    await restart({ sign_out: true })
    await signIn(browser)
    const answer = await out()
    expect(answer.status).toBe(200)
    const { sign_out_url: url } = (await answer.json()) as { sign_out_url: string }
    expect(url).toContain(`${real.issuer}/session/end?`)
    expect((await browser.go(url)).status).toBe(200)
    expect(await who(browser)).toBeUndefined()
  })
})

describe('who tries what is not theirs', () => {
  it('a code counts once, with the state and in the browser that it was made for', async () => {
    real.account = ada
    const browser = new Wanderer()
    const back = await browser.go(await press(browser), `${server.httpUrl}/-/openid`)
    const kept = browser.cookie(server.httpUrl, 'signalbox_openid')!
    const wrongState = new URL(back.url)
    wrongState.searchParams.set('state', 'forged')
    expect(await new Wanderer().go(back.url)).toMatchObject({ status: 400 })
    expect((await browser.go(back.url)).url).toBe(`${server.httpUrl}/`)
    expect(await browser.go(back.url)).toMatchObject({ status: 400 })
    // Somebody has kept the cookie: the provider knows the code no more.
    for (const url of [back.url, wrongState.href]) {
      const thief = new Wanderer()
      const answer = await thief.send(url, { headers: { Cookie: `signalbox_openid=${kept}` } })
      expect(answer.status).toBe(url === back.url ? 401 : 400)
      expect(answer.headers.getSetCookie().join()).not.toContain('signalbox_session')
    }
  })

  it('a state of one provider is none of another, and a made-up cookie is none', async () => {
    real.account = ada
    const browser = new Wanderer()
    const back = new URL((await browser.go(await press(browser), `${server.httpUrl}/-/openid`)).url)
    expect(await browser.go(`${server.httpUrl}/-/openid/evil/callback${back.search}`)).toMatchObject({ status: 400 })
    const variable = server.core.keys.seal(Buffer.from('{"provider":"corp"}')).toString('base64url')
    for (const cookie of ['x', '', 'a'.repeat(5000), variable, `${variable}; signalbox_openid=${variable}`]) {
      const answer = await fetch(back, { headers: { Cookie: `signalbox_openid=${cookie}` }, redirect: 'manual' })
      expect(answer.status).toBe(400)
    }
    expect((await fetch(`${server.httpUrl}/-/openid/nobody/callback${back.search}`)).status).toBe(404)
    expect((await fetch(`${server.httpUrl}/-/openid/corp/callback`, { method: 'POST' })).status).toBe(400)
    expect((await fetch(`${server.httpUrl}${own}/session/openid/nobody`, { method: 'POST' })).status).toBe(404)
    const foreign = { method: 'POST', headers: { Origin: 'http://evil.test' } }
    expect((await fetch(`${server.httpUrl}${own}/session/openid/corp`, foreign)).status).toBe(403)
  })

  it('takes ten minutes at the most', async () => {
    real.account = ada
    const browser = new Wanderer()
    const back = await browser.go(await press(browser), `${server.httpUrl}/-/openid`)
    const now = server.core.clock.now.bind(server.core.clock)
    Object.assign(server.core.clock, { now: () => now() + 600_001 })
    expect(await browser.go(back.url)).toMatchObject({ status: 400, text: expect.stringContaining('took too long') })
  })

  const elsewhere = [
    '//evil.test',
    'https://evil.test',
    '/\\evil.test',
    '/\t/evil.test',
    'javascript:alert(1)',
    '/x/..//evil.test',
    'evil.test',
    '/%0d%0aX: y',
    '',
    '/.//evil.test',
  ]
  it('leads nowhere else', async () => {
    real.account = ada
    for (const to of elsewhere) {
      const { url } = await signIn(new Wanderer(), { to })
      expect(new URL(url).origin, to).toBe(server.httpUrl)
      expect(new URL(url).pathname.startsWith('//'), to).toBe(false)
    }
  })

  it('a session that was there before ends, and is not gone on with', async () => {
    real.account = ada
    const browser = new Wanderer()
    await signIn(browser)
    const before = browser.cookie(server.httpUrl, 'signalbox_session')!
    await signIn(browser)
    expect(browser.cookie(server.httpUrl, 'signalbox_session')).not.toBe(before)
    const answer = await fetch(`${server.httpUrl}${own}/session`, {
      headers: { Cookie: `signalbox_session=${before}` },
    })
    expect(answer.status).toBe(401)
  })
})

describe('a provider that lies or is away', () => {
  const now = () => Math.floor(Date.now() / 1000)
  type Lie = [what: string, claims: (of: Record<string, unknown>) => Record<string, unknown>]
  const lies: Record<string, Lie[]> = {
    'meant for others': [
      ['another audience', (of) => ({ ...of, aud: 'somebody-else' })],
      ['two audiences, for another', (of) => ({ ...of, aud: [client.id, 'other'], azp: 'other' })],
      ['another issuer', (of) => ({ ...of, iss: real.issuer })],
      ['another nonce', (of) => ({ ...of, nonce: 'replayed' })],
      ['no nonce', (of) => ({ ...of, nonce: undefined })],
    ],
    'of another time': [
      ['over', (of) => ({ ...of, exp: now() - 61 })],
      ['a clock that is five minutes behind', (of) => ({ ...of, iat: now() - 420, exp: now() - 300 + 120 - 60 })],
      ['not good yet', (of) => ({ ...of, nbf: now() + 300 })],
    ],
    'about nobody': [
      ['no subject', (of) => ({ ...of, sub: undefined })],
      ['an empty subject', (of) => ({ ...of, sub: '' })],
      ['a subject that is too long', (of) => ({ ...of, sub: 's'.repeat(256) })],
      ['a subject that is a list', (of) => ({ ...of, sub: ['1'] })],
    ],
  }
  it.each(Object.entries(lies))('lets nobody in by a token %s', async (_, tokens) => {
    for (const [what, claims] of tokens) {
      hostile.told.claims = claims
      const browser = new Wanderer()
      expect(await signIn(browser, { provider: 'evil' }), what).toMatchObject({
        status: 401,
        text: expect.stringContaining('Start again'),
      })
      expect(await who(browser), what).toBeUndefined()
    }
  })

  it('lets in by what is right, of the same provider', async () => {
    const browser = new Wanderer()
    expect((await signIn(browser, { provider: 'evil' })).url).toBe(`${server.httpUrl}/`)
    // The subject of one provider is nobody at another.
    real.account = { sub: 'mallory' }
    const other = new Wanderer()
    await signIn(other)
    expect((await who(other)).user.id).not.toBe((await who(browser)).user.id)
  })

  it('believes no token that it has not signed', async () => {
    for (const key of [generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, 'none'] as const) {
      hostile.told.key = key
      expect(await signIn(new Wanderer(), { provider: 'evil' })).toMatchObject({ status: 401 })
    }
  })

  it('says so where it is away, answers nonsense, too much or somebody else’s name; and goes on when it is back', async () => {
    const answers: [(res: import('node:http').ServerResponse) => void, number][] = [
      [(res) => res.destroy(), 503],
      [(res) => res.writeHead(500).end('oops'), 503],
      [(res) => res.writeHead(200, { 'Content-Type': 'application/json' }).end('{'), 401],
      [
        (res) =>
          res
            .writeHead(200, { 'Content-Type': 'application/json' })
            .end(JSON.stringify({ access_token: 'x'.repeat(2_000_000), token_type: 'bearer' })),
        503,
      ],
      [(res) => res.writeHead(400, { 'Content-Type': 'application/json' }).end('{"error":"invalid_client"}'), 401],
      [(res) => res.writeHead(302, { Location: `${real.issuer}/token` }).end(), 401],
    ]
    for (const [token, status] of answers) {
      hostile.told.token = token
      expect(await signIn(new Wanderer(), { provider: 'evil' })).toMatchObject({ status })
    }
    await restart({})
    hostile.told.metadata = { issuer: real.issuer }
    const begin = () =>
      fetch(`${server.httpUrl}${own}/session/openid/evil`, { method: 'POST', headers: fromPage(), body: '{}' })
    expect((await begin()).status).toBe(503)
    delete hostile.told.metadata
    delete hostile.told.token
    expect((await begin()).status).toBe(200)
    expect((await signIn(new Wanderer(), { provider: 'evil' })).url).toBe(`${server.httpUrl}/`)
    await restart({})
    await real.close()
    const answer = await fetch(`${server.httpUrl}${own}/session/openid/corp`, {
      method: 'POST',
      headers: fromPage(),
      body: '{}',
    })
    expect([answer.status, ((await answer.json()) as { detail: string }).detail]).toEqual([
      503,
      expect.stringContaining('Corp cannot be reached'),
    ])
  })
})

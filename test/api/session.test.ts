/** Signing in in a browser: sessions, their cookies, passwords and links, and what must not work with any of them. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { makeFirstLink } from '../../src/core/operations/edit-password.js'
import { sessionTimes } from '../../src/core/session.js'
import type { SqliteStore } from '../../src/core/store/sqlite-store.js'
import { Passwords } from '../../src/core/tokens/passwords.js'
import { SignInLimits, signInRates } from '../../src/http/sign-in-limits.js'
import { type Answer, type Sent, type ShimBox, startShimBox } from '../shim/support/box.js'
import { person } from '../shim/support/people.js'
import { ManualClock } from '../support/manual-clock.js'

const own = '/api/signalbox/v1'
const password = 'correct horse battery'
const fromPage = { Origin: 'http://box.test' }

let box: ShimBox
beforeEach(async () => {
  box = await startShimBox('sqlite')
  // As any other, but quick.
  Object.assign(box.core.core.memory, { passwords: new Passwords({ N: 2, r: 8, p: 1 }) })
})
afterEach(() => box[Symbol.asyncDispose]())

function signIn(username: string, given = password, headers: Record<string, string> = {}): Promise<Answer> {
  return box.send('POST', `${own}/session`, { json: { username, password: given }, headers })
}

/** What the browser sends from then on. */
const cookieOf = (answer: Answer) => answer.headers.getSetCookie()[0]!.split(';')[0]!

async function ada(): Promise<{ id: number; cookie: string }> {
  const json = { username: 'ada', name: 'Ada', email: 'ada@example.com', password }
  const { body } = await box.admin('POST', '/users', { json })
  return { id: body.id, cookie: cookieOf(await signIn('ada')) }
}

const ask = (cookie: string, method: string, path: string, sent: Sent = {}) =>
  box.send(method, path, { ...sent, headers: { Cookie: cookie, ...fromPage, ...sent.headers } })

it('signs in with a password, and is then somebody on every route', async () => {
  const { cookie } = await ada()
  const answer = await signIn('ADA')
  expect(answer.status).toBe(201)
  expect(answer.headers.getSetCookie()[0]).toMatch(
    /^signalbox_session=sbsn-[\w-]{27}; Path=\/; Max-Age=604800; HttpOnly; SameSite=Lax$/,
  )
  expect((await ask(cookie, 'GET', `${own}/session`)).body).toMatchObject({
    user: { username: 'ada', is_admin: false },
    session: { current: true, signed_in_by: 'password', address: '127.0.0.1' },
  })
  expect((await ask(cookie, 'GET', '/user')).body.username).toBe('ada')
  const made = await ask(cookie, 'POST', '/groups', { json: { name: 'Team', path: 'team' } })
  expect(made.status).toBe(201)
  expect((await ask(cookie, 'GET', '/users/1/personal_access_tokens')).status).toBe(405)
  expect((await ask(cookie, 'POST', '/users', { json: {} })).status).toBe(403)
  expect((await box.send('GET', `${own}/session`)).status).toBe(401)
})

it('is secure, and takes no cookie that plain HTTP could have planted, behind HTTPS', async () => {
  const { cookie } = await ada()
  Object.assign(box.core.core, { externalUrl: () => 'https://box.test' })
  const answer = await signIn('ada')
  expect(answer.headers.getSetCookie()[0]).toMatch(/^__Host-signalbox_session=.*; HttpOnly; SameSite=Lax; Secure$/)
  expect((await box.send('GET', '/user', { headers: { Cookie: cookieOf(answer) } })).status).toBe(200)
  expect((await box.send('GET', '/user', { headers: { Cookie: cookie } })).status).toBe(401)
})

it('never goes on with a session that was there before: it gets a new token, and the old one is dead', async () => {
  const { cookie } = await ada()
  await person(box, 'eve')
  const planted = 'signalbox_session=sbsn-aaaaaaaaaaaaaaaaaaaaaaaaaaa'
  const fixed = cookieOf(await signIn('ada', password, { Cookie: planted }))
  expect(fixed).not.toBe(planted)
  expect((await box.send('GET', '/user', { headers: { Cookie: planted } })).status).toBe(401)
  const next = cookieOf(await signIn('ada', password, { Cookie: cookie }))
  expect((await box.send('GET', '/user', { headers: { Cookie: cookie } })).status).toBe(401)
  // Two cookies of one name are somebody's trick.
  expect((await box.send('GET', '/user', { headers: { Cookie: `${next}; ${next}` } })).status).toBe(401)
  expect((await box.send('GET', '/user', { headers: { Cookie: `a=b; ${next}` } })).status).toBe(200)
})

const senders: [from: string, headers: Record<string, string>, status: number][] = [
  ['another site', { Origin: 'http://evil.test' }, 403],
  ['a page without an origin', { Origin: 'null' }, 403],
  ['nowhere', {}, 403],
  ['a neighbour', { 'Sec-Fetch-Site': 'same-site', Origin: 'http://box.test' }, 403],
  ['another site, as the browser says', { 'Sec-Fetch-Site': 'cross-site' }, 403],
  ['here', fromPage, 201],
  ['here, as the browser says', { 'Sec-Fetch-Site': 'same-origin' }, 201],
]

it('takes what changes something from its own pages only', async () => {
  const { cookie } = await ada()
  for (const [i, [from, headers, status]] of senders.entries()) {
    const json = { name: 'Team', path: `team-${i}` }
    const { answer, tables } = await box.changes(() =>
      box.send('POST', '/groups', { json, headers: { Cookie: cookie, ...headers } }),
    )
    expect([from, answer.status, tables.includes('groups')]).toEqual([from, status, status === 201])
    // A form of another site must not sign anybody in either.
    const foreign = status === 403 && Object.keys(headers).length > 0
    expect([from, (await signIn('ada', password, headers)).status]).toEqual([from, foreign ? 403 : 201])
    // Reading changes nothing, and what is read stays with the browser.
    expect((await box.send('GET', '/user', { headers: { Cookie: cookie, ...headers } })).status).toBe(200)
  }
})

it('lets nobody be two at once: a token beside the cookie counts', async () => {
  const { cookie } = await ada()
  const bob = await person(box, 'bob')
  const both = { Cookie: cookie, ...bob.headers }
  expect((await box.send('GET', '/user', { headers: both })).body.username).toBe('bob')
  expect((await box.send('GET', '/user', { headers: { ...both, 'PRIVATE-TOKEN': 'wrong' } })).status).toBe(401)
  expect((await box.send('GET', '/user', { headers: { Cookie: cookie, 'JOB-TOKEN': 'wrong' } })).status).toBe(401)
  expect((await box.send('GET', '/user', { headers: { 'PRIVATE-TOKEN': cookie.split('=')[1]! } })).status).toBe(401)
})

it('ends sessions: by signing out, everywhere, from afar, by time, and of who is blocked', async () => {
  const { id, cookie } = await ada()
  const open = async (one: string) => (await ask(one, 'GET', '/user')).status === 200
  const second = cookieOf(await signIn('ada'))
  const sessions = (await ask(second, 'GET', `${own}/sessions`)).body
  expect(sessions).toMatchObject([{ current: true }, { current: false }])
  const out = await ask(second, 'DELETE', `${own}/session`)
  expect([out.status, out.headers.getSetCookie()[0]]).toEqual([204, expect.stringMatching(/=; Path=\/; Max-Age=0;/)])
  expect([await open(second), await open(cookie)]).toEqual([false, true])

  const third = cookieOf(await signIn('ada'))
  expect((await ask(third, 'DELETE', `${own}/sessions/${sessions[1].id}`)).status).toBe(204)
  expect((await ask(third, 'DELETE', `${own}/sessions/${sessions[1].id}`)).status).toBe(404)
  expect([await open(cookie), await open(third)]).toEqual([false, true])
  const bob = await person(box, 'bob')
  const of = (await ask(third, 'GET', `${own}/sessions`)).body[0].id
  expect((await box.send('DELETE', `${own}/sessions/${of}`, { headers: bob.headers })).status).toBe(404)

  const fourth = cookieOf(await signIn('ada'))
  expect((await ask(fourth, 'DELETE', `${own}/sessions`)).status).toBe(204)
  expect([await open(third), await open(fourth)]).toEqual([false, false])

  const unused = cookieOf(await signIn('ada'))
  box.core.clock.advance(sessionTimes.unusedMs - 1)
  expect(await open(unused)).toBe(true)
  box.core.clock.advance(sessionTimes.unusedMs - 1)
  expect(await open(unused)).toBe(true)
  box.core.clock.advance(sessionTimes.unusedMs)
  expect(await open(unused)).toBe(false)

  const blocked = cookieOf(await signIn('ada'))
  await box.admin('POST', `/users/${id}/block`)
  expect(await open(blocked)).toBe(false)
  expect((await signIn('ada')).status).toBe(401)
  await box.admin('POST', `/users/${id}/unblock`)
  expect([await open(blocked), (await signIn('ada')).status]).toEqual([false, 201])
})

it('compares few of many wrong passwords, and says the same of names that are not there', async () => {
  await ada()
  const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => signIn('ada', `wrong password ${i}`)))
  const statuses = answers.map(({ status }) => status)
  expect(statuses.filter((status) => status === 401)).toHaveLength(signInRates.both.burst)
  expect(statuses.filter((status) => status === 429)).toHaveLength(300 - signInRates.both.burst)
  const wrong = answers.find(({ status }) => status === 401)!
  expect((await signIn('ada')).status).toBe(429)
  box.core.clock.advance(30_000)
  expect((await signIn('ada')).status).toBe(201)
  const unknown = await signIn('nobody')
  expect([unknown.status, unknown.body.detail]).toEqual([401, wrong.body.detail])
  const { db } = box.core.core.store.read
  const refused = await db.selectFrom('events').selectAll().where('kind', '=', 'session.refused').execute()
  expect(refused).toHaveLength(signInRates.both.burst + 1)
})

it('lets 10,000 wrong passwords from as many addresses get no further', async () => {
  const limits = new SignInLimits(new ManualClock())
  let tried = 0
  const tries = Array.from({ length: 10_000 }, (_, i) =>
    limits
      .count({ account: i % 2 ? 'ada' : 'Ada', address: `10.0.${i >> 8}.${i & 255}` }, async () => {
        tried++
        throw new Error('wrong')
      })
      .catch(() => undefined),
  )
  await Promise.all(tries)
  expect(tried).toBe(signInRates.account.burst)
})

it('sets a password by a link, once', async () => {
  const bob = await person(box, 'bob')
  const link = await box.admin('POST', `${own}/users/${bob.user.id}/password-link`)
  expect(link.body.url).toMatch(/^http:\/\/box\.test\/-\/password\?token=sbpw-/)
  const token = new URL(link.body.url).searchParams.get('token')
  const set = (json: object) => box.send('POST', `${own}/password`, { json })
  expect((await set({ token, password: 'short' })).status).toBe(400)
  expect((await set({ token, password: 'bob@example.com' })).status).toBe(400)
  expect((await set({ token: 'sbpw-wrong', password })).status).toBe(401)
  const both = await Promise.all([set({ token, password }), set({ token, password: `${password}2` })])
  expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 401])
  expect((await set({ token, password })).status).toBe(401)
  const right = both[0]!.status === 200 ? password : `${password}2`
  const cookie = cookieOf(await signIn('bob', right))

  const change = (json: object) => ask(cookie, 'PUT', `${own}/password`, { json })
  expect((await change({ current_password: 'wrong', password: 'another long one' })).status).toBe(403)
  const elsewhere = cookieOf(await signIn('bob', right))
  expect((await change({ current_password: right, password: 'another long one' })).status).toBe(204)
  expect((await ask(elsewhere, 'GET', '/user')).status).toBe(401)
  expect((await ask(cookie, 'GET', '/user')).status).toBe(200)
  expect((await signIn('bob', right)).status).toBe(401)

  const old = (await box.admin('POST', `${own}/users/${bob.user.id}/password-link`)).body.url
  await box.admin('POST', `${own}/users/${bob.user.id}/password-link`)
  const dead = new URL(old).searchParams.get('token')
  expect((await set({ token: dead, password })).status).toBe(401)
  expect((await box.admin('POST', `${own}/users/999/password-link`)).status).toBe(404)
  expect((await box.send('POST', `${own}/users/1/password-link`, { headers: bob.headers })).status).toBe(403)
})

it('has one link for the first administrator, which ends after a day', async () => {
  const first = await makeFirstLink(box.core.core)
  expect(await makeFirstLink(box.core.core)).toBeUndefined()
  box.core.clock.advance(sessionTimes.linkMs)
  expect((await box.send('POST', `${own}/password`, { json: { token: first!.token, password } })).status).toBe(401)
})

it('hashes with what OWASP asks for, and knows older hashes by their own figures', async () => {
  const kept = await new Passwords().hash(password)
  expect(kept).toMatch(/^scrypt\$32768\$8\$3\$/)
  const cheap = new Passwords({ N: 2, r: 8, p: 1 })
  expect([await cheap.fits(password, kept), await cheap.fits('another', kept)]).toEqual([true, false])
  expect(await cheap.fits('', undefined)).toBe(false)
})

it('keeps no password and no token that could be read', async () => {
  const { cookie } = await ada()
  const { db } = box.core.core.store.read
  const [kept] = await db.selectFrom('passwords').selectAll().execute()
  expect(kept!.hash).toMatch(/^scrypt\$2\$8\$1\$/)
  const rows = await Promise.all(
    (['sessions', 'events', 'passwords'] as const).map((table) => db.selectFrom(table).selectAll().execute()),
  )
  expect(JSON.stringify(rows)).not.toContain(password)
  expect(JSON.stringify(rows)).not.toContain(cookie.split('=')[1]!)
})

it('stays open where nothing can be written', async () => {
  const { cookie } = await ada()
  const { raw } = (box.core.core.store as SqliteStore).connection
  raw.exec("create trigger refused before update on sessions begin select raise(abort, 'refused'); end")
  box.core.clock.advance(sessionTimes.noteEveryMs)
  expect((await ask(cookie, 'GET', '/user')).status).toBe(200)
})

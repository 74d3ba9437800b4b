/** The audit log: what is written into it, by whom, and that nothing can be taken out of it unseen. */
import { afterEach, expect, it } from 'vitest'
import { acceptKeys } from '../../src/core/operations/check-keys.js'
import { createGroup } from '../../src/core/operations/edit-group.js'
import { verifyAudit } from '../../src/core/operations/verify-audit.js'
import { putMeta } from '../../src/core/store/meta.js'
import { keysFrom } from '../../src/core/tokens/keys.js'
import { Passwords } from '../../src/core/tokens/passwords.js'
import { authorize } from '../../src/git/access.js'
import { oneJob, type ShimBox, startShimBox } from '../shim/support/box.js'
import { person } from '../shim/support/people.js'

const own = '/api/signalbox/v1'

let box: ShimBox
afterEach(() => box[Symbol.asyncDispose]())

async function start(engine: 'sqlite' | 'postgres' = 'sqlite'): Promise<void> {
  box = await startShimBox(engine)
  Object.assign(box.core.core.memory, { passwords: new Passwords({ N: 2, r: 8, p: 1 }) })
}

/** The entries, the oldest first, in short. */
async function entries(): Promise<string[]> {
  const { body } = await box.admin('GET', `${own}/audit?limit=1000`)
  return body
    .toReversed()
    .map((one: { kind: string; user: { username: string } | null }) => `${one.user?.username ?? '-'}: ${one.kind}`)
}

it.each(['sqlite', 'postgres'] as const)(
  'writes down who has changed what on %s, in one chain however many write at once',
  async (engine) => {
    await start(engine)
    const project = await box.core.project(oneJob, 'acme/app')
    const ada = await person(box, 'ada')
    const at = `/projects/${project.id}`
    await box.admin('POST', `${at}/members`, { json: { user_id: ada.user.id, access_level: 40 } })
    const as = (method: string, path: string, json: object) => box.send(method, path, { headers: ada.headers, json })
    await as('POST', `${at}/variables`, { key: 'SECRET', value: 'hunter2-secret' })
    await as('POST', `${at}/access_tokens`, { name: 'bot', scopes: ['api'], access_level: 30 })
    await as('POST', `${at}/protected_branches`, { name: 'release-*' })
    const runner = await as('POST', '/user/runners', { runner_type: 'project_type', project_id: project.id })
    await as('PUT', `/runners/${runner.body.id}`, { paused: true })
    await box.admin('PUT', `/users/${ada.user.id}`, { json: { password: 'a long password' } })
    const session = (password: string) =>
      box.send('POST', `${own}/session`, { json: { username: 'ada', password }, headers: { 'User-Agent': 'x' } })
    await session('a wrong password')
    await session('a long password')
    await as('POST', `${at}/variables`, { key: 'not a key', value: 'x' })
    expect((await entries()).slice(-10)).toEqual([
      'root: member.changed',
      'ada: variable.changed',
      'ada: token.created',
      'ada: project.changed',
      'ada: runner.created',
      'ada: runner.changed',
      'root: user.changed',
      'root: password.changed',
      '-: session.refused',
      'ada: session.opened',
    ])
    const before = (await entries()).length
    const many = await Promise.all(
      Array.from({ length: 20 }, (_, i) => as('POST', `${at}/variables`, { key: `KEY_${i}`, value: 'hunter2-secret' })),
    )
    expect(many.every(({ status }) => status === 201)).toBe(true)
    expect(await entries()).toHaveLength(before + 20)
    const verdict = (await box.admin('GET', `${own}/audit/verify`)).body
    expect(verdict).toMatchObject({ valid: true, entries: before + 20, unknown: 0, fault: null })
    const { text, body } = await box.admin('GET', `${own}/audit?kind=variable.changed&limit=2`)
    expect(body).toHaveLength(2)
    expect((await box.admin('GET', `${own}/audit?kind=nonsense`)).status).toBe(400)
    expect(text).not.toContain('hunter2')
    const next = await box.admin('GET', `${own}/audit?before=${body[1].id}&user_id=${ada.user.id}&limit=1`)
    expect(next.body).toMatchObject([{ id: body[1].id - 1, user: { username: 'ada' } }])
  },
)

it('has the tokens that are no access tokens, and projects that a push makes', async () => {
  await start()
  const project = await box.core.project(oneJob, 'acme/app')
  const ada = await person(box, 'ada')
  const at = `/projects/${project.id}`
  await box.admin('POST', `${at}/members`, { json: { user_id: ada.user.id, access_level: 40 } })
  const as = async (method: string, path: string, json?: object) => {
    const answer = await box.send(method, path, { headers: ada.headers, ...(json ? { json } : {}) })
    expect([path, answer.status < 300]).toEqual([path, true])
    return answer.body
  }
  const { id } = await as('POST', `${at}/triggers`, { description: 'x' })
  await as('DELETE', `${at}/triggers/${id}`)
  await as('POST', `${at}/runners/reset_registration_token`)
  await as('POST', `${own}${at}/hook-secret`)
  await as('DELETE', `${own}${at}/hook-secret`)
  await as('PUT', `${own}${at}/default-config`, { config: 'a: { script: x }' })
  const authorization = `Basic ${Buffer.from(`ada:${ada.token}`).toString('base64')}`
  await authorize(box.core.core, { authorization, path: 'ada/pushed', right: 'write', create: true })
  expect((await entries()).slice(-7)).toEqual([
    'ada: token.created',
    'ada: token.revoked',
    'ada: token.created',
    'ada: token.created',
    'ada: token.revoked',
    'ada: project.changed',
    'ada: project.created',
  ])
})

it('shows what was changed, taken out, put in or cut off, and where', async () => {
  await start()
  for (let i = 0; i < 5; i++) await box.admin('POST', '/admin/ci/variables', { json: { key: `KEY_${i}`, value: 'x' } })
  const { core } = box.core
  const { db } = core.store.read
  const rows = await db.selectFrom('audit_entries').selectAll().orderBy('id').execute()
  expect(rows.length).toBeGreaterThanOrEqual(5)
  const last = rows.at(-1)!
  const told = { id: last.id, digest: last.digest }
  const put = (row: (typeof rows)[number]) =>
    core.store.write((tx) => tx.db.insertInto('audit_entries').values(row).execute())
  const set = (id: number, values: Partial<(typeof rows)[number]>) =>
    core.store.write((tx) => tx.db.updateTable('audit_entries').set(values).where('id', '=', id).execute())
  const drop = (id: number) =>
    core.store.write((tx) => tx.db.deleteFrom('audit_entries').where('id', '=', id).execute())
  const fault = async (known = told) => (await verifyAudit(core, known)).fault
  expect(await fault()).toBeNull()

  await set(3, { actor_id: 9 })
  expect(await fault()).toEqual({ id: 3, what: 'is not as it was written' })
  await set(3, { actor_id: rows[2]!.actor_id })

  await drop(2)
  expect(await fault()).toEqual({ id: 2, what: 'is missing' })
  await set(3, { id: 2 })
  expect(await fault()).toMatchObject({ id: 2 })
  await set(2, { id: 3 })
  await put(rows[1]!)

  await drop(last.id)
  expect(await fault()).toMatchObject({ id: last.id })
  const cut = rows.at(-2)!
  const head = (value: string) => core.store.write((tx) => putMeta(tx, 'audit_head', value))
  await head(`${cut.id}:${cut.digest}`)
  expect((await verifyAudit(core)).fault).toBeNull()
  expect(await fault()).toEqual({ id: last.id, what: 'is missing' })
  await put(last)
  await head(`${last.id}:${last.digest}`)
  expect(await fault()).toBeNull()

  // Nor is it passed off as made with a key file of before.
  await set(1, { key_name: 'another', actor_id: 9 })
  expect(await fault()).toEqual({ id: 1, what: 'is not as it was written' })
  await set(1, { key_name: rows[0]!.key_name, actor_id: rows[0]!.actor_id })
  const other = Object.create(core, { keys: { value: keysFrom(Buffer.alloc(32, 9)) } }) as typeof core
  expect((await verifyAudit(other)).fault).toMatchObject({ id: 1 })
  await acceptKeys(core.store, other.keys)
  expect(await verifyAudit(other)).toMatchObject({ valid: true, unknown: rows.length })
  await createGroup(other, { name: 'after', path: 'after', parentId: null, userId: 1 })
  expect(await verifyAudit(other)).toMatchObject({ valid: true, unknown: rows.length, entries: rows.length + 1 })
  await set(rows.length + 1, { key_name: 'another' })
  expect((await verifyAudit(other)).fault).toMatchObject({ id: rows.length + 1 })
  await set(last.id, { digest: '0'.repeat(64) })
  expect((await verifyAudit(other)).fault).toMatchObject({ id: last.id })
})

it('is an administrator’s, and takes no nonsense', async () => {
  await start()
  const ada = await person(box, 'ada')
  expect((await box.send('GET', `${own}/audit`, { headers: ada.headers })).status).toBe(403)
  expect((await box.send('GET', `${own}/audit/verify`, { headers: ada.headers })).status).toBe(403)
  for (const query of ['limit=0', 'limit=1001', 'before=x', 'user_id=-1']) {
    expect((await box.admin('GET', `${own}/audit?${query}`)).status).toBe(400)
  }
  expect((await box.admin('GET', `${own}/audit/verify?head=1:x`)).status).toBe(400)
  const never = `7:${'0'.repeat(64)}`
  expect((await box.admin('GET', `${own}/audit/verify?head=${never}`)).body).toMatchObject({ valid: false })
})

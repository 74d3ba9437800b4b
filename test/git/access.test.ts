import { expect, it } from 'vitest'
import { setAdminToken } from '../../src/core/operations/prepare-node.js'
import { findGroupByPath, findProjectByPath, insertGroup } from '../../src/core/store/projects.js'
import { adminToken, type GitBox, oneJob, startGitBox } from './support/git-box.js'
import { basic, send } from './support/raw.js'

const fetch = 'git-upload-pack'
const push = 'git-receive-pack'

async function statusOf(box: GitBox, path: string, service: string, token: string | null): Promise<number> {
  return (await send(box, { path: `/${path}.git/info/refs?service=${service}`, token })).status
}

async function setVisibility(box: GitBox, path: string, visibility: 'internal' | 'public'): Promise<void> {
  await box.core.store.write((tx) =>
    tx.db.updateTable('projects').set({ visibility }).where('full_path', '=', path).execute(),
  )
}

it('lets in who may, and tells others apart only as far as they may know', async () => {
  await using box = await startGitBox()
  await box.filled()
  const { token: job } = await box.lease()
  for (const visibility of ['internal', 'public'] as const) {
    await box.project(`acme/${visibility}`)
    await setVisibility(box, `acme/${visibility}`, visibility)
  }
  const owner = await box.user('owner', ['api'])
  await box.core.store.write(async (tx) => {
    await insertGroup(tx, { path: 'owner', fullPath: 'owner', parentId: null, kind: 'user', ownerId: owner.user.id })
  })
  await box.project('owner/own')
  const reader = await box.user('reader', ['read_repository'])
  const writer = await box.user('writer', ['write_repository'])
  const other = await box.user('other', ['read_api', 'create_runner'])
  // By project (or none): what a fetch and a push are answered with.
  const table: [who: string, token: string | null, path: string, fetch: number, push: number][] = [
    ['nobody', null, 'acme/app', 401, 401],
    ['nobody', null, 'acme/internal', 401, 401],
    ['nobody', null, 'acme/public', 200, 401],
    ['nobody', null, 'acme/none', 401, 401],
    ['a wrong token', 'glpat-wrong', 'acme/app', 401, 401],
    ['a wrong token', 'glpat-wrong', 'acme/public', 401, 401],
    ['a wrong token', 'glpat-wrong', 'acme/none', 401, 401],
    ['a forged job token', `${job.slice(0, -6)}AAAAAA`, 'acme/app', 401, 401],
    ['the administrator', adminToken, 'acme/app', 200, 200],
    ['the administrator', adminToken, 'owner/own', 200, 200],
    ['the owner', owner.token, 'owner/own', 200, 200],
    ['the owner', owner.token, 'Owner/Own', 200, 200],
    ['the owner', owner.token, 'acme/app', 404, 404],
    ['the owner', owner.token, 'acme/none', 404, 404],
    ['the owner', owner.token, 'acme/public', 200, 403],
    ['a reader', reader.token, 'acme/internal', 200, 403],
    ['a reader', reader.token, 'acme/app', 404, 403],
    ['a reader', reader.token, 'acme/none', 404, 403],
    ['a writer', writer.token, 'acme/internal', 200, 403],
    ['a writer', writer.token, 'owner/own', 404, 404],
    ['a token for other things', other.token, 'acme/public', 403, 403],
    ['a token for other things', other.token, 'acme/none', 403, 403],
    ['a job', job, 'acme/app', 200, 403],
    ['a job', job, 'acme/public', 200, 403],
    ['a job', job, 'acme/internal', 200, 403],
    ['a job', job, 'owner/own', 404, 403],
    ['a job', job, 'acme/none', 404, 403],
  ]
  for (const [who, token, path, toFetch, toPush] of table) {
    const statuses = [await statusOf(box, path, fetch, token), await statusOf(box, path, push, token)]
    expect([who, path, ...statuses]).toEqual([who, path, toFetch, toPush])
  }
  expect(await findProjectByPath(box.core.store.read, 'acme/none')).toBeUndefined()
})

it('asks for a password as git expects it, and answers unknown and forbidden in the same words', async () => {
  await using box = await startGitBox()
  await box.project()
  const path = (name: string) => `/${name}.git/info/refs?service=git-upload-pack`
  const asked = await send(box, { path: path('acme/app'), token: null })
  expect([asked.status, asked.headers['www-authenticate']]).toEqual([401, 'Basic realm="Signalbox"'])
  const { token } = await box.user('reader', ['read_repository'])
  const [unknown, forbidden] = [
    await send(box, { path: path('acme/x'), token }),
    await send(box, { path: path('acme/app'), token }),
  ]
  expect(forbidden).toEqual({ ...unknown, headers: { ...unknown.headers, date: forbidden.headers.date } })
})

it('takes any user name, and only whole Basic credentials', async () => {
  await using box = await startGitBox()
  await box.project()
  const path = '/acme/app.git/info/refs?service=git-upload-pack'
  const table: [authorization: string, status: number][] = [
    [basic(adminToken, 'gitlab-ci-token'), 200],
    [basic(adminToken, ''), 200],
    [basic(adminToken).replace('Basic', 'basic'), 200],
    [basic('', adminToken), 401],
    [`Bearer ${adminToken}`, 401],
    [`Basic ${Buffer.from(adminToken).toString('base64')}`, 401],
    ['Basic', 401],
    ['Basic ????', 401],
    [`Basic ${'A'.repeat(8000)}`, 401],
    [basic(`${adminToken}\0`), 401],
  ]
  for (const [Authorization, status] of table) {
    expect([Authorization, (await send(box, { path, token: null, headers: { Authorization } })).status]).toEqual([
      Authorization,
      status,
    ])
  }
})

it('forgets a token as soon as it is dead, and a blocked user', async () => {
  await using box = await startGitBox()
  await box.project()
  expect(await statusOf(box, 'acme/app', push, adminToken)).toBe(200)
  await setAdminToken(box.core, 'glpat-another-admin-token')
  expect(await statusOf(box, 'acme/app', push, adminToken)).toBe(401)
  const { user, token } = await box.user('someone', ['api'])
  await setVisibility(box, 'acme/app', 'internal')
  expect(await statusOf(box, 'acme/app', fetch, token)).toBe(200)
  await box.core.store.write((tx) =>
    tx.db.updateTable('users').set({ state: 'blocked' }).where('id', '=', user.id).execute(),
  )
  expect(await statusOf(box, 'acme/app', fetch, token)).toBe(401)
})

it('makes projects by a push where the user may, and only there', async () => {
  await using box = await startGitBox()
  const { user, token } = await box.user('ada', ['write_repository'])
  const { token: grace } = await box.user('grace', ['write_repository'])
  await box.core.store.write((tx) =>
    insertGroup(tx, { path: 'grace', fullPath: 'grace', parentId: null, kind: 'group', ownerId: null }),
  )
  const table: [path: string, token: string, status: number][] = [
    ['ada/app', token, 200],
    ['Ada/App', token, 200],
    ['ADA/other', token, 200],
    ['ada/deep/app', token, 400],
    ['acme/app', token, 404],
    ['grace/app', token, 404],
    ['ada/app', grace, 404],
    // A group of her name is there and not hers, as earlier versions made them.
    ['grace/app', grace, 404],
    ['acme/app', adminToken, 200],
    ['acme/deep/er/app', adminToken, 200],
    ['root/app', adminToken, 200],
    // A group cannot become a project.
    ['acme/deep', adminToken, 409],
    ['acme/app/below', adminToken, 409],
  ]
  for (const [path, who, status] of table) expect([path, await statusOf(box, path, push, who)]).toEqual([path, status])
  const rows = await box.core.store.read.db
    .selectFrom('projects')
    .select(['full_path', 'visibility'])
    .orderBy('id')
    .execute()
  expect(rows.map((row) => [row.full_path, row.visibility])).toEqual([
    ['ada/app', 'private'],
    ['ada/other', 'private'],
    ['acme/app', 'private'],
    ['acme/deep/er/app', 'private'],
    ['root/app', 'private'],
  ])
  expect(await findGroupByPath(box.core.store.read, 'ada')).toMatchObject({ kind: 'user', ownerId: user.id })
  // Neither a fetch nor the second request of a push makes one.
  expect(await statusOf(box, 'root/none', fetch, adminToken)).toBe(404)
  const headers = { 'Content-Type': 'application/x-git-receive-pack-request' }
  expect((await send(box, { path: '/root/none.git/git-receive-pack', headers, body: '0000' })).status).toBe(404)
})

it('makes one project of two first pushes at once', async () => {
  await using box = await startGitBox()
  const statuses = await Promise.all(Array.from({ length: 6 }, () => statusOf(box, 'acme/app', push, adminToken)))
  expect(statuses).toEqual([200, 200, 200, 200, 200, 200])
  const work = await box.work()
  await work.commit({ '.gitlab-ci.yml': oneJob })
  await work.git('push', '--quiet', 'origin', 'main')
  expect(await box.pipelines()).toHaveLength(1)
})

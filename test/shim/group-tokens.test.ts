/** Access tokens of groups over GitLab's API: what they may below their group and nowhere else, and what ends them. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { onBothEngines } from '../support/stores.js'
import { oneJob, type ShimBox, startShimBox } from './support/box.js'
import { person } from './support/people.js'

onBothEngines((engine) => {
  let box: ShimBox
  let owner: Awaited<ReturnType<typeof person>>
  let group: { id: number }
  let project: { id: number }
  const top = `tokens-${engine}`
  beforeAll(async () => {
    box = await startShimBox(engine)
    owner = await person(box, `owner-${engine}`)
    group = (await as(owner.token, 'POST', '/groups', { name: top, path: top })).body
    const sub = (await as(owner.token, 'POST', '/groups', { name: 'sub', path: 'sub', parent_id: group.id })).body
    project = (await as(owner.token, 'POST', '/projects', { name: 'app', namespace_id: sub.id })).body
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const as = (token: string, method: string, path: string, json?: object) =>
    box.send(method, path, { headers: { 'PRIVATE-TOKEN': token }, ...(json ? { json } : {}) })
  const at = () => `/groups/${group.id}/access_tokens`
  const make = async (access_level: number, more: object = {}) =>
    (await as(owner.token, 'POST', at(), { name: `of ${access_level}`, scopes: ['api'], access_level, ...more })).body
  const statuses = (token: string, asked: [string, string, object?][]) =>
    Promise.all(asked.map(async ([method, path, json]) => (await as(token, method, path, json)).status))

  it('is a member of its group with its level, in all that is below it', async () => {
    const made = await as(owner.token, 'POST', at(), { name: 'ci', scopes: ['api'], access_level: 30 })
    expect([made.status, made.body]).toMatchObject([
      201,
      { name: 'ci', access_level: 30, resource_type: 'group', resource_id: group.id, active: true, scopes: ['api'] },
    ])
    const { token, ...shown } = made.body
    expect((await as(owner.token, 'GET', at())).body).toContainEqual(shown)
    expect((await as(owner.token, 'GET', `${at()}/${shown.id}`)).body).toEqual(shown)
    expect((await as(token, 'GET', '/personal_access_tokens')).body).toEqual([shown])
    const members = (await as(owner.token, 'GET', `/groups/${group.id}/members`)).body as { id: number }[]
    expect(members.find(({ id }) => id === shown.user_id)).toMatchObject({ access_level: 30 })
    expect(
      await statuses(token, [
        ['GET', `/projects/${project.id}`],
        ['GET', `/projects/${project.id}/pipelines`],
        ['PUT', `/projects/${project.id}`, { description: 'x' }],
        ['GET', `/projects/${project.id}/variables`],
        ['PUT', `/groups/${group.id}`, { name: 'x' }],
        ['GET', at()],
        ['POST', at(), { name: 'more', scopes: ['api'], access_level: 10 }],
      ]),
    ).toEqual([200, 200, 403, 403, 403, 403, 403])
  })

  it('is nobody elsewhere: sees nothing internal, owns nothing, and makes no tokens', async () => {
    const { token, user_id: userId } = await make(50)
    const internal = await box.core.project(oneJob, `elsewhere-${engine}/app`)
    await box.admin('PUT', `/projects/${internal.id}`, { json: { visibility: 'internal' } })
    expect(
      await statuses(token, [
        ['GET', `/projects/${internal.id}`],
        ['POST', '/groups', { name: 'mine', path: `mine-${engine}` }],
        ['POST', '/projects', { name: 'mine' }],
        ['POST', '/user/personal_access_tokens', { name: 'x', scopes: ['api'] }],
        ['POST', at(), { name: 'x', scopes: ['api'], access_level: 10 }],
        ['POST', `/projects/${project.id}/access_tokens`, { name: 'x', scopes: ['api'], access_level: 10 }],
      ]),
    ).toEqual([404, 403, 403, 403, 403, 403])
    const seen = (await as(token, 'GET', '/projects')).body as { id: number }[]
    expect(seen.map(({ id }) => id)).toEqual([project.id])
    const people = (await box.admin('GET', '/users?per_page=100')).body as { id: number }[]
    expect(people.map(({ id }) => id)).not.toContain(userId)
    const alone = await as(owner.token, 'DELETE', `/groups/${group.id}/members/${owner.user.id}`)
    expect([alone.status, alone.text]).toEqual([403, expect.stringContaining('last owner')])
    const other = (await as(owner.token, 'POST', '/groups', { name: 'o', path: `other-${engine}` })).body
    expect(
      (await as(owner.token, 'POST', `/groups/${other.id}/members`, { user_id: userId, access_level: 30 })).status,
    ).toBe(404)
    expect(
      (await box.admin('POST', `/users/${userId}/personal_access_tokens`, { json: { name: 'x', scopes: ['api'] } }))
        .status,
    ).toBe(404)
  })

  it('is made, rotated and revoked by owners, with no level above theirs and no longer life', async () => {
    const maintainer = await person(box, `maintainer-${engine}`)
    await as(owner.token, 'POST', `/groups/${group.id}/members`, { user_id: maintainer.user.id, access_level: 40 })
    expect((await as(maintainer.token, 'POST', at(), { name: 'x', scopes: ['api'], access_level: 10 })).status).toBe(
      403,
    )
    for (const [json, status] of [
      [{ name: 'x', scopes: ['api'], access_level: 35 }, 400],
      [{ name: 'x', scopes: ['nothing'], access_level: 30 }, 400],
      [{ name: '', scopes: ['api'] }, 400],
      [{ name: 'x' }, 400],
      [{ name: 'x', scopes: ['api'], expires_at: '2020-01-01' }, 400],
    ] as const) {
      const { answer, tables } = await box.changes(() => as(owner.token, 'POST', at(), json))
      expect([answer.status, tables]).toEqual([status, []])
    }
    const one = await make(20)
    const rotated = await as(owner.token, 'POST', `${at()}/${one.id}/rotate`)
    expect([rotated.status, rotated.body.access_level]).toEqual([200, 20])
    expect(await statuses(one.token, [['GET', `/projects/${project.id}`]])).toEqual([401])
    expect(await statuses(rotated.body.token, [['GET', `/projects/${project.id}`]])).toEqual([200])
    // Who has shown it may replace it by itself.
    const self = await as(rotated.body.token, 'POST', '/personal_access_tokens/self/rotate')
    expect(self.status).toBe(200)
    expect((await as(owner.token, 'DELETE', `${at()}/${self.body.id}`)).status).toBe(204)
    expect(await statuses(self.body.token, [['GET', `/projects/${project.id}`]])).toEqual([401])
    const members = (await as(owner.token, 'GET', `/groups/${group.id}/members`)).body as { id: number }[]
    expect(members.map(({ id }) => id)).not.toContain(one.user_id)
    // Another group's, a project's and a person's are none of this group's.
    const other = (await as(owner.token, 'POST', '/groups', { name: 'p', path: `another-${engine}` })).body
    expect((await as(owner.token, 'DELETE', `/groups/${other.id}/access_tokens/${(await make(10)).id}`)).status).toBe(
      404,
    )
    const personal = (await as(owner.token, 'GET', '/personal_access_tokens/self')).body
    expect((await as(owner.token, 'GET', `${at()}/${personal.id}`)).status).toBe(404)
  })

  it('ends with its group', async () => {
    const gone = (await as(owner.token, 'POST', '/groups', { name: 'g', path: `gone-${engine}` })).body
    const json = { name: 'x', scopes: ['api'], access_level: 30 }
    const { token } = (await as(owner.token, 'POST', `/groups/${gone.id}/access_tokens`, json)).body
    expect(await statuses(token, [['GET', `/groups/${gone.id}`]])).toEqual([200])
    expect((await as(owner.token, 'DELETE', `/groups/${gone.id}`)).status).toBe(202)
    expect(await statuses(token, [['GET', '/user']])).toEqual([401])
    const { db } = box.core.core.store.read
    await eventually(async () => {
      const rows = await db.selectFrom('groups').select('id').where('id', '=', gone.id).execute()
      expect(rows).toEqual([])
    })
    expect(await statuses(token, [['GET', '/user']])).toEqual([401])
  })
})

/** Members of groups and projects: who is one, what each level may, and who decides about it. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { onBothEngines } from '../support/stores.js'
import { type ShimBox, startShimBox } from './support/box.js'
import { person } from './support/people.js'

type Person = Awaited<ReturnType<typeof person>>

const day = 24 * 3_600_000

onBothEngines((engine) => {
  let box: ShimBox
  let [owner, ada, grace, outsider] = [] as unknown as [Person, Person, Person, Person]
  /** `top`, its subgroup `top/sub`, and a project in each. */
  const ids = { top: 0, sub: 0, above: 0, below: 0 }

  beforeAll(async () => {
    box = await startShimBox(engine)
    owner = await person(box, 'owner')
    ada = await person(box, 'ada')
    grace = await person(box, 'grace')
    outsider = await person(box, 'outsider')
    ids.top = (await as(owner, 'POST', '/groups', { name: 'Top', path: 'top' })).body.id
    ids.sub = (await as(owner, 'POST', '/groups', { name: 'Sub', path: 'sub', parent_id: ids.top })).body.id
    ids.above = (await as(owner, 'POST', '/projects', { name: 'above', namespace_id: ids.top })).body.id
    ids.below = (await as(owner, 'POST', '/projects', { name: 'below', namespace_id: ids.sub })).body.id
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const as = (who: Person, method: string, path: string, json?: object) =>
    box.send(method, path, { headers: who.headers, ...(json ? { json } : {}) })
  const status = async (who: Person, method: string, path: string, json?: object) =>
    (await as(who, method, path, json)).status
  const names = async (path: string) =>
    ((await as(owner, 'GET', path)).body as { username: string; access_level: number }[]).map(
      (one) => `${one.username} ${one.access_level}`,
    )
  const paths = async (who: Person, path: string) =>
    ((await as(who, 'GET', path)).body as { path_with_namespace?: string; full_path?: string }[])
      .map((one) => one.path_with_namespace ?? one.full_path ?? '')
      .toSorted()

  it('makes whoever makes a group its owner, and tells it as GitLab does', async () => {
    const [member] = (await as(owner, 'GET', `/groups/${ids.top}/members`)).body
    expect(member).toMatchObject({
      username: 'owner',
      access_level: 50,
      expires_at: null,
      membership_state: 'active',
      created_by: { username: 'owner' },
    })
    expect(await names(`/groups/${ids.sub}/members`)).toEqual(['owner 50'])
    expect(await names(`/projects/${ids.below}/members`)).toEqual([])
    expect(await names(`/projects/${ids.below}/members/all`)).toEqual(['owner 50'])
    expect(await status(outsider, 'GET', `/groups/${ids.top}/members`)).toBe(404)
    expect(await status(outsider, 'GET', `/projects/${ids.below}/members`)).toBe(404)
  })

  it('lets a member do in all below what its level allows, and no more', async () => {
    const added = await as(owner, 'POST', `/groups/${ids.top}/members`, { user_id: ada.user.id, access_level: 30 })
    expect([added.status, added.body.access_level]).toEqual([201, 30])
    expect(await status(ada, 'GET', `/projects/${ids.below}`)).toBe(200)
    expect(await status(ada, 'GET', `/projects/${ids.below}/pipelines`)).toBe(200)
    expect(await status(ada, 'POST', `/projects/${ids.below}/variables`, { key: 'A', value: 'b' })).toBe(403)
    expect(await status(ada, 'PUT', `/groups/${ids.top}`, { name: 'Mine' })).toBe(403)
    expect(await status(ada, 'POST', `/groups/${ids.top}/variables`, { key: 'A', value: 'b' })).toBe(403)
    expect(await status(ada, 'GET', `/groups/${ids.top}/runners`)).toBe(403)
    expect(await status(ada, 'POST', '/projects', { name: 'hers', namespace_id: ids.sub })).toBe(201)
    expect(await status(ada, 'POST', '/groups', { name: 'g', path: 'g', parent_id: ids.sub })).toBe(403)
    expect(await status(ada, 'POST', '/user/runners', { runner_type: 'group_type', group_id: ids.top })).toBe(403)
    expect(await status(owner, 'POST', '/user/runners', { runner_type: 'group_type', group_id: ids.top })).toBe(201)
    expect(await paths(ada, '/projects?membership=true')).toEqual(['top/above', 'top/sub/below', 'top/sub/hers'])
    expect(await paths(ada, '/projects?min_access_level=40')).toEqual([])
    expect(await paths(ada, '/groups')).toEqual(['top', 'top/sub'])
    expect(await paths(outsider, '/groups')).toEqual([])

    // The higher level wins, wherever it is from.
    const raised = { user_id: ada.user.id, access_level: 40 }
    expect(await status(owner, 'POST', `/projects/${ids.below}/members`, raised)).toBe(201)
    expect(await status(ada, 'POST', `/projects/${ids.below}/variables`, { key: 'A', value: 'b' })).toBe(201)
    expect(await status(ada, 'POST', `/projects/${ids.above}/variables`, { key: 'A', value: 'b' })).toBe(403)
    expect(await names(`/projects/${ids.below}/members/all`)).toEqual(['owner 50', 'ada 40'])
  })

  it('lets nobody give or take a level above the own one', async () => {
    const at = `/projects/${ids.below}/members`
    const give = (who: Person, user_id: number, access_level: number) =>
      status(who, 'POST', at, { user_id, access_level })
    expect(await give(ada, grace.user.id, 50)).toBe(403)
    expect(await give(ada, ada.user.id, 50)).toBe(403)
    expect(await status(ada, 'PUT', `${at}/${ada.user.id}`, { access_level: 50 })).toBe(403)
    expect(await give(ada, grace.user.id, 40)).toBe(201)
    expect(await give(ada, grace.user.id, 40)).toBe(409)
    expect(await status(owner, 'PUT', `${at}/${grace.user.id}`, { access_level: 50 })).toBe(200)
    expect(await status(ada, 'PUT', `${at}/${grace.user.id}`, { access_level: 10 })).toBe(403)
    expect(await status(ada, 'DELETE', `${at}/${grace.user.id}`)).toBe(403)
    expect(await status(grace, 'DELETE', `${at}/${grace.user.id}`)).toBe(204)
    expect(await status(grace, 'GET', `/projects/${ids.below}`)).toBe(404)
    // A project token of a higher level would be the same by another door.
    const token = { name: 't', scopes: ['api'], access_level: 50 }
    expect(await status(ada, 'POST', `/projects/${ids.below}/access_tokens`, token)).toBe(403)
  })

  it('lets members of a level below those who decide take nobody out but themselves', async () => {
    for (const [place, level] of [
      [`/projects/${ids.above}`, 30],
      [`/groups/${ids.top}`, 40],
    ] as const) {
      const [one, other] = [await person(box, `one-${level}`), await person(box, `other-${level}`)]
      for (const { user } of [one, other]) {
        const json = { user_id: user.id, access_level: level }
        expect(await status(owner, 'POST', `${place}/members`, json)).toBe(201)
      }
      expect(await status(one, 'DELETE', `${place}/members/${other.user.id}`)).toBe(403)
      expect(await names(`${place}/members`)).toContain(`other-${level} ${level}`)
      expect(await status(one, 'DELETE', `${place}/members/${one.user.id}`)).toBe(204)
      expect(await status(owner, 'DELETE', `${place}/members/${other.user.id}`)).toBe(204)
    }
  })

  it('lets an owner who is blocked be taken out, and keeps the other', async () => {
    const gone = await person(box, 'gone')
    const { id } = (await as(gone, 'POST', '/groups', { name: 'Left', path: 'left' })).body
    const json = { user_id: grace.user.id, access_level: 50 }
    expect(await status(gone, 'POST', `/groups/${id}/members`, json)).toBe(201)
    expect((await box.admin('POST', `/users/${gone.user.id}/block`)).status).toBe(201)
    expect(await status(grace, 'DELETE', `/groups/${id}/members/${grace.user.id}`)).toBe(403)
    expect(await status(grace, 'DELETE', `/groups/${id}/members/${gone.user.id}`)).toBe(204)
  })

  it('keeps one of two owners who go at once', async () => {
    const [one, other] = [await person(box, 'first-owner'), await person(box, 'second-owner')]
    for (let i = 0; i < 4; i++) {
      const { id } = (await as(one, 'POST', '/groups', { name: `Two ${i}`, path: `two-${i}` })).body
      const json = { user_id: other.user.id, access_level: 50 }
      expect(await status(one, 'POST', `/groups/${id}/members`, json)).toBe(201)
      const answers = await Promise.all(
        [one, other].map((who) => status(who, 'DELETE', `/groups/${id}/members/${who.user.id}`)),
      )
      expect(answers.toSorted((a, b) => a - b)).toEqual([204, 403])
    }
  })

  it('does not tell who makes a project whether there is a group that it does not see', async () => {
    const refusal = async (path: string) =>
      (await as(outsider, 'POST', '/api/signalbox/v1/projects', { path })).body.detail
    for (const path of ['top/a/b', 'top/sub/b', 'top/b', 'nowhere/a/b', 'nowhere/b']) {
      expect([path, await refusal(path)]).toEqual([path, 'this namespace is not yours'])
    }
  })

  it('refuses what cannot be', async () => {
    const at = `/groups/${ids.top}/members`
    const rows = await box.rows()
    const refused = async (json: object) => {
      const { status, body } = await as(owner, 'POST', at, json)
      return [status, body]
    }
    const user_id = grace.user.id
    expect(await refused({ user_id, access_level: 31 })).toEqual([
      400,
      { message: { access_level: ['is not included in the list'] } },
    ])
    expect(await refused({ access_level: 30 })).toMatchObject([400, {}])
    expect(await refused({ user_id })).toEqual([400, { error: 'access_level is missing' }])
    expect(await refused({ user_id: 999_999, access_level: 30 })).toEqual([404, { message: '404 User Not Found' }])
    expect((await refused({ user_id, access_level: 30, expires_at: '2001-02-29' }))[0]).toBe(400)
    expect((await refused({ user_id, access_level: 30, expires_at: '2001-02-28' }))[0]).toBe(400)
    expect(await status(owner, 'DELETE', `${at}/${owner.user.id}`)).toBe(403)
    expect(await status(owner, 'PUT', `${at}/${owner.user.id}`, { access_level: 40 })).toBe(403)
    expect(await status(owner, 'PUT', `${at}/${grace.user.id}`, { access_level: 40 })).toBe(404)
    expect(await status(outsider, 'POST', at, { user_id: outsider.user.id, access_level: 50 })).toBe(404)
    const lower = { user_id: ada.user.id, access_level: 10 }
    expect(await status(owner, 'POST', `/projects/${ids.above}/members`, lower)).toBe(400)
    expect(await box.rows()).toBe(rows)
  })

  it('ends a membership when its day has come, in lists too', async () => {
    const until = box.core.clock.now() + 2 * day
    const expires_at = new Date(until).toISOString().slice(0, 10)
    const json = { username: 'grace', access_level: 20, expires_at }
    const added = await as(owner, 'POST', `/groups/${ids.sub}/members`, json)
    expect(added.body).toMatchObject({ expires_at })
    expect(await status(grace, 'GET', `/projects/${ids.below}`)).toBe(200)
    // Whoever may change members does not put off its own end.
    const own = `/projects/${ids.below}/members`
    expect(await status(owner, 'POST', own, { ...json, access_level: 40 })).toBe(201)
    const mine = (more: object) => status(grace, 'PUT', `${own}/${grace.user.id}`, { access_level: 40, ...more })
    expect(await mine({ expires_at: '' })).toBe(403)
    expect(await mine({ expires_at: '2100-01-01' })).toBe(403)
    expect(await mine({ expires_at, access_level: 30 })).toBe(200)
    expect(await status(owner, 'DELETE', `${own}/${grace.user.id}`)).toBe(204)
    box.core.clock.advance(2 * day)
    expect(await status(grace, 'GET', `/projects/${ids.below}`)).toBe(404)
    expect(await paths(grace, '/projects')).toEqual([])
    expect(await names(`/groups/${ids.sub}/members`)).not.toContain('grace 20')
    expect(await status(owner, 'POST', `/groups/${ids.sub}/members`, { username: 'grace', access_level: 10 })).toBe(201)
    expect(await status(owner, 'DELETE', `/groups/${ids.sub}/members/${grace.user.id}`)).toBe(204)
  })

  it('lets in the members of a group that a place is shared with, up to a level, and nobody behind them', async () => {
    const guests = (await as(grace, 'POST', '/groups', { name: 'Guests', path: 'guests', visibility: 'internal' })).body
    const behind = (await as(outsider, 'POST', '/groups', { name: 'Behind', path: 'behind', visibility: 'internal' }))
      .body
    expect(await status(grace, 'POST', `/groups/${guests.id}/share`, { group_id: behind.id, group_access: 50 })).toBe(
      201,
    )
    const share = (who: Person, json: object) => as(who, 'POST', `/groups/${ids.sub}/share`, json)
    expect((await share(ada, { group_id: guests.id, group_access: 30 })).status).toBe(403)
    expect((await share(owner, { group_id: guests.id, group_access: 30 })).status).toBe(201)
    expect((await as(owner, 'GET', `/groups/${ids.sub}`)).body.shared_with_groups).toEqual([
      {
        group_id: guests.id,
        group_name: 'Guests',
        group_full_path: 'guests',
        group_access_level: 30,
        expires_at: null,
      },
    ])
    // An owner there, a developer here.
    expect(await status(grace, 'GET', `/projects/${ids.below}/pipelines`)).toBe(200)
    expect(await status(grace, 'POST', `/projects/${ids.below}/variables`, { key: 'G', value: 'v' })).toBe(403)
    expect(await names(`/projects/${ids.below}/members/all`)).toContain('grace 30')
    expect(await paths(grace, '/projects?membership=true')).toContain('top/sub/below')
    expect(await status(grace, 'GET', `/projects/${ids.above}`)).toBe(404)
    expect(await status(outsider, 'GET', `/projects/${ids.below}`)).toBe(404)
    expect((await share(owner, { group_id: ids.top, group_access: 30 })).status).toBe(400)
    expect((await share(owner, { group_id: guests.id, group_access: 31 })).status).toBe(400)
    expect((await share(owner, { group_id: 999_999, group_access: 30 })).status).toBe(404)

    expect(await status(owner, 'DELETE', `/groups/${ids.sub}/share/${guests.id}`)).toBe(204)
    expect(await status(owner, 'DELETE', `/groups/${ids.sub}/share/${guests.id}`)).toBe(404)
    expect(await status(grace, 'GET', `/projects/${ids.below}`)).toBe(404)
    const json = { group_id: guests.id, group_access: 10 }
    expect(await status(owner, 'POST', `/projects/${ids.above}/share`, json)).toBe(201)
    expect(await status(grace, 'GET', `/projects/${ids.above}`)).toBe(200)
    // With the group its members are out.
    expect(await status(grace, 'DELETE', `/groups/${guests.id}`)).toBe(202)
    expect(await status(grace, 'GET', `/projects/${ids.above}`)).toBe(404)
  })

  it('leaves shares of a level above the own one, and does not tell of private groups', async () => {
    const json = { name: 'Hush', path: 'hush', visibility: 'private' }
    const hush = (await as(owner, 'POST', '/groups', json)).body.id
    const at = `/projects/${ids.below}`
    const share = (who: Person, group_access: number) =>
      status(who, 'POST', `${at}/share`, { group_id: hush, group_access })
    const told = async (who: Person, path = at) => (await as(who, 'GET', path)).body.shared_with_groups.length
    expect(await share(owner, 50)).toBe(201)
    // Ada maintains the project.
    expect(await status(owner, 'POST', `/groups/${hush}/members`, { user_id: ada.user.id, access_level: 10 })).toBe(201)
    expect(await share(ada, 10)).toBe(403)
    expect(await status(ada, 'DELETE', `${at}/share/${hush}`)).toBe(403)
    expect(await told(ada)).toBe(1)
    expect(await status(owner, 'POST', `/groups/${ids.sub}/share`, { group_id: hush, group_access: 10 })).toBe(201)
    for (const path of [at, `/groups/${ids.sub}`]) {
      expect(await status(owner, 'PUT', path, { visibility: 'public' })).toBe(200)
      expect([await told(outsider, path), await told(owner, path)]).toEqual([0, 1])
      expect(await status(owner, 'PUT', path, { visibility: 'private' })).toBe(200)
    }
    expect(await share(owner, 40)).toBe(201)
    expect(await share(ada, 30)).toBe(201)
    expect(await status(ada, 'DELETE', `${at}/share/${hush}`)).toBe(204)
    expect(await status(owner, 'DELETE', `/groups/${hush}`)).toBe(202)
  })

  it('takes a member out of everything below a group with it', async () => {
    expect(await status(owner, 'DELETE', `/groups/${ids.top}/members/${ada.user.id}`)).toBe(204)
    expect(await status(ada, 'GET', `/projects/${ids.below}`)).toBe(404)
    expect(await paths(ada, '/projects')).toEqual([])
    expect(await names(`/projects/${ids.below}/members/all`)).toEqual(['owner 50'])
  })
})

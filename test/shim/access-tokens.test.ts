/** Access tokens over GitLab's API: made, listed, rotated, revoked; of people and of projects. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { adminToken } from '../support/core.js'
import { onBothEngines } from '../support/stores.js'
import { oneJob, type ShimBox, startShimBox } from './support/box.js'
import { adminTokenWith, person } from './support/people.js'

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const as = (token: string, method: string, path: string, json?: object) =>
    box.send(method, path, { headers: { 'PRIVATE-TOKEN': token }, ...(json ? { json } : {}) })
  const works = async (token: string) => (await as(token, 'GET', '/personal_access_tokens/self')).status === 200
  const day = (days: number) => new Date(box.core.clock.now() + days * 86_400_000).toISOString().slice(0, 10)

  it('makes a user and a token for it, which does what its scopes say until it is revoked', async () => {
    const username = `ada-${engine}`
    const made = await box.admin('POST', '/users', {
      form: { username, name: 'Ada', email: 'ada@example.com', password: 'unused-password' },
    })
    expect([made.status, made.body]).toEqual([
      201,
      expect.objectContaining({ username, is_admin: false, state: 'active' }),
    ])
    const token = await box.admin('POST', `/users/${made.body.id}/personal_access_tokens`, {
      json: { name: 'ci', description: 'for scripts', scopes: ['write_repository', 'read_api'], expires_at: day(10) },
    })
    expect([token.status, token.body]).toEqual([
      201,
      {
        id: expect.any(Number),
        name: 'ci',
        description: 'for scripts',
        revoked: false,
        active: true,
        created_at: expect.any(String),
        scopes: ['read_api', 'write_repository'],
        user_id: made.body.id,
        last_used_at: null,
        expires_at: day(10),
        token: expect.stringMatching(/^glpat-[\w-]{27}$/),
      },
    ])
    const { token: text, ...shown } = token.body
    expect((await as(text, 'GET', '/user')).body).toMatchObject({ username })
    expect((await as(text, 'GET', '/personal_access_tokens/self')).body).toEqual(shown)
    expect((await as(text, 'GET', '/personal_access_tokens')).body).toEqual([shown])
    const refused = await as(text, 'POST', '/projects', { name: 'x' })
    expect([refused.status, refused.body.error]).toEqual([403, 'insufficient_scope'])
    expect((await box.admin('DELETE', `/personal_access_tokens/${shown.id}`)).status).toBe(204)
    expect((await as(text, 'GET', '/user')).status).toBe(401)
    const after = await box.admin('GET', `/personal_access_tokens?user_id=${made.body.id}`)
    expect(after.body).toEqual([{ ...shown, revoked: true, active: false }])
    const rows = await box.core.core.store.read.db.selectFrom('access_tokens').selectAll().execute()
    expect(JSON.stringify(rows)).not.toContain(text)
    const events = await box.core.core.store.read.db.selectFrom('events').selectAll().execute()
    const kinds = events.map((event) => event.kind)
    expect(kinds).toEqual(expect.arrayContaining(['user.changed', 'token.created', 'token.revoked']))
    expect(JSON.stringify(events)).not.toContain(text)
  })

  it('is dead from the beginning of the day on that it expires', async () => {
    const eve = await person(box, `eve-expiry-${engine}`)
    const { body } = await as(eve.token, 'POST', '/user/personal_access_tokens', {
      name: 'short',
      scopes: ['read_user'],
      expires_at: day(1),
    })
    expect(await works(body.token)).toBe(true)
    box.core.clock.advance(86_400_000)
    expect(await works(body.token)).toBe(false)
    const list = async (query: string) =>
      (await as(eve.token, 'GET', `/personal_access_tokens?${query}`)).body.map((one: { name: string }) => one.name)
    expect([await list('state=inactive'), await list('state=active'), await list('revoked=true')]).toEqual([
      ['short'],
      ['t'],
      [],
    ])
  })

  it('rotates: the old one dies, the new one has a week or what was asked for', async () => {
    const eve = await person(box, `eve-rotate-${engine}`)
    const make = async (expires_at?: string) =>
      (await as(eve.token, 'POST', '/user/personal_access_tokens', { name: 'r', scopes: ['self_rotate'], expires_at }))
        .body
    const old = await make(day(2))
    const next = await as(old.token, 'POST', '/personal_access_tokens/self/rotate')
    expect([next.status, next.body.expires_at, next.body.scopes]).toEqual([200, day(7), ['self_rotate']])
    expect([await works(old.token), await works(next.body.token)]).toEqual([false, true])
    const lasting = await make()
    const again = await as(eve.token, 'POST', `/personal_access_tokens/${lasting.id}/rotate`)
    expect([again.status, again.body.expires_at]).toEqual([200, null])
    const dated = await as(eve.token, 'POST', `/personal_access_tokens/${again.body.id}/rotate`, { expires_at: day(3) })
    expect(dated.body.expires_at).toBe(day(3))
    const gone = await as(eve.token, 'POST', `/personal_access_tokens/${again.body.id}/rotate`)
    expect([gone.status, gone.body.message]).toEqual([400, { token: ['is already revoked or expired'] }])
    expect((await as(dated.body.token, 'DELETE', '/personal_access_tokens/self')).status).toBe(204)
    expect(await works(dated.body.token)).toBe(false)
  })

  it('belongs to a project: a user of its own, who may do there what its level says, and nothing elsewhere', async () => {
    const project = await box.core.project(oneJob, `tokens/home-${engine}`)
    const other = await box.core.project(oneJob, `tokens/away-${engine}`)
    const url = `/projects/${project.id}/access_tokens`
    const make = (access_level?: number) =>
      box.admin('POST', url, { json: { name: 'bot', scopes: ['api'], access_level } })
    const maintainer = await make()
    expect([maintainer.status, maintainer.body]).toEqual([
      201,
      expect.objectContaining({ access_level: 40, resource_type: 'project', resource_id: project.id, active: true }),
    ])
    const developer = (await make(30)).body
    const guest = (await make(10)).body
    const deeds = async (token: string) => [
      (await as(token, 'GET', `/projects/${project.id}`)).status,
      (await as(token, 'POST', `/projects/${project.id}/pipeline`, { ref: 'main' })).status,
      (await as(token, 'POST', `/projects/${project.id}/pipeline`, { ref: 'topic' })).status,
      (await as(token, 'GET', `/projects/${project.id}/variables`)).status,
      (await as(token, 'GET', `/projects/${other.id}`)).status,
    ]
    expect(await deeds(maintainer.body.token)).toEqual([200, 201, 201, 200, 404])
    expect(await deeds(developer.token)).toEqual([200, 400, 201, 403, 404])
    expect(await deeds(guest.token)).toEqual([200, 403, 403, 403, 404])
    await box.admin('PUT', `/projects/${other.id}`, { json: { visibility: 'internal' } })
    expect((await as(guest.token, 'GET', `/projects/${other.id}`)).status).toBe(404)
    const seen = await as(guest.token, 'GET', '/projects')
    expect(seen.body.map((one: { id: number }) => one.id)).toEqual([project.id])
    expect((await as(maintainer.body.token, 'GET', '/user')).body.username).toMatch(
      new RegExp(`^project_${project.id}_bot_[0-9a-f]{16}$`),
    )
    expect((await as(maintainer.body.token, 'POST', '/projects', { name: 'mine' })).status).toBe(403)
    // What its holder could make of it would live on when it is rotated or revoked.
    expect((await as(maintainer.body.token, 'POST', url, { name: 'x', scopes: ['api'] })).status).toBe(403)
    expect(
      (await as(maintainer.body.token, 'POST', '/user/personal_access_tokens', { name: 'x', scopes: ['api'] })).status,
    ).toBe(403)
    const owner = (await make(50)).body
    expect((await as(maintainer.body.token, 'POST', `${url}/${owner.id}/rotate`)).status).toBe(403)
    expect((await as(maintainer.body.token, 'DELETE', `${url}/${owner.id}`)).status).toBe(403)
    expect(await works(owner.token)).toBe(true)
    expect((await box.admin('DELETE', `${url}/${owner.id}`)).status).toBe(204)
    const listed = await box.admin('GET', url)
    expect(listed.body.map((one: { access_level: number }) => one.access_level)).toEqual([40, 30, 10, 50])
    expect((await box.admin('GET', `/projects/${other.id}/access_tokens/${guest.id}`)).status).toBe(404)
    expect((await box.admin('GET', `${url}/${guest.id}`)).body.id).toBe(guest.id)
    const rotated = await box.admin('POST', `${url}/${guest.id}/rotate`)
    expect([rotated.status, await works(guest.token), await works(rotated.body.token)]).toEqual([200, false, true])
    expect((await box.admin('DELETE', `${url}/${rotated.body.id}`)).status).toBe(204)
    expect(await works(rotated.body.token)).toBe(false)
    expect(
      (await box.admin('GET', '/users')).body.every((one: { username: string }) => !/_bot_/.test(one.username)),
    ).toBe(true)
  })

  it('acts for nobody else, and does nothing as its own user where it is asked to', async () => {
    const before = (await box.admin('GET', '/users?per_page=100')).body.length
    const json = { username: `sudone-${engine}`, name: 'x', email: 'x@example.com' }
    for (const sent of [{ headers: { Sudo: 'ada' }, json }, { json: { ...json, sudo: 'ada' } }]) {
      const answer = await box.admin('POST', '/users', sent)
      expect([answer.status, answer.text]).toEqual([403, expect.stringContaining('Forbidden')])
    }
    expect((await box.admin('GET', '/user?sudo=1')).status).toBe(403)
    expect((await box.admin('GET', '/users?per_page=100')).body).toHaveLength(before)
  })

  it('is refused to a blocked user', async () => {
    const eve = await person(box, `eve-blocked-${engine}`)
    expect((await box.admin('POST', `/users/${eve.user.id}/block`)).body).toBe(true)
    expect((await as(eve.token, 'GET', '/user')).status).toBe(401)
    expect((await box.admin('POST', `/users/${eve.user.id}/unblock`)).status).toBe(201)
    expect((await as(eve.token, 'GET', '/user')).status).toBe(200)
    expect((await box.admin('POST', '/users/1/block')).status).toBe(403)
  })

  it('refuses what cannot be, and changes nothing', async () => {
    const eve = await person(box, `eve-bad-${engine}`)
    const { body: brief } = await as(eve.token, 'POST', '/user/personal_access_tokens', {
      name: 'brief',
      scopes: ['api'],
      expires_at: day(2),
    })
    const { id } = await box.core.project(oneJob, `tokens/bad-${engine}`)
    const reader = await adminTokenWith(box, ['read_api'])
    const pat = '/user/personal_access_tokens'
    const scopes = ['api']
    const field = (name: string, message: unknown) => ({ message: { [name]: [message] } })
    const any = expect.anything()
    const cases: [number, unknown, string, string, string, object?][] = [
      [400, { error: 'scopes is missing' }, eve.token, 'POST', pat, { name: 'x' }],
      [400, { error: 'name is missing' }, eve.token, 'POST', pat, { scopes }],
      [400, { error: 'name is empty' }, eve.token, 'POST', pat, { name: '', scopes }],
      [
        400,
        field('scopes', expect.stringContaining('can only be')),
        eve.token,
        'POST',
        pat,
        { name: 'x', scopes: ['sudo'] },
      ],
      [400, { error: 'expires_at is invalid' }, eve.token, 'POST', pat, { name: 'x', scopes, expires_at: 'soon' }],
      [
        400,
        { error: 'expires_at is invalid' },
        eve.token,
        'POST',
        pat,
        { name: 'x', scopes, expires_at: '2027-02-30' },
      ],
      [
        400,
        field('expires_at', 'must be a future date'),
        eve.token,
        'POST',
        pat,
        { name: 'x', scopes, expires_at: '2001-01-01' },
      ],
      [400, field('name', 'is reserved'), eve.token, 'POST', pat, { name: 'admin token', scopes }],
      [403, any, brief.token, 'POST', pat, { name: 'x', scopes }],
      [403, any, brief.token, 'POST', pat, { name: 'x', scopes, expires_at: day(3) }],
      [403, any, reader, 'POST', pat, { name: 'x', scopes }],
      [403, any, eve.token, 'POST', '/users/1/personal_access_tokens', { name: 'x', scopes }],
      [403, any, eve.token, 'GET', '/personal_access_tokens?user_id=1'],
      [404, any, eve.token, 'GET', '/personal_access_tokens/1'],
      [404, any, eve.token, 'DELETE', '/personal_access_tokens/1'],
      [404, any, eve.token, 'GET', '/personal_access_tokens/x'],
      [404, any, eve.token, 'GET', `/projects/${id}/access_tokens`],
      [403, any, eve.token, 'POST', '/users', { username: 'a', name: 'A', email: 'a@b' }],
      [403, any, adminToken, 'DELETE', '/personal_access_tokens/1'],
      [
        400,
        { error: 'access_level does not have a valid value' },
        adminToken,
        'POST',
        `/projects/${id}/access_tokens`,
        { name: 'x', scopes, access_level: 41 },
      ],
      [404, any, adminToken, 'POST', '/users/9999/personal_access_tokens', { name: 'x', scopes }],
      [
        400,
        field('username', 'is invalid'),
        adminToken,
        'POST',
        '/users',
        { username: 'a b', name: 'A', email: 'a@b' },
      ],
      [400, field('email', 'is invalid'), adminToken, 'POST', '/users', { username: 'ab', name: 'A', email: 'ab' }],
      [409, any, adminToken, 'POST', '/users', { username: 'root', name: 'A', email: 'a@b' }],
    ]
    const { tables } = await box.changes(async () => {
      for (const [status, body, token, method, path, json] of cases) {
        const answer = await as(token, method, path, json)
        expect([method, path, json, answer.status, answer.body]).toEqual([method, path, json, status, body])
      }
    })
    expect(tables).toEqual([])
  })
})

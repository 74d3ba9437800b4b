import { afterAll, beforeAll, expect, it } from 'vitest'
import { keysFrom } from '../../src/core/tokens/keys.js'
import { adminToken } from '../support/core.js'
import { eventually } from '../support/eventually.js'
import { onBothEngines } from '../support/stores.js'
import { realPoll, type ShimBox, startShimBox } from './support/box.js'
import { person } from './support/people.js'

const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)

onBothEngines((engine) => {
  let box: ShimBox
  let registrationToken: string
  beforeAll(async () => {
    box = await startShimBox(engine)
    const reset = await box.admin('POST', '/runners/reset_registration_token')
    expect(reset.status).toBe(201)
    registrationToken = reset.body.token
  })
  afterAll(() => box[Symbol.asyncDispose]())

  /** What `gitlab-runner register` sends with a registration token. */
  const register = (more: Record<string, unknown> = {}) =>
    box.send('POST', '/runners', {
      json: {
        token: registrationToken,
        description: 'old runner',
        tag_list: 'docker, linux',
        run_untagged: false,
        locked: true,
        paused: false,
        info: { name: 'gitlab-runner' },
        ...more,
      },
      headers: { 'RUNNER-TOKEN': registrationToken },
    })

  it('registers a runner with a registration token, with a token of the old kind', async () => {
    expect(registrationToken).toMatch(/^GR1348941/)
    const made = await register({ maximum_timeout: 3600, access_level: 'ref_protected', maintenance_note: 'in room 4' })
    expect(made.status).toBe(201)
    expect(made.body).toEqual({
      id: expect.any(Number),
      token: expect.stringMatching(/^glrtr-/),
      token_expires_at: null,
    })
    const shown = await box.admin('GET', `/runners/${made.body.id}`)
    expect(shown.body).toMatchObject({
      description: 'old runner',
      runner_type: 'instance_type',
      tag_list: ['docker', 'linux'],
      run_untagged: false,
      locked: true,
      paused: false,
      maximum_timeout: 3600,
      access_level: 'ref_protected',
      maintenance_note: 'in room 4',
    })
  })

  it('registers a project’s runner with that project’s token, and the old token dies with a new one', async () => {
    const project = await box.core.project({}, 'acme/registered')
    const reset = () => box.admin('POST', `/projects/acme%2Fregistered/runners/reset_registration_token`)
    const first = (await reset()).body.token
    const second = (await reset()).body.token
    expect((await register({ token: first })).status).toBe(403)
    const made = await register({ token: second })
    expect(made.status).toBe(201)
    const shown = await box.admin('GET', `/runners/${made.body.id}`)
    expect(shown.body).toMatchObject({ runner_type: 'project_type', projects: [{ id: project.id }] })
  })

  it('registers a group’s runner with that group’s token', async () => {
    const { groupId } = await box.core.project({}, 'grouped/registered')
    const reset = await box.admin('POST', `/groups/grouped/runners/reset_registration_token`)
    expect(reset).toMatchObject({ status: 201, body: { token: expect.any(String), token_expires_at: null } })
    const made = await register({ token: reset.body.token })
    expect((await box.admin('GET', `/runners/${made.body.id}`)).body).toMatchObject({
      runner_type: 'group_type',
      groups: [{ id: groupId }],
    })
    expect((await box.send('POST', '/groups/grouped/runners/reset_registration_token')).status).toBe(401)
    expect((await box.admin('POST', '/groups/none/runners/reset_registration_token')).status).toBe(404)
  })

  it('shows a project’s registration token to those who may administer it, and to nobody else', async () => {
    const eve = await person(box, 'eve-of-tokens')
    const owned = await box.send('POST', '/projects', {
      json: { name: 'mine', visibility: 'public' },
      headers: eve.headers,
    })
    expect([owned.status, owned.body.runners_token]).toEqual([201, expect.stringMatching(/^GR1348941/)])
    const url = `/projects/${owned.body.id}`
    const tokenOf = async (headers: Record<string, string> = {}) =>
      (await box.send('GET', url, { headers })).body.runners_token
    expect(await tokenOf(eve.headers)).toBe(owned.body.runners_token)
    expect(await tokenOf({ 'PRIVATE-TOKEN': adminToken })).toBe(owned.body.runners_token)
    const mallory = await person(box, 'mallory-of-tokens')
    for (const headers of [{}, mallory.headers]) {
      const { status, body } = await box.send('GET', url, { headers })
      expect([status, 'runners_token' in body]).toEqual([200, false])
    }
    const levels: [number, boolean][] = [
      [30, false],
      [40, true],
    ]
    for (const [access_level, sees] of levels) {
      const json = { name: 'bot', scopes: ['api'], access_level, expires_at: inDays(20) }
      const made = await box.send('POST', `${url}/access_tokens`, { json, headers: eve.headers })
      expect((await tokenOf({ 'PRIVATE-TOKEN': made.body.token })) !== undefined).toBe(sees)
    }
    const listed = await box.send('GET', '/projects', { headers: eve.headers })
    expect(listed.body.map((one: object) => 'runners_token' in one)).toEqual(listed.body.map(() => false))
    const changed = await box.send('PUT', url, { json: { description: 'x' }, headers: eve.headers })
    expect(changed.body.runners_token).toBe(owned.body.runners_token)

    const made = await register({ token: owned.body.runners_token })
    expect((await box.admin('GET', `/runners/${made.body.id}`)).body.projects).toMatchObject([{ id: owned.body.id }])
    const reset = await box.send('POST', `${url}/runners/reset_registration_token`, { headers: eve.headers })
    expect(await tokenOf(eve.headers)).toBe(reset.body.token)
    expect((await register({ token: owned.body.runners_token })).status).toBe(403)
  })

  it('makes one token for a group, however many ask at once', async () => {
    const { groupId } = await box.core.project({}, 'asked/at-once')
    const asked = await Promise.all(Array.from({ length: 8 }, () => box.admin('GET', '/groups/asked')))
    const tokens = new Set(asked.map(({ body }) => body.runners_token))
    expect([...tokens]).toEqual([expect.stringMatching(/^GR1348941/)])
    const made = await register({ token: asked[0]!.body.runners_token })
    expect((await box.admin('GET', `/runners/${made.body.id}`)).body.groups).toMatchObject([{ id: groupId }])
    const eve = await person(box, 'eve-of-groups')
    await box.admin('PUT', '/groups/asked', { json: { visibility: 'public' } })
    expect((await box.send('GET', '/groups/asked', { headers: eve.headers })).body).not.toHaveProperty('runners_token')
    const renamed = await box.admin('PUT', '/groups/asked', { json: { description: 'x' } })
    expect(renamed.body.runners_token).toBe(asked[0]!.body.runners_token)
  })

  it('shows null for a token of which only the hash is kept, and leaves it alone', async () => {
    const { id } = await box.core.project({}, 'acme/hashed')
    const url = `/projects/${id}`
    const { token } = (await box.admin('POST', `${url}/runners/reset_registration_token`)).body
    const keep = (sealed: Uint8Array | null) =>
      box.core.core.store.write(async ({ db }) => {
        await db.updateTable('registration_tokens').set({ sealed }).where('project_id', '=', id).execute()
      })
    await keep(null)
    expect((await box.admin('GET', url)).body.runners_token).toBeNull()
    expect((await register({ token })).status).toBe(201)
    // As after `signalbox migrate --new-key`.
    await keep(keysFrom(Buffer.alloc(32, 9)).seal(Buffer.from(token)))
    expect((await box.admin('GET', url)).body.runners_token).toBeNull()
    const reset = await box.admin('POST', `${url}/runners/reset_registration_token`)
    expect((await box.admin('GET', url)).body.runners_token).toBe(reset.body.token)
  })

  it('verifies a token with the runner’s id, and files its manager', async () => {
    const token = await box.runnerToken()
    const answer = await box.send('POST', '/runners/verify', { json: { token, ...realPoll } })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('application/json')
    expect(answer.body).toEqual({ id: expect.any(Number), token, token_expires_at: null })
    expect(answer.body.id).toBeGreaterThan(0)
    const managers = await box.admin('GET', `/runners/${answer.body.id}/managers`)
    expect(managers.body).toMatchObject([
      { system_id: 's_0123456789ab', version: '19.4.0', platform: 'linux', status: 'online', ip_address: '127.0.0.1' },
    ])
    const silent = { token, system_id: realPoll.system_id }
    expect((await box.send('POST', '/runners/verify', { json: silent })).status).toBe(200)
    const still = await box.admin('GET', `/runners/${answer.body.id}/managers`)
    expect(still.body).toMatchObject([{ version: '19.4.0', platform: 'linux' }])
    expect((await box.send('POST', '/runners/verify', { form: { token } })).status).toBe(200)
    const form = new FormData()
    form.append('token', token)
    expect((await box.send('POST', '/runners/verify', { body: form })).status).toBe(200)
    expect((await box.send('POST', '/runners/verify', { json: { token: 'glrt-nope' } })).status).toBe(403)
  })

  it('tells a runner whose only project is deleted that it is orphaned, which may still leave', async () => {
    const project = await box.core.project({ a: { script: 'x' } }, 'shop/closing')
    const json = { runner_type: 'project_type', project_id: project.id }
    const { token } = (await box.admin('POST', '/user/runners', { json })).body
    expect((await box.send('POST', '/runners/verify', { json: { token } })).status).toBe(200)
    expect((await box.admin('DELETE', `/projects/${project.id}`)).status).toBe(202)
    await eventually(async () => {
      const { status, body } = await box.send('POST', '/runners/verify', { json: { token } })
      expect([status, body]).toEqual([422, { message: '422 Unprocessable Entity - the runner is orphaned' }])
    })
    expect((await box.send('DELETE', '/runners', { json: { token } })).status).toBe(204)
  })

  it('unregisters one manager by its system id, and the whole runner by its token', async () => {
    const token = await box.runnerToken()
    const { id } = (await box.send('POST', '/runners/verify', { json: { token, ...realPoll } })).body
    const leave = (system_id: unknown) => box.send('DELETE', '/runners/managers', { json: { token, system_id } })
    expect((await leave('s_0123456789ab')).status).toBe(204)
    expect((await leave('s_0123456789ab')).status).toBe(404)
    expect((await leave(undefined)).body).toEqual({ error: 'system_id is missing' })
    expect((await box.admin('GET', `/runners/${id}/managers`)).body).toEqual([])
    expect((await box.poll(token)).status).toBe(204)
    expect((await box.send('DELETE', '/runners', { json: { token: 'glrt-nope' } })).status).toBe(403)
    const gone = await box.send('DELETE', '/runners', { json: { token } })
    expect([gone.status, gone.text]).toEqual([204, ''])
    expect((await box.poll(token)).status).toBe(403)
    expect((await box.admin('GET', `/runners/${id}`)).status).toBe(404)
  })

  it('gives a runner a new token by the old one, or by a person’s: also for the body null', async () => {
    const token = await box.runnerToken()
    const own = await box.send('POST', '/runners/reset_authentication_token', { json: { token } })
    expect(own.status).toBe(201)
    expect(own.body.token).toMatch(/^glrt-t1_/)
    expect(own.body.token_expires_at).toBeNull()
    expect((await box.poll(token)).status).toBe(403)
    expect((await box.poll(own.body.token)).status).toBe(204)
    const { id } = (await box.send('POST', '/runners/verify', { json: { token: own.body.token } })).body
    const byPerson = await box.admin('POST', `/runners/${id}/reset_authentication_token`, { json: null })
    expect([byPerson.status, byPerson.body.id]).toEqual([201, id])
    expect((await box.poll(own.body.token)).status).toBe(403)
    expect((await box.poll(byPerson.body.token)).status).toBe(204)
  })

  it('answers discovery with 501, which no runner repeats, where there is no job router', async () => {
    const token = await box.runnerToken()
    const answer = await box.send('GET', '/runners/router/discovery', { headers: { 'RUNNER-TOKEN': token } })
    expect(answer.status).toBe(501)
    expect((await box.send('GET', '/runners/router/discovery', { headers: { 'RUNNER-TOKEN': 'x' } })).status).toBe(403)
  })

  it('limits registrations and wrong credentials by address', async () => {
    await using limited = await startShimBox(engine, {
      rates: { registrations: { perSecond: 5 / 60, burst: 2 }, wrongCredentials: { perSecond: 1, burst: 3 } },
    })
    const register = () => limited.send('POST', '/runners', { json: { token: 'GR1348941nope' } })
    expect([(await register()).status, (await register()).status, (await register()).status]).toEqual([403, 403, 429])
    limited.core.clock.advance(12_000)
    expect((await register()).status).toBe(403)
    const statuses = []
    for (let i = 0; i < 6; i++) statuses.push((await limited.poll('glrt-nope')).status)
    expect(statuses).toContain(429)
    expect((await limited.poll(await limited.runnerToken())).status).toBe(204)
    expect((await limited.admin('GET', '/version')).status).toBe(200)
  })
})

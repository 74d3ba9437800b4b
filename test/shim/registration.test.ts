import { afterAll, beforeAll, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { onBothEngines } from '../support/stores.js'
import { realPoll, type ShimBox, startShimBox } from './support/box.js'

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

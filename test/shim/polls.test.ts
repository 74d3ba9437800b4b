import http from 'node:http'
import type net from 'node:net'
import { expect, it, vi } from 'vitest'
import { createPipeline } from '../../src/core/operations/create-pipeline.js'
import { expireLeases } from '../../src/core/operations/expire-leases.js'
import { onBothEngines } from '../support/stores.js'
import { type Answer, oneJob, onePhaseInfo, realPoll, type ShimBox, startShimBox, until } from './support/box.js'

const lastUpdate = (answer: Answer) => answer.headers.get('x-gitlab-last-update')

/** Polls until the runner knows its present queue value. */
async function greet(box: ShimBox, token: string, more: Record<string, unknown> = {}): Promise<string> {
  return lastUpdate(await box.poll(token, more))!
}

/** A poll that is held, by its answer to come. */
async function hold(box: ShimBox, token: string, more: Record<string, unknown> = {}): Promise<Promise<Answer>[]> {
  const last = await greet(box, token, more)
  const before = box.shim.held
  const answer = box.poll(token, { ...more, last_update: last })
  await until(() => box.shim.held > before)
  return [answer]
}

onBothEngines((engine) => {
  it('gives a two-phase runner the job as an offer, and no other runner gets it meanwhile', async () => {
    await using box = await startShimBox(engine)
    const { pipeline } = await box.run(oneJob)
    const token = await box.runnerToken()
    const taken = await box.poll(token)
    expect(taken.status).toBe(201)
    expect(taken.headers.get('content-type')).toBe('application/json')
    expect(lastUpdate(taken)).toBeNull()
    expect(taken.body).toMatchObject({ job_info: { name: 'test' }, steps: [{ name: 'script' }] })
    expect(taken.body).not.toHaveProperty('run')
    expect(typeof taken.body.job_info.project_jobs_running_on_instance_runners_count).toBe('string')
    const keys = taken.body.variables.map((one: { key: string }) => one.key)
    expect(keys).not.toContain('CI_PROJECT_DIR')
    expect(taken.body.variables.every((one: { value: unknown }) => typeof one.value === 'string')).toBe(true)
    expect(await box.core.statuses(pipeline)).toEqual({ test: 'pending' })
    expect(await box.leases(taken.body.id)).toMatchObject([{ status: 'offered', door: 'rest_two_phase', fence: 1 }])
    expect((await box.poll(await box.runnerToken())).status).toBe(204)
    expect((await box.poll(token)).status).toBe(204)
  })

  it('starts the job at once for a one-phase runner and for a request made by hand', async () => {
    await using box = await startShimBox(engine)
    const { pipeline } = await box.run({ a: { script: 'x' }, b: { script: 'x' } })
    const token = await box.runnerToken()
    const one = await box.poll(token, { info: onePhaseInfo })
    const two = await box.send('POST', '/jobs/request', { form: { token } })
    expect([one.status, two.status]).toEqual([201, 201])
    expect(await box.core.statuses(pipeline)).toEqual({ a: 'running', b: 'running' })
    expect(await box.leases(one.body.id)).toMatchObject([{ status: 'held', door: 'rest' }])
    expect(await box.leases(two.body.id)).toMatchObject([{ status: 'held', door: 'rest_by_hand' }])
  })

  it('says how many jobs the runner could have been given, as far as it counts', async () => {
    await using box = await startShimBox(engine)
    const few = Object.fromEntries(['a', 'b', 'c'].map((name) => [name, { script: 'x', tags: ['few'] }]))
    const { project } = await box.run({ ...few, other: { script: 'x', tags: ['other'] } })
    const many = Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`j${i}`, { script: 'x', tags: ['many'] }]))
    const large = await box.run(many, 'acme/large')
    const queued = () => box.core.core.store.read.db.selectFrom('jobs').select('id').where('in_queue', '=', 1).execute()
    await vi.waitFor(async () => expect(await queued()).toHaveLength(124), { timeout: 100_000 })
    const figures = async (options: Parameters<ShimBox['runnerToken']>[0]) => {
      const { job_info } = (await box.poll(await box.runnerToken(options))).body
      return [job_info.queue_size, job_info.queue_depth]
    }
    expect(await figures({ tags: ['few', 'other'] })).toEqual([4, 1])
    expect(await figures({ type: 'project', projectId: project.id, tags: ['few'] })).toEqual([2, 1])
    expect(await figures({ type: 'group', groupId: project.groupId, tags: ['few'] })).toEqual([1, 1])
    expect(await figures({ tags: ['many'] })).toEqual([100, 1])
    expect(await figures({ type: 'group', groupId: large.project.groupId, tags: ['many'] })).toEqual([100, 1])
  })

  it('says that a runner and its manager are active while they have a job', async () => {
    await using box = await startShimBox(engine)
    await box.run(oneJob)
    const token = await box.runnerToken()
    const { id, token: jobToken } = (await box.poll(token)).body
    const shown = async () => {
      const bodies = [
        (await box.admin('GET', '/runners/1')).body,
        (await box.admin('GET', '/runners/all')).body[0],
        (await box.admin('GET', '/runners/1/managers')).body[0],
      ]
      return bodies.map((body) => body.job_execution_status)
    }
    const says = (state: string) => box.send('PUT', `/jobs/${id}`, { json: { token: jobToken, state } })
    // It is offered, and nobody has begun.
    expect(await shown()).toEqual(['idle', 'idle', 'idle'])
    await says('running')
    expect(await shown()).toEqual(['active', 'active', 'active'])
    const { runner, runner_manager } = (await box.admin('GET', `/projects/1/jobs/${id}`)).body
    expect([runner, runner_manager]).toMatchObject([
      { job_execution_status: 'active' },
      { job_execution_status: 'active' },
    ])
    await says('success')
    expect(await shown()).toEqual(['idle', 'idle', 'idle'])
  })

  it('files managers by their system id, and those without one as legacy', async () => {
    await using box = await startShimBox(engine)
    const token = await box.runnerToken()
    await box.poll(token)
    await box.send('POST', '/jobs/request', { json: { token } })
    const rows = await box.core.core.store.read.db.selectFrom('runner_managers').selectAll().orderBy('id').execute()
    expect(rows).toMatchObject([
      { system_id: 's_0123456789ab', version: '19.4.0', executor: 'shell', platform: 'linux', ip_address: '127.0.0.1' },
      { system_id: '<legacy>', version: '', features: '[]' },
    ])
    expect(JSON.parse(rows[0]!.features)).toContain('cancel_gracefully')
    expect(JSON.parse(rows[0]!.features)).not.toContain('image')
  })

  it('takes the token from the header too, and refuses wrong ones with 403', async () => {
    await using box = await startShimBox(engine)
    const token = await box.runnerToken()
    const byHeader = await box.send('POST', '/jobs/request', { json: {}, headers: { 'RUNNER-TOKEN': token } })
    expect(byHeader.status).toBe(204)
    const before = await box.rows()
    for (const wrong of ['glrt-t1_nope', `${token}x`, token.slice(1)]) {
      const answer = await box.poll(wrong)
      expect(answer).toMatchObject({ status: 403, body: { message: '403 Forbidden' } })
      expect(lastUpdate(answer)).toBeNull()
    }
    expect(await box.rows()).toBe(before)
  })

  it('answers a paused runner 204 with its queue value, and no commit for an idle poll', async () => {
    await using box = await startShimBox(engine)
    await box.run(oneJob)
    const token = await box.runnerToken({ paused: true })
    const paused = await box.poll(token)
    expect(paused.status).toBe(204)
    expect(lastUpdate(paused)).toMatch(/^[0-9a-f]{32}$/)
    const { commits } = box.core.core.store.stats
    for (let i = 0; i < 5; i++) expect((await box.poll(token)).status).toBe(204)
    expect(box.core.core.store.stats.commits).toBe(commits)
  })

  it('notes the contact again when the last one is old', async () => {
    await using box = await startShimBox(engine)
    const token = await box.runnerToken()
    await box.poll(token)
    await box.poll(token)
    box.core.clock.advance(41 * 60_000)
    await box.poll(token)
    const row = await box.core.core.store.read.db.selectFrom('runners').selectAll().executeTakeFirstOrThrow()
    expect(row.contacted_at).toBe(box.core.clock.now())
  })

  it('holds only a poll that has seen the present value', async () => {
    await using box = await startShimBox(engine)
    const token = await box.runnerToken()
    const first = await box.poll(token)
    expect(first.status).toBe(204)
    const stale = await box.poll(token, { last_update: 'something else' })
    expect(lastUpdate(stale)).toBe(lastUpdate(first))
    expect(box.shim.held).toBe(0)
    const held = box.poll(token, { last_update: lastUpdate(first) })
    await until(() => box.shim.held === 1)
    box.core.clock.advance(49_999)
    expect(box.shim.held).toBe(1)
    box.core.clock.advance(1)
    const timedOut = await held
    expect(timedOut.status).toBe(204)
    expect(lastUpdate(timedOut)).toMatch(/^[0-9a-f]{32}$/)
    expect(lastUpdate(timedOut)).not.toBe(lastUpdate(first))
    expect(box.core.core.dispatcher.waiters).toBe(0)
  })

  it('lets the seven entries of one GitLab Runner take turns at its four places', async () => {
    await using box = await startShimBox(engine)
    const tags = Array.from({ length: 7 }, (_, i) => `entry-${i}`)
    const project = await box.core.project(
      Object.fromEntries(tags.map((tag) => [tag, { script: 'x', tags: [tag], when: 'manual' }])),
    )
    const tokens = await Promise.all(tags.map((tag) => box.runnerToken({ tags: [tag] })))
    const values = await Promise.all(tokens.map((token) => greet(box, token)))
    const ask = (i: number) => box.poll(tokens[i]!, { last_update: values[i] })
    const first = [0, 1, 2, 3].map(ask)
    await until(() => box.shim.held === 4)
    box.core.clock.advance(3000)
    for (const [i, answer] of (await Promise.all(first)).entries()) {
      expect(answer.status).toBe(204)
      values[i] = lastUpdate(answer)!
    }
    // The three that had no place have one now, and are held as long as nobody else keeps silent.
    const second = [4, 5, 6, 0].map(ask)
    await until(() => box.shim.held === 4)
    box.core.clock.advance(2999)
    expect(box.shim.held).toBe(4)
    await box.core.pipeline(project)
    const job = (await box.core.core.store.read.db.selectFrom('jobs').select(['id', 'name']).execute()).find(
      ({ name }) => name === 'entry-5',
    )!
    expect((await box.admin('POST', `/projects/${project.id}/jobs/${job.id}/play`)).status).toBe(200)
    expect((await second[1]!).body).toMatchObject({ id: job.id })
    box.core.clock.advance(1)
    await until(() => box.shim.held === 0)
    // Alone, or with a place for each, nobody is sent away early.
    await Promise.all(tokens.map(async (token) => hold(box, token)))
    await until(() => box.shim.held === 7)
    box.core.clock.advance(49_000)
    expect(box.shim.held).toBe(7)
  })

  it('does not hold when holding is off', async () => {
    await using box = await startShimBox(engine, { holdMs: 0 })
    const token = await box.runnerToken()
    const value = await greet(box, token)
    const again = await box.poll(token, { last_update: value })
    expect([again.status, lastUpdate(again)]).toEqual([204, value])
  })

  it('gives a held poll the job in the transaction that queues it', async () => {
    await using box = await startShimBox(engine)
    const project = await box.core.project(oneJob)
    const token = await box.runnerToken()
    const [held] = await hold(box, token)
    const pipeline = await box.core.pipeline(project)
    const taken = await held!
    expect(taken.status).toBe(201)
    expect(await box.core.statuses(pipeline)).toEqual({ test: 'pending' })
    expect(await box.leases(taken.body.id)).toMatchObject([{ status: 'offered' }])
    const events = await box.core.core.store.read.db.selectFrom('events').select('kind').orderBy('id').execute()
    const kinds = events.map((event) => event.kind)
    expect(kinds.indexOf('job.leased')).toBeGreaterThan(kinds.indexOf('pipeline.created'))
    expect(box.core.core.dispatcher.waiters).toBe(0)
  })

  it('leaves a held poll alone that cannot take the job', async () => {
    await using box = await startShimBox(engine)
    const project = await box.core.project({ test: { script: 'x', tags: ['gpu'] } })
    const [held] = await hold(box, await box.runnerToken())
    await box.core.pipeline(project)
    expect(box.shim.held).toBe(1)
    box.core.clock.advance(50_000)
    expect((await held!).status).toBe(204)
  })

  it('ends a hold when the runner is paused, and gives its managers new values', async () => {
    await using box = await startShimBox(engine)
    const project = await box.core.project(oneJob)
    const token = await box.runnerToken()
    const value = await greet(box, token)
    const held = box.poll(token, { last_update: value })
    await until(() => box.shim.held === 1)
    const changed = await box.admin('PUT', '/runners/1', { json: { paused: true } })
    expect(changed.status).toBe(200)
    const ended = await held
    expect(ended.status).toBe(204)
    expect(lastUpdate(ended)).not.toBe(value)
    await box.core.pipeline(project)
    const paused = await box.poll(token, { last_update: value })
    expect(paused.status).toBe(204)
    expect(lastUpdate(paused)).not.toBe(value)
    await box.admin('PUT', '/runners/1', { json: { paused: false } })
    expect((await box.poll(token)).status).toBe(201)
  })

  it('tells a runner that is deleted while it is held', async () => {
    await using box = await startShimBox(engine)
    const token = await box.runnerToken()
    const [held] = await hold(box, token)
    expect((await box.admin('DELETE', '/runners/1')).status).toBe(204)
    expect((await held!).status).toBe(204)
    expect((await box.poll(token)).status).toBe(403)
  })

  it('answers held polls with their value when it closes, and refuses new ones', async () => {
    await using box = await startShimBox(engine)
    const token = await box.runnerToken()
    const holds = [
      ...(await hold(box, token, { system_id: 's_a' })),
      ...(await hold(box, token, { system_id: 's_b' })),
      ...(await hold(box, token, { system_id: 's_c' })),
    ]
    await box.shim.close()
    for (const held of holds) {
      const answer = await held
      expect(answer.status).toBe(204)
      expect(lastUpdate(answer)).toMatch(/^[0-9a-f]{32}$/)
    }
    const late = await box.poll(token)
    expect(late.status).toBe(503)
    expect(late.headers.get('retry-after')).toBe('1')
    await box.shim.close()
  })

  it('never gives a job to a sender that has gone while it was held', async () => {
    await using box = await startShimBox(engine)
    const project = await box.core.project(oneJob)
    const token = await box.runnerToken()
    const last = await greet(box, token)
    const abort = new AbortController()
    const held = box.poll(
      token,
      { last_update: last },
      { json: { ...realPoll, token, last_update: last }, signal: abort.signal },
    )
    held.catch(() => undefined)
    await until(() => box.shim.held === 1)
    abort.abort()
    await until(() => box.shim.held === 0)
    expect(box.core.core.dispatcher.waiters).toBe(0)
    const pipeline = await box.core.pipeline(project)
    expect(await box.core.statuses(pipeline)).toEqual({ test: 'pending' })
    expect((await box.poll(token)).status).toBe(201)
  })

  it('gives one job to exactly one of many polls', async () => {
    await using box = await startShimBox(engine, { rates: { polls: 'off' } })
    const { pipeline } = await box.run(oneJob)
    const tokens = await Promise.all([box.runnerToken(), box.runnerToken(), box.runnerToken()])
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, i) => box.poll(tokens[i % 3]!, { system_id: `s_${i}` })),
    )
    const statuses = answers.map((answer) => answer.status).sort((a, b) => a - b)
    expect(statuses.filter((status) => status === 201)).toHaveLength(1)
    expect(statuses.every((status) => status === 201 || status === 204 || status === 409)).toBe(true)
    const { id } = answers.find((answer) => answer.status === 201)!.body
    expect(await box.leases(id)).toHaveLength(1)
    expect(await box.core.statuses(pipeline)).toEqual({ test: 'pending' })
  })

  it('gives jobs that come while polls are held to as many of them, one each', async () => {
    await using box = await startShimBox(engine, { rates: { polls: 'off' } })
    const project = await box.core.project({ a: { script: 'x' }, b: { script: 'x' }, c: { script: 'x' } })
    const token = await box.runnerToken()
    const holds: Promise<Answer>[] = []
    for (let i = 0; i < 5; i++) holds.push(...(await hold(box, token, { system_id: `s_${i}` })))
    await box.core.pipeline(project)
    await until(() => box.shim.held === 2)
    box.core.clock.advance(50_000)
    const answers = await Promise.all(holds)
    expect(answers.map((answer) => answer.status).sort((a, b) => a - b)).toEqual([201, 201, 201, 204, 204])
    const ids = answers.filter((answer) => answer.status === 201).map((answer) => answer.body.id)
    expect(new Set(ids).size).toBe(3)
  })

  it('gives a repeated request the same lease and payload, until something was written under it', async () => {
    await using box = await startShimBox(engine)
    await box.run({ a: { script: 'x' }, b: { script: 'x' } })
    const token = await box.runnerToken()
    const headers = { 'X-Request-Id': 'a'.repeat(32) }
    const first = await box.poll(token, {}, { headers, json: { ...realPoll, token } })
    const again = await box.poll(token, {}, { headers, json: { ...realPoll, token } })
    expect(first.headers.get('x-request-id')).toBe('a'.repeat(32))
    expect(again.status).toBe(201)
    expect(again.text).toBe(first.text)
    expect(await box.leases(first.body.id)).toHaveLength(1)
    const other = await box.poll(
      token,
      { system_id: 's_other' },
      { headers, json: { ...realPoll, token, system_id: 's_other' } },
    )
    expect(other.body.id).not.toBe(first.body.id)
    const accepted = await box.send('PUT', `/jobs/${first.body.id}`, {
      json: { token: first.body.token, state: 'running' },
    })
    expect(accepted.status).toBe(200)
    expect((await box.poll(token, {}, { headers, json: { ...realPoll, token } })).status).toBe(204)
  })

  it('offers the job again when the answer was lost: after the time to accept, to another manager', async () => {
    await using box = await startShimBox(engine)
    const token = await box.runnerToken()
    await box.poll(token, { system_id: 's_other' })
    await box.run(oneJob)
    const lost = await box.poll(token)
    expect(lost.status).toBe(201)
    box.core.clock.advance(30_000)
    expect(await expireLeases(box.core.core)).toMatchObject({ void: 1 })
    expect(await box.leases(lost.body.id)).toMatchObject([{ status: 'expired' }])
    expect((await box.poll(token)).status).toBe(204)
    const other = await box.poll(token, { system_id: 's_other' })
    expect(other.body.id).toBe(lost.body.id)
    expect(other.body.token).not.toBe(lost.body.token)
    const late = await box.send('PUT', `/jobs/${lost.body.id}`, { json: { token: lost.body.token, state: 'running' } })
    expect(late.status).toBe(403)
    expect(late.headers.get('job-status')).toBe('pending')
  })

  it('voids an offer at once whose 201 could not be handed over', async () => {
    await using box = await startShimBox(engine)
    const project = await box.core.project(oneJob)
    const token = await box.runnerToken()
    const last = await greet(box, token)
    // The socket dies in the moment between the commit of the lease and the answer.
    const { dispatcher } = box.core.core
    const deliver = dispatcher.deliver.bind(dispatcher)
    const sockets = new Set<net.Socket>()
    box.server.on('connection', (socket) => sockets.add(socket))
    dispatcher.deliver = (claimant, offer) => {
      for (const socket of sockets) socket.destroy()
      deliver(claimant, offer)
    }
    const held = box.poll(token, { last_update: last })
    held.catch(() => undefined)
    await until(() => box.shim.held === 1)
    const pipeline = await createPipeline(box.core.core, {
      projectId: project.id,
      ref: 'main',
      source: 'api',
      user: box.core.admin,
      onInvalid: 'refuse',
    })
    await expect(held).rejects.toThrow()
    const job = await box.core.core.store.read.db.selectFrom('jobs').selectAll().executeTakeFirstOrThrow()
    await until(async () => (await box.leases(job.id))[0]?.status === 'refused')
    expect(await box.core.statuses(pipeline!)).toEqual({ test: 'pending' })
    dispatcher.deliver = deliver
    expect((await box.poll(token, { system_id: 's_other' })).status).toBe(201)
  })

  it('limits how often a runner may ask, and says when it may again', async () => {
    await using box = await startShimBox(engine)
    await box.run(oneJob)
    const [token, other] = [await box.runnerToken(), await box.runnerToken()]
    const answers = await Promise.all(Array.from({ length: 200 }, () => box.poll(token)))
    const refused = answers.filter((answer) => answer.status === 429)
    expect(answers.filter((answer) => answer.status === 201)).toHaveLength(1)
    expect(refused).toHaveLength(150)
    expect(refused[0]!.headers.get('retry-after')).toBe('1')
    expect((await box.poll(other)).status).toBe(204)
    box.core.clock.advance(1000)
    expect((await box.poll(token)).status).toBe(204)
  })

  it('goes on over one connection after any answer', async () => {
    await using box = await startShimBox(engine)
    const token = await box.runnerToken()
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    const ask = (body: string) =>
      new Promise<number>((resolve, reject) => {
        const headers = { 'Content-Type': 'application/json' }
        const req = http.request(`${box.url}/api/v4/jobs/request`, { method: 'POST', agent, headers }, (res) => {
          res.resume().on('end', () => resolve(res.statusCode!))
        })
        req.on('error', reject).end(body)
      })
    const statuses = []
    for (const body of [
      '{',
      '[]',
      '{"token":1}',
      JSON.stringify({ token }),
      '{"token":"x"}',
      JSON.stringify({ token }),
    ]) {
      statuses.push(await ask(body))
    }
    expect(statuses).toEqual([400, 400, 400, 204, 403, 204])
    agent.destroy()
  })
})

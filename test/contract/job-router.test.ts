import { describe, expect, it } from 'vitest'
import { oneJob, onePhaseInfo, realPoll, until } from '../shim/support/box.js'
import { onBothEngines } from '../support/stores.js'
import { bytesField, doors, RouterBox, type RouterClient } from './job-router-client.js'

/** https://grpc.io/docs/guides/status-codes */
const code = { ok: 0, invalidArgument: 3, permissionDenied: 7, unimplemented: 12, unavailable: 14, unauthenticated: 16 }

const request = (client: RouterClient, more: object = {}) => ({ ...realPoll, token: client.token, ...more })

async function lastUpdate(client: RouterClient): Promise<string> {
  const { metadata } = await client.getJob(request(client))
  return String(metadata['x-gitlab-last-update'])
}

async function held(box: RouterBox, client: RouterClient, metadata: Record<string, string> = {}) {
  const value = await lastUpdate(client)
  const before = box.shim.shim.held
  const call = client.getJob(request(client, { last_update: value }), metadata)
  await until(() => box.shim.shim.held > before)
  return { call, value }
}

onBothEngines((engine) => {
  describe.each(doors)('over %s', (door) => {
    it('hands out a job that REST then acknowledges, writes and ends', async () => {
      await using box = await RouterBox.start(engine)
      const { shim } = box
      const { pipeline } = await shim.run(oneJob)
      await using client = await box.connect(door, await shim.runnerToken())
      const answer = await client.getJob(request(client), { 'x-request-id': 'a'.repeat(32) })
      expect(answer.code).toBe(code.ok)
      expect(answer.metadata['x-request-id']).toBe('a'.repeat(32))
      expect(answer.metadata).not.toHaveProperty('x-gitlab-last-update')
      const job = JSON.parse(answer.job.toString())
      expect(job).toMatchObject({ job_info: { name: 'test' }, steps: [{ name: 'script' }] })
      expect(await shim.core.statuses(pipeline)).toEqual({ test: 'pending' })
      expect(await shim.leases(job.id)).toMatchObject([{ status: 'offered', door: 'job_router', fence: 1 }])
      const put = (state: string) => shim.send('PUT', `/jobs/${job.id}`, { json: { token: job.token, state } })
      expect((await put('running')).status).toBe(200)
      expect(await shim.leases(job.id)).toMatchObject([{ status: 'held' }])
      const part = await shim.send('PATCH', `/jobs/${job.id}/trace`, {
        body: 'hello\n',
        headers: { 'Content-Range': '0-5', 'JOB-TOKEN': job.token },
      })
      expect(part.status).toBe(202)
      expect((await put('success')).headers.get('job-status')).toBe('success')
      expect(await shim.core.statuses(pipeline)).toEqual({ test: 'success' })
      const managers = await shim.core.core.store.read.db.selectFrom('runner_managers').selectAll().execute()
      expect(managers).toMatchObject([{ system_id: realPoll.system_id, version: '19.4.0', executor: 'shell' }])
    })

    it('answers empty with the queue value in the initial metadata, and holds a call that has seen it', async () => {
      await using box = await RouterBox.start(engine)
      await using client = await box.connect(door, await box.shim.runnerToken())
      const first = await client.getJob(request(client))
      expect([first.code, first.job.length]).toEqual([code.ok, 0])
      const value = first.metadata['x-gitlab-last-update']
      expect(value).toMatch(/^[0-9a-f]{32}$/)
      expect(first.trailers).not.toHaveProperty('x-gitlab-last-update')
      expect(first.metadata['x-request-id']).toMatch(/^[0-9a-f]{32}$/)
      const call = client.getJob(request(client, { last_update: value }))
      await until(() => box.shim.shim.held === 1)
      box.shim.core.clock.advance(49_999)
      expect(box.shim.shim.held).toBe(1)
      box.shim.core.clock.advance(1)
      const over = await call
      expect([over.code, over.job.length]).toEqual([code.ok, 0])
      expect(over.metadata['x-gitlab-last-update']).not.toBe(value)
    })

    it('gives a held call the job the moment that it is queued', async () => {
      await using box = await RouterBox.start(engine)
      const project = await box.shim.core.project(oneJob)
      await using client = await box.connect(door, await box.shim.runnerToken())
      const { call } = await held(box, client)
      await box.shim.core.pipeline(project)
      const answer = await call
      expect(JSON.parse(answer.job.toString())).toMatchObject({ job_info: { name: 'test' } })
      expect(box.shim.core.core.dispatcher.waiters).toBe(0)
    })

    it('shares the queue value with REST, and ends holds when the runner changes', async () => {
      await using box = await RouterBox.start(engine)
      await using client = await box.connect(door, await box.shim.runnerToken())
      const rest = await box.shim.poll(client.token)
      expect(await lastUpdate(client)).toBe(rest.headers.get('x-gitlab-last-update'))
      const { call, value } = await held(box, client)
      await box.shim.admin('PUT', '/runners/1', { json: { paused: true } })
      const answer = await call
      expect([answer.code, answer.job.length]).toEqual([code.ok, 0])
      expect(answer.metadata['x-gitlab-last-update']).not.toBe(value)
    })

    it('never gives a job to a caller that has gone while it was held', async () => {
      await using box = await RouterBox.start(engine)
      const project = await box.shim.core.project(oneJob)
      await using client = await box.connect(door, await box.shim.runnerToken())
      const { call } = await held(box, client)
      call.cancel()
      await expect(call).rejects.toThrow()
      await until(() => box.shim.shim.held === 0)
      await box.shim.core.pipeline(project)
      await using other = await box.connect(door, await box.shim.runnerToken())
      expect((await other.getJob(request(other))).job.length).toBeGreaterThan(0)
    })

    it('gives a repeated call under one id the same lease and payload', async () => {
      await using box = await RouterBox.start(engine)
      await box.shim.run({ a: { script: 'x' }, b: { script: 'x' } })
      await using client = await box.connect(door, await box.shim.runnerToken())
      const id = { 'x-request-id': 'b'.repeat(32) }
      const [one, two] = [await client.getJob(request(client), id), await client.getJob(request(client), id)]
      expect(two.job.equals(one.job)).toBe(true)
      const other = await client.getJob(request(client), { 'x-request-id': 'c'.repeat(32) })
      expect(JSON.parse(other.job.toString()).id).not.toBe(JSON.parse(one.job.toString()).id)
    })

    it('starts the job at once for a runner without the second phase', async () => {
      await using box = await RouterBox.start(engine)
      const { pipeline } = await box.shim.run(oneJob)
      await using client = await box.connect(door, await box.shim.runnerToken())
      const answer = await client.getJob(request(client, { info: onePhaseInfo }))
      expect(await box.shim.core.statuses(pipeline)).toEqual({ test: 'running' })
      expect(await box.shim.leases(JSON.parse(answer.job.toString()).id)).toMatchObject([{ door: 'rest' }])
    })

    it('answers a paused runner empty, and a deleted one with a status that ends its asking', async () => {
      await using box = await RouterBox.start(engine)
      await box.shim.run(oneJob)
      await using client = await box.connect(door, await box.shim.runnerToken({ paused: true }))
      const paused = await client.getJob(request(client))
      expect([paused.code, paused.job.length]).toEqual([code.ok, 0])
      expect(paused.metadata).toHaveProperty('x-gitlab-last-update')
      await box.shim.admin('DELETE', '/runners/1')
      expect((await client.getJob(request(client))).code).toBe(code.permissionDenied)
    })

    it('takes the token of the metadata alone, and refuses a body that names another runner', async () => {
      await using box = await RouterBox.start(engine)
      await box.shim.run(oneJob)
      await using client = await box.connect(door, await box.shim.runnerToken())
      const none = await client.call(bytesField(1, Buffer.from('{}')), { authorization: '' })
      expect(none.code).toBe(code.unauthenticated)
      const wrong = await client.getJob(request(client), { authorization: 'Bearer glrt-t1_nope' })
      expect(wrong.code).toBe(code.permissionDenied)
      const other = await client.getJob({ ...realPoll, token: await box.shim.runnerToken() })
      expect(other.code).toBe(code.permissionDenied)
      expect(await box.shim.leases(1)).toEqual([])
      const withoutBody = await client.getJob(realPoll)
      expect(withoutBody.job.length).toBeGreaterThan(0)
    })

    it('refuses what is no request, and changes nothing', async () => {
      await using box = await RouterBox.start(engine)
      await box.shim.run(oneJob)
      await using client = await box.connect(door, await box.shim.runnerToken())
      const before = await box.shim.rows()
      const jsons = ['null', '[]', '{', '{"info":3}', '\xff', '{"system_id":"a b"}', `{"a":"${'x'.repeat(300_000)}"}`]
      for (const json of jsons) {
        const answer = await client.call(bytesField(1, Buffer.from(json, 'latin1')))
        expect([json.slice(0, 20), answer.code]).toEqual([json.slice(0, 20), code.invalidArgument])
      }
      const malformed = await client.call(Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff]))
      expect(malformed.code).toBe(code.invalidArgument)
      expect((await client.ping()) >= 0).toBe(true)
      expect(box.shim.core.logged.filter(({ level }) => level === 'error')).toEqual([])
      expect(await box.shim.rows()).toBe(before)
    })

    it('answers UNAVAILABLE, which a runner forgives, when it is asked too often or is stopping', async () => {
      await using box = await RouterBox.start(engine, { rates: { polls: { perSecond: 1, burst: 2 } } })
      await using client = await box.connect(door, await box.shim.runnerToken())
      const codes: number[] = []
      for (let i = 0; i < 3; i++) codes.push((await client.getJob(request(client))).code)
      expect(codes).toEqual([code.ok, code.ok, code.unavailable])
      box.shim.core.clock.advance(10_000)
      const { call } = await held(box, client)
      await box.shim.shim.close()
      expect((await call).code).toBe(code.ok)
      expect((await client.getJob(request(client))).code).toBe(code.unavailable)
    })

    it('lets a runner ping without a call', async () => {
      await using box = await RouterBox.start(engine)
      await using client = await box.connect(door, await box.shim.runnerToken())
      for (let i = 0; i < 20; i++) await client.ping()
      expect((await client.getJob(request(client))).code).toBe(code.ok)
    })
  })

  describe('the tunnel', () => {
    it('is opened for runners’ programs only', async () => {
      await using box = await RouterBox.start(engine)
      const token = await box.shim.runnerToken()
      await expect(box.open(undefined)).rejects.toThrow('401')
      await expect(box.open('glrt-t1_nope')).rejects.toThrow('403')
      await expect(box.open(token, 'signalbox.v1+proto')).rejects.toThrow('400')
      await expect(box.open(token, 'ws-tunnel', { Origin: 'http://evil.test' })).rejects.toThrow('403')
      const tunnel = await box.open(token)
      expect([tunnel.ws.protocol, tunnel.ws.extensions]).toEqual(['ws-tunnel', ''])
      tunnel.ws.terminate()
    })

    it('closes a text frame with 1003, and what is no HTTP/2 with an end', async () => {
      await using box = await RouterBox.start(engine)
      const token = await box.shim.runnerToken()
      const text = await box.open(token)
      text.ws.send('PRI * HTTP/2.0')
      expect(await text.closeCode).toBe(1003)
      const garbage = await box.open(token)
      garbage.ws.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'.repeat(10)))
      expect([1000, 1001, 1006, 1011]).toContain(await garbage.closeCode)
      await using client = await box.connect('tunnel', token)
      expect((await client.getJob(request(client))).code).toBe(code.ok)
    })

    it('ends normally when the server stops', async () => {
      const box = await RouterBox.start(engine)
      const client = await box.connect('tunnel', await box.shim.runnerToken())
      expect((await client.getJob(request(client))).code).toBe(code.ok)
      await box[Symbol.asyncDispose]()
      expect([1000, 1001]).toContain(await client.tunnel!.closeCode)
    })
  })

  describe('discovery', () => {
    it('names the router to a runner, and nobody else', async () => {
      await using box = await RouterBox.start(engine)
      const ask = (token: string) =>
        box.shim.send('GET', '/runners/router/discovery', { headers: { 'RUNNER-TOKEN': token } })
      const answer = await ask(await box.shim.runnerToken())
      expect(answer.status).toBe(200)
      expect(answer.headers.get('content-type')).toBe('application/json')
      expect(answer.body).toEqual({ server_url: 'ws://box.test/runner/v1/router' })
      expect((await ask('glrt-t1_nope')).status).toBe(403)
    })
  })
})

import { crc32 } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expireLeases } from '../../src/core/operations/expire-leases.js'
import { onBothEngines } from '../support/stores.js'
import { onePhaseInfo, type ShimBox, startShimBox, until } from './support/box.js'
import { person } from './support/people.js'
import { startJob, takeJob } from './support/running-job.js'

const checksum = (text: string) => `crc32:${crc32(Buffer.from(text)).toString(16).padStart(8, '0')}`

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const events = async (jobId: number) =>
    (
      await box.core.core.store.read.db
        .selectFrom('events')
        .select('kind')
        .where('job_id', '=', jobId)
        .orderBy('id')
        .execute()
    ).map((event) => event.kind)

  describe('the life of a job', () => {
    it('is accepted by the first PUT, written by PATCHes and ended by the last PUT', async () => {
      const job = await startJob(box)
      const ack = await job.put({ state: 'running', output: {} })
      expect([ack.status, ack.text]).toEqual([200, '200'])
      expect(ack.headers.get('job-status')).toBe('running')
      expect(ack.headers.get('x-gitlab-trace-update-interval')).toBe('30')
      expect(await box.job(job.id)).toMatchObject({ status: 'running', started_at: box.core.clock.now() })

      const first = await job.patch('0-5', 'hello\n')
      expect(first.status).toBe(202)
      expect(first.headers.get('range')).toBe('0-6')
      expect(first.headers.get('job-status')).toBe('running')
      const second = await job.patch('6-11', 'world\n')
      expect(second.headers.get('range')).toBe('0-12')

      const text = 'hello\nworld\n'
      const end = await job.put({
        state: 'success',
        checksum: checksum(text),
        output: { checksum: checksum(text), bytesize: 12 },
      })
      expect([end.status, end.text, end.headers.get('job-status')]).toEqual([200, '200', 'success'])
      expect(await job.status()).toBe('success')
      expect(await box.log(job.id)).toBe(text)
      expect(await box.leases(job.id)).toMatchObject([{ status: 'released', end_reason: 'finished' }])
      expect(await events(job.id)).not.toContain('trace.mismatch')
    })

    it('is accepted by a PATCH too', async () => {
      const job = await startJob(box)
      expect((await job.patch('0-0', 'x')).headers.get('job-status')).toBe('running')
      expect(await job.status()).toBe('running')
    })

    it('asks a runner to send often while somebody looks at the log', async () => {
      const job = await startJob(box)
      await job.patch('0-0', 'x')
      const log = await box.admin('GET', `/projects/${job.projectId}/jobs/${job.id}/trace`)
      expect([log.status, log.text]).toEqual([200, 'x'])
      expect((await job.patch('1-1', 'y')).headers.get('x-gitlab-trace-update-interval')).toBe('3')
      box.core.clock.advance(10_000)
      expect((await job.patch('2-2', 'z')).headers.get('x-gitlab-trace-update-interval')).toBe('30')
    })

    it('may end before it has begun: an early failed accepts and finishes', async () => {
      const job = await startJob(box)
      const end = await job.put({ state: 'failed', failure_reason: 'runner_system_failure', exit_code: 3 })
      expect([end.status, end.headers.get('job-status')]).toEqual([200, 'failed'])
      expect(await box.job(job.id)).toMatchObject({
        status: 'failed',
        failure_reason: 'runner_system_failure',
        exit_code: 3,
        started_at: box.core.clock.now(),
      })
    })

    it('keeps an offer open while the runner says pending, and answers 409 once it is accepted', async () => {
      const job = await startJob(box)
      expect((await job.put({ state: 'pending' })).status).toBe(200)
      expect(await job.status()).toBe('pending')
      expect(await box.leases(job.id)).toMatchObject([{ status: 'offered', accept_by: box.core.clock.now() + 120_000 }])
      await job.put({ state: 'running' })
      expect((await job.put({ state: 'pending' })).status).toBe(409)
      expect(await job.status()).toBe('running')
    })

    it('is kept alive by every write, and lost after ten minutes without one', async () => {
      const job = await startJob(box, { poll: { info: onePhaseInfo } })
      box.core.clock.advance(9 * 60_000)
      await job.put({ state: 'running' })
      box.core.clock.advance(9 * 60_000)
      await job.patch('0-0', 'x')
      box.core.clock.advance(9 * 60_000)
      await expireLeases(box.core.core)
      expect(await job.status()).toBe('running')
      box.core.clock.advance(60_000)
      await expireLeases(box.core.core)
      expect(await box.job(job.id)).toMatchObject({ status: 'failed', failure_reason: 'runner_system_failure' })
      const late = await job.patch('1-1', 'y')
      expect([late.status, late.headers.get('job-status')]).toEqual([403, 'failed'])
      expect((await job.put({ state: 'success' })).status).toBe(403)
    })

    it('counts what a manager writes as its sign of life', async () => {
      const job = await startJob(box)
      await job.put({ state: 'running' })
      for (let minutes = 0; minutes < 45; minutes += 5) {
        box.core.clock.advance(5 * 60_000)
        await job.put({ state: 'running' })
      }
      const lease = (await box.leases(job.id))[0]!
      const { db } = box.core.core.store.read
      const manager = await db
        .selectFrom('runner_managers')
        .selectAll()
        .where('id', '=', lease.manager_id)
        .executeTakeFirstOrThrow()
      expect(manager.contacted_at).toBeGreaterThan(manager.created_at)
    })
  })

  describe('a final report', () => {
    it('that is repeated gets the same answer and makes one event; a different one is refused', async () => {
      const job = await startJob(box)
      const report = { state: 'failed', failure_reason: 'script_failure', exit_code: 7, output: {} }
      for (let i = 0; i < 10; i++) {
        const answer = await job.put(report)
        expect([answer.status, answer.headers.get('job-status')]).toEqual([200, 'failed'])
      }
      for (const other of [{ state: 'success' }, { ...report, exit_code: 8 }, { state: 'running' }]) {
        const answer = await job.put(other)
        expect([answer.status, answer.headers.get('job-status')]).toEqual([403, 'failed'])
        expect(answer.body).toEqual({ message: '403 Forbidden' })
      }
      expect((await events(job.id)).filter((kind) => kind === 'job.finished')).toHaveLength(1)
      expect(await box.job(job.id)).toMatchObject({ status: 'failed', exit_code: 7 })
      const patch = await job.patch('0-0', 'x')
      expect([patch.status, patch.headers.get('job-status')]).toEqual([403, 'failed'])
    })

    it('wins if it is the first of many contradictory ones', async () => {
      const job = await startJob(box)
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, i) =>
          job.put(i % 2 ? { state: 'success' } : { state: 'failed', exit_code: i + 1 }),
        ),
      )
      const kept = answers.filter((answer) => answer.status === 200)
      const refused = answers.filter((answer) => answer.status === 403)
      expect(kept.length + refused.length).toBe(100)
      expect(kept.length).toBe((await job.status()) === 'success' ? 50 : 1)
      expect((await events(job.id)).filter((kind) => kind === 'job.finished')).toHaveLength(1)
    })

    it('whose checksum or length differs is applied, shown and counted, and never answered 412', async () => {
      for (const output of [
        { checksum: 'crc32:deadbeef', bytesize: 6 },
        { checksum: checksum('hello\n'), bytesize: 99 },
      ]) {
        const job = await startJob(box)
        await job.patch('0-5', 'hello\n')
        expect((await job.put({ state: 'success', output })).status).toBe(200)
        expect(await job.status()).toBe('success')
        expect(await events(job.id)).toContain('trace.mismatch')
        const { db } = box.core.core.store.read
        const trace = await db.selectFrom('traces').selectAll().where('job_id', '=', job.id).executeTakeFirstOrThrow()
        expect(trace.mismatch).toBe(1)
      }
    })

    it('that comes while the log is being written is answered 202, and 200 once the log is durable', async () => {
      const job = await startJob(box)
      await job.patch('0-5', 'hello\n')
      const { store } = box.core.core
      let open = () => {}
      const gate = new Promise<void>((resolve) => {
        open = resolve
      })
      const write = store.write.bind(store)
      let waiting = false
      const slowly: typeof write = async (body) => {
        if (!waiting) {
          waiting = true
          await gate
        }
        return write(body)
      }
      Object.assign(store, { write: slowly })
      const part = job.patch('6-11', 'world\n')
      await until(() => waiting)
      const report = { state: 'success', output: { checksum: checksum('hello\nworld\n'), bytesize: 12 } }
      const early = await job.put(report)
      expect([early.status, early.text, early.headers.get('job-status')]).toEqual([202, '202', 'running'])
      expect(early.headers.get('x-gitlab-trace-update-interval')).toBe('1')
      expect((await job.put({ state: 'failed' })).status).toBe(403)
      open()
      expect((await part).status).toBe(202)
      await until(async () => (await job.status()) === 'success')
      expect((await job.put(report)).status).toBe(200)
      expect(await events(job.id)).not.toContain('trace.mismatch')
      Object.assign(store, { write })
    })

    it('keeps reasons that are known and makes the others unknown', async () => {
      for (const [said, kept] of [
        ['image_pull_failure', 'unknown_failure'],
        ['job_execution_timeout', 'job_execution_timeout'],
        ['runner_configuration_error', 'runner_configuration_error'],
        ['missing_dependency_failure', 'unknown_failure'],
        ['<script>', 'unknown_failure'],
      ]) {
        const job = await startJob(box)
        expect((await job.put({ state: 'failed', failure_reason: said })).status).toBe(200)
        const reason = (await box.job(job.id)).failure_reason
        expect([said, reason]).toEqual([said, kept])
      }
    })

    it('ends a job that is being canceled as canceled, whatever it says', async () => {
      for (const report of [
        { state: 'failed', failure_reason: 'job_canceled' },
        { state: 'failed', failure_reason: 'unknown_failure' },
        { state: 'success' },
      ]) {
        const job = await startJob(box)
        await job.put({ state: 'running' })
        const canceled = await box.admin('POST', `/projects/${job.projectId}/jobs/${job.id}/cancel`)
        expect([canceled.status, canceled.body.status]).toEqual([201, 'canceling'])
        const ping = await job.put({ state: 'running' })
        expect([ping.status, ping.headers.get('job-status')]).toEqual([200, 'canceling'])
        const part = await job.patch('0-0', 'x')
        expect([part.status, part.headers.get('job-status')]).toEqual([202, 'canceling'])
        expect((await job.upload('zip')).status).toBe(201)
        const end = await job.put(report)
        expect([end.status, end.headers.get('job-status')]).toEqual([200, 'canceled'])
        expect((await job.put(report)).status).toBe(200)
        expect(await box.job(job.id)).toMatchObject({ status: 'canceled', failure_reason: null })
      }
    })
  })

  describe('a job that is taken back', () => {
    it('is told by 403 and Job-Status: canceled before its acknowledgement', async () => {
      const job = await startJob(box)
      const canceled = await box.admin('POST', `/projects/${job.projectId}/jobs/${job.id}/cancel`)
      expect(canceled.body.status).toBe('canceled')
      const ack = await job.put({ state: 'running' })
      expect([ack.status, ack.headers.get('job-status')]).toEqual([403, 'canceled'])
    })

    it('lets the runner PATCH and PUT once more after an abort, and tells it again', async () => {
      const job = await startJob(box, { poll: { info: { ...onePhaseInfo, features: { variables: true } } } })
      await box.admin('POST', `/projects/${job.projectId}/jobs/${job.id}/cancel`)
      expect(await job.status()).toBe('canceled')
      for (const answer of [await job.patch('0-0', 'x'), await job.put({ state: 'failed' })]) {
        expect([answer.status, answer.headers.get('job-status')]).toEqual([403, 'canceled'])
      }
    })

    it('is force-canceled without waiting for its runner', async () => {
      const job = await startJob(box)
      await job.put({ state: 'running' })
      const url = `/projects/${job.projectId}/jobs/${job.id}/cancel`
      expect((await box.admin('POST', url)).body.status).toBe('canceling')
      expect((await box.admin('POST', url)).status).toBe(422)
      expect((await box.admin('POST', url, { json: { force: 'true' } })).body.status).toBe('canceled')
      expect((await job.put({ state: 'running' })).headers.get('job-status')).toBe('canceled')
    })

    it('goes on when its runner is paused or deleted', async () => {
      const job = await startJob(box)
      await job.put({ state: 'running' })
      const { runner_id } = await box.job(job.id)
      await box.admin('PUT', `/runners/${runner_id}`, { json: { paused: true } })
      expect((await job.patch('0-0', 'x')).status).toBe(202)
      expect((await box.admin('DELETE', `/runners/${runner_id}`)).status).toBe(204)
      expect((await job.patch('1-1', 'y')).status).toBe(202)
      expect((await job.put({ state: 'success' })).status).toBe(200)
      expect(await job.status()).toBe('success')
    })
  })

  describe('the log', () => {
    it('takes only the start of Content-Range and counts the bytes itself', async () => {
      const job = await startJob(box)
      expect((await job.patch('0-6', 'hello\n')).headers.get('range')).toBe('0-6')
      expect((await job.patch('6-7', 'world\n')).headers.get('range')).toBe('0-12')
    })

    it('tells the stored length, not an inclusive end, when a part does not follow', async () => {
      const job = await startJob(box)
      await job.patch('0-5', 'hello\n')
      for (const [range, data] of [
        ['0-5', 'hello\n'],
        ['0-5', 'HELLO\n'],
        ['3-8', 'lo\nwor'],
        ['7-9', 'abc'],
        ['999999-1000000', 'ab'],
      ] as const) {
        const answer = await job.patch(range, data)
        expect([range, answer.status, answer.headers.get('range')]).toEqual([range, 416, '0-6'])
        expect(answer.headers.get('job-status')).toBe('running')
      }
      expect(await box.log(job.id)).toBe('hello\n')
      expect((await job.patch('6-7', 'ok')).status).toBe(202)
    })

    it('lets one of two parts for the same place through', async () => {
      const job = await startJob(box)
      const answers = await Promise.all([job.patch('0-3', 'aaaa'), job.patch('0-3', 'bbbb')])
      expect(answers.map((answer) => answer.status).sort((a, b) => a - b)).toEqual([202, 416])
      expect(await box.log(job.id)).toMatch(/^(aaaa|bbbb)$/)
    })

    it('changes nothing for an empty part', async () => {
      const job = await startJob(box)
      const empty = await job.patch('0--1', '')
      expect([empty.status, empty.headers.get('range')]).toEqual([202, '0-0'])
    })

    it('keeps bytes as they are, whatever they are called', async () => {
      const job = await startJob(box)
      const bytes = Buffer.from([0x00, 0x1b, 0x5b, 0xff, 0xfe, 0xc3, 0x28, 0x0a])
      const sent = { headers: { 'Content-Type': 'application/x-www-form-urlencoded' } }
      expect((await job.patch('0-7', bytes, sent)).status).toBe(202)
      expect(await box.log(job.id)).toBe(bytes.toString('latin1'))
      const shown = await box.admin('GET', `/projects/${job.projectId}/jobs/${job.id}/trace`)
      expect(shown.headers.get('content-type')).toBe('text/plain; charset=utf-8')
      expect(shown.headers.get('x-content-type-options')).toBe('nosniff')
      expect(shown.headers.get('content-disposition')).toMatch(/^attachment/)
    })

    it('covers the job’s token', async () => {
      const job = await startJob(box)
      await job.patch('0-9', `token ${job.token} end`)
      expect(await box.log(job.id)).toBe(`token ${'*'.repeat(job.token.length)} end`)
    })
  })

  it('shows what a debugging shell prints only to those who may operate the project', async () => {
    const reader = await person(box, `reader-${engine}`)
    const job = await startJob(box)
    await box.admin('PUT', `/projects/${job.projectId}`, { json: { visibility: 'internal' } })
    await job.patch('0-0', 'x')
    const log = `/projects/${job.projectId}/jobs/${job.id}/trace`
    const own = `/api/signalbox/v1/jobs/${job.id}/log`
    expect((await box.send('GET', log, { headers: reader.headers })).status).toBe(200)
    const debug = await box.send('PATCH', `/jobs/${job.id}/trace?debug_trace=true`, {
      body: 'SECRET=hunter2',
      headers: { 'Content-Range': '1-14', 'JOB-TOKEN': job.token },
    })
    expect(debug.status).toBe(202)
    for (const path of [log, own]) {
      expect([path, (await box.send('GET', path, { headers: reader.headers })).status]).toEqual([path, 403])
      expect([path, (await box.admin('GET', path)).text]).toEqual([path, 'xSECRET=hunter2'])
    }
  })

  it('ends a job whose log is too long, and answers 403 with its status, never 413', async () => {
    await using small = await startShimBox(engine, {}, { traceLimitBytes: 10 })
    const job = await startJob(small)
    expect((await job.patch('0-7', '12345678')).status).toBe(202)
    const over = await job.patch('8-11', '9abc')
    expect([over.status, over.headers.get('job-status')]).toEqual([403, 'failed'])
    expect(await small.job(job.id)).toMatchObject({ status: 'failed', failure_reason: 'trace_size_exceeded' })
    expect(await small.log(job.id)).toBe('12345678')
  })

  it('shows a job to itself', async () => {
    const job = await startJob(box)
    await job.put({ state: 'running' })
    const own = await box.send('GET', '/job', { headers: { 'JOB-TOKEN': job.token } })
    expect([own.status, own.body.id, own.body.status]).toEqual([200, job.id, 'running'])
    expect((await box.send('GET', `/job?job_token=${job.token}`)).body.id).toBe(job.id)
    expect((await box.admin('GET', '/job')).status).toBe(404)
    expect((await box.send('GET', '/job')).status).toBe(401)
    const list = await box.send('GET', `/projects/${job.projectId}/jobs`, { headers: { 'JOB-TOKEN': job.token } })
    expect(list.body.map((one: { id: number }) => one.id)).toEqual([job.id])
    const other = await startJob(box)
    const foreign = await box.send('GET', `/projects/${other.projectId}/jobs`, { headers: { 'JOB-TOKEN': job.token } })
    expect(foreign.status).toBe(404)
    await job.put({ state: 'success' })
    expect((await box.send('GET', '/job', { headers: { 'JOB-TOKEN': job.token } })).status).toBe(403)
  })

  it('keeps the tokens of one job from another, and of one lease from the next', async () => {
    const [one, two] = [await startJob(box), await startJob(box)]
    for (const answer of [
      await one.put({ state: 'running' }, two.token),
      await one.patch('0-0', 'x', { headers: { 'JOB-TOKEN': two.token } }),
      await one.upload('zip', { token: two.token }),
    ]) {
      expect([answer.status, answer.headers.get('job-status')]).toEqual([403, null])
    }
    box.core.clock.advance(31_000)
    await expireLeases(box.core.core)
    const again = await takeJob(box, one.projectId, one.runnerToken, { system_id: 's_second' })
    expect(again.id).toBe(one.id)
    expect((await one.patch('0-0', 'x')).status).toBe(403)
    expect((await again.patch('0-0', 'x')).status).toBe(202)
    expect((await one.put({ state: 'success' })).status).toBe(403)
    expect(await again.status()).toBe('running')
  })

  it('takes the token from the query, as GitLab does', async () => {
    const job = await startJob(box)
    const put = await box.send('PUT', `/jobs/${job.id}?token=${job.token}`, { json: { state: 'running' } })
    expect(put.status).toBe(200)
    const patch = await box.send('PATCH', `/jobs/${job.id}/trace?token=${job.token}`, {
      body: 'x',
      headers: { 'Content-Range': '0-0' },
    })
    expect(patch.status).toBe(202)
    expect(JSON.stringify(box.core.logged)).not.toContain(job.token)
  })
})

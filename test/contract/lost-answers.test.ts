/** Answers that are lost, cut, late or doubled between us and a runner, each of each route that a runner uses. */
import { expect, it } from 'vitest'
import { expireLeases } from '../../src/core/operations/expire-leases.js'
import { realPoll, type ShimBox, startShimBox, until } from '../shim/support/box.js'
import { zipOf } from '../shim/support/zip.js'
import { type Fate, LossyProxy } from '../support/lossy-proxy.js'
import { ProtocolRunner, type Taken } from '../support/protocol-runner.js'
import { onBothEngines } from '../support/stores.js'

const log = 'hello\nand goodbye\n'

async function runnerBehind(box: ShimBox, url: string, systemId = 's_0123456789ab'): Promise<ProtocolRunner> {
  return new ProtocolRunner(url, { token: await box.runnerToken(), systemId, info: realPoll.info })
}

/** Time that runs by itself, a good deal faster than on the wall: offers in doubt take seconds. */
function running(box: ShimBox): Disposable {
  const timer = setInterval(() => box.core.clock.advance(40), 4)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/** Asks until there is a job. */
async function take(runner: ProtocolRunner): Promise<Taken> {
  for (;;) {
    const job = await runner.request()
    if (job) return job
  }
}

/** The answers of the routes that a runner uses. */
const routes: Record<string, (passing: { method: string; path: string; status: number }) => boolean> = {
  'hand-out (201)': ({ path, status }) => path.endsWith('/request') && status === 201,
  'no job (204)': ({ path, status }) => path.endsWith('/request') && status === 204,
  'acknowledgement and end (200)': ({ method }) => method === 'PUT',
  'log (202)': ({ method }) => method === 'PATCH',
  'upload (201)': ({ method, path }) => method === 'POST' && path.endsWith('/artifacts'),
  'download (200)': ({ method, path }) => method === 'GET' && path.endsWith('/artifacts'),
}

const fates: Record<string, Fate> = {
  'cut after ten bytes': { cut: 10 },
  'cut before its last byte': { cut: Number.MAX_SAFE_INTEGER },
  swallowed: 'swallow',
  repeated: 'repeat',
  delayed: { delay: new Promise((resolve) => setImmediate(resolve)) },
}

const config = {
  stages: ['build', 'test'],
  make: { stage: 'build', script: 'make', artifacts: { paths: ['out'] } },
  use: { stage: 'test', script: 'use' },
}

it.concurrent.each(Object.entries(fates))('an answer of any route that is %s costs no job', async (_, fate) => {
  await using box = await startShimBox('sqlite', { rates: { polls: 'off' } })
  await using proxy = await LossyProxy.before(box.url)
  using runner = await runnerBehind(box, proxy.url)
  using _time = running(box)
  const zip = await zipOf({ out: 'made' })
  for (const [route, concerns] of Object.entries(routes)) {
    let hits = 0
    // Every other answer of the kind, beginning with the first.
    proxy.fate = (answer) => (concerns(answer) && hits++ % 2 === 0 ? fate : 'pass')
    if (route.startsWith('no job')) expect(await runner.request()).toBeUndefined()
    const { pipeline } = await box.run(config, `acme/${route.replace(/\W+/g, '-')}x`)
    const ran: number[] = []
    while (ran.length < 2) {
      const job = await take(runner)
      ran.push(job.id)
      for (const dependency of job.dependencies) expect(await runner.download(dependency)).toEqual(zip)
      expect(await runner.log(job, log)).toBe(true)
      if (job.artifacts?.length) await runner.upload(job, zip)
      expect(await runner.finish(job, log)).toBe(true)
      expect(await box.log(job.id)).toBe(log)
    }
    expect(hits, route).toBeGreaterThan(0)
    expect(await box.core.statuses(pipeline)).toEqual({ make: 'success', use: 'success' })
    for (const id of ran) {
      const leases = await box.leases(id)
      expect(leases.filter((lease) => lease.accepted_at !== null)).toHaveLength(1)
      expect(leases.at(-1)).toMatchObject({ status: 'released' })
      expect(await box.job(id)).toMatchObject({ void_offers: 0 })
    }
  }
})

onBothEngines((engine) => {
  it.each([false, true])(
    'offers again what was lost, to the only runner, in 5 s (proxy with a pool: %s)',
    async (pooled) => {
      await using box = await startShimBox(engine)
      await using proxy = await LossyProxy.before(box.url, { pooled })
      using runner = await runnerBehind(box, proxy.url)
      const { pipeline } = await box.run({ test: { script: 'x' } })
      let cuts = 0
      proxy.fate = ({ status }) => (status === 201 && ++cuts <= 7 ? { cut: 10 } : 'pass')
      using _time = running(box)
      const job = await take(runner)
      expect(job.id).toBe(1)
      const leases = await box.leases(1)
      expect(leases.map((lease) => lease.status)).toEqual([...Array(7).fill('refused'), 'held'])
      for (const [i, lease] of leases.entries()) {
        const next = leases[i + 1]
        if (next) expect(next.offered_at - lease.offered_at).toBeLessThanOrEqual(5000)
        expect(lease.excluded_until).toBeNull()
      }
      expect(await runner.finish(job, '')).toBe(true)
      expect(await box.core.statuses(pipeline)).toEqual({ test: 'success' })
    },
  )

  it('refuses an acknowledgement that comes after the offer was void', async () => {
    await using box = await startShimBox(engine)
    await using proxy = await LossyProxy.before(box.url)
    using runner = await runnerBehind(box, proxy.url)
    await box.run({ test: { script: 'x' } })
    proxy.fate = ({ status, before }) => (status === 201 && before === 0 ? { cut: 10 } : 'pass')
    let lost = ''
    proxy.seen = ({ status, body }) => {
      if (status === 201) lost = body.toString()
    }
    expect(await runner.request()).toBeUndefined()
    expect(await box.leases(1)).toMatchObject([{ fence: 1, status: 'offered' }])
    using _time = running(box)
    await until(async () => (await box.leases(1))[0]!.status === 'refused')
    expect(await runner.acknowledge(JSON.parse(lost))).toBe(false)
    expect(await box.leases(1)).toMatchObject([{ accepted_at: null }])
    expect((await take(runner)).id).toBe(1)
  })

  it('keeps an offer whose runner closes its connection and acknowledges over another', async () => {
    await using box = await startShimBox(engine)
    using runner = await runnerBehind(box, box.url)
    await box.run({ test: { script: 'x' } })
    const body = JSON.stringify({ ...realPoll, token: await box.runnerToken() })
    const raw = await box.raw(
      `POST /api/v4/jobs/request HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      /"features":.*\}$/,
    )
    const job = JSON.parse(raw.slice(raw.indexOf('\r\n\r\n') + 4))
    await until(() => box.core.clock.timers > 0)
    box.core.clock.advance(1999)
    expect(await runner.acknowledge(job)).toBe(true)
    box.core.clock.advance(10_000)
    expect(await runner.log(job, log)).toBe(true)
    expect(await box.leases(1)).toMatchObject([{ status: 'held' }])
  })

  it('passes nobody over for an offer that was not accepted, where nobody else could take the job', async () => {
    await using box = await startShimBox(engine)
    await box.run({ test: { script: 'x' } })
    const token = await box.runnerToken()
    expect((await box.poll(token)).status).toBe(201)
    box.core.clock.advance(30_000)
    expect(await expireLeases(box.core.core)).toMatchObject({ void: 1 })
    expect(await box.leases(1)).toMatchObject([{ status: 'expired', excluded_until: null }])
    expect((await box.poll(token)).status).toBe(201)
  })
})

it('runs each of 200 jobs once, though every third hand-out is cut after ten bytes', async () => {
  await using box = await startShimBox('sqlite', { rates: { polls: 'off' } })
  await using proxy = await LossyProxy.before(box.url)
  const { pipeline } = await box.run({
    a: { script: 'x', parallel: 100 },
    b: { script: 'x', parallel: 100 },
  })
  let handOuts = 0
  proxy.fate = ({ path, status }) =>
    path.endsWith('/request') && status === 201 && ++handOuts % 3 === 0 ? { cut: 10 } : 'pass'
  const token = await box.runnerToken()
  using runner = new ProtocolRunner(proxy.url, { token, systemId: 's_0123456789ab', info: realPoll.info })
  const runs = new Map<number, number>()
  const started = box.core.clock.now()
  using _time = running(box)
  await new Promise<void>((resolve, reject) => {
    const work = async () => {
      while (runs.size < 200) {
        const job = await runner.request()
        if (!job || !(await runner.log(job, log))) continue
        runs.set(job.id, (runs.get(job.id) ?? 0) + 1)
        await runner.finish(job, log)
      }
      resolve()
    }
    for (let i = 0; i < 4; i++) work().catch(reject)
  })
  await until(async () => (await box.core.pipelineStatus(pipeline)) === 'success')
  expect([...runs.values()]).toEqual(Array(200).fill(1))
  const { db } = box.core.core.store.read
  const leases = await db.selectFrom('leases').selectAll().orderBy('id').execute()
  const lost = leases.filter((lease) => lease.accepted_at === null)
  expect(proxy.lost).toBeGreaterThan(60)
  expect(lost.length).toBeGreaterThanOrEqual(proxy.lost)
  for (const one of lost) {
    const next = leases.find((lease) => lease.job_id === one.job_id && lease.fence === one.fence + 1)!
    expect(next.offered_at - one.offered_at).toBeLessThanOrEqual(5000)
  }
  expect(leases.filter((lease) => lease.status === 'released')).toHaveLength(200)
  expect(box.core.clock.now() - started).toBeLessThan(5000 * proxy.lost)
})

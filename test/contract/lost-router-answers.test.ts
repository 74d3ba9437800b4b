/** Answers of the Job Router that are lost, cut or late: each job is run under exactly one lease. */
import { once } from 'node:events'
import http2 from 'node:http2'
import { expect, it } from 'vitest'
import { realPoll, type ShimBox, until } from '../shim/support/box.js'
import { LossyRouter, type RouterFate } from '../support/lossy-router.js'
import { ProtocolRunner, type Taken } from '../support/protocol-runner.js'
import { onBothEngines } from '../support/stores.js'
import { type RouterAnswer, RouterBox, RouterClient } from './job-router-client.js'

const log = 'hello\nand goodbye\n'

/** Asks the router and does the rest over REST, as GitLab Runner does; a connection that is lost is made anew. */
class RouterRunner extends ProtocolRunner implements AsyncDisposable {
  #client: Promise<RouterClient> | undefined
  #value: string | undefined

  constructor(
    readonly box: ShimBox,
    readonly routerUrl: string,
    readonly runnerToken: string,
  ) {
    super(box.url, { token: runnerToken, systemId: realPoll.system_id, info: realPoll.info })
  }

  /** As `request`: undefined for no job, and where no whole answer came. */
  async ask(): Promise<Taken | undefined> {
    const answer = await this.#call().catch(() => undefined)
    if (answer?.code !== 0) return undefined
    const value = answer.metadata['x-gitlab-last-update']
    if (typeof value === 'string') this.#value = value
    if (answer.job.length === 0) return undefined
    const job = JSON.parse(answer.job.toString()) as Taken
    return (await this.acknowledge(job)) ? job : undefined
  }

  async #call(): Promise<RouterAnswer> {
    this.#client ??= this.#connect()
    const mine = this.#client
    const client = await mine
    const last = this.#value === undefined ? {} : { last_update: this.#value }
    try {
      return await client.getJob({ ...realPoll, token: this.runnerToken, ...last })
    } catch (error) {
      // Others may have made a new connection already, and their calls on the old one go on.
      if (this.#client === mine) this.#client = undefined
      if (!client.session.closed) client.session.close()
      throw error
    }
  }

  async #connect(): Promise<RouterClient> {
    const session = http2.connect(this.routerUrl)
    await once(session, 'connect')
    return new RouterClient(this.runnerToken, session)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#client)?.[Symbol.asyncDispose]()
    this[Symbol.dispose]()
  }
}

/** Time that runs by itself, a good deal faster than on the wall: offers in doubt take seconds. */
function running(box: ShimBox): Disposable {
  const timer = setInterval(() => box.core.clock.advance(40), 4)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

const fates: Record<string, RouterFate> = {
  'cut after ten bytes': { cut: 10 },
  'cut before its last byte': { cut: Number.MAX_SAFE_INTEGER },
  swallowed: 'swallow',
  'reset after its head': 'reset',
  'sent without a status': 'trailless',
  delayed: { delay: new Promise((resolve) => setImmediate(resolve)) },
}

async function leasesOf(box: ShimBox) {
  return box.core.core.store.read.db.selectFrom('leases').selectAll().orderBy('id').execute()
}

it.each(Object.entries(fates))('an answer that is %s costs no job, whether one was in it or not', async (_, fate) => {
  await using box = await RouterBox.start('sqlite', { rates: { polls: 'off' } })
  await using router = await LossyRouter.before(`http://127.0.0.1:${box.grpc.port}`)
  await using runner = new RouterRunner(box.shim, router.url, await box.shim.runnerToken())
  let hits = 0
  // Every other answer, beginning with the first, which has no job.
  router.fate = () => (hits++ % 2 === 0 ? fate : 'pass')
  expect(await runner.ask()).toBeUndefined()
  const { pipeline } = await box.shim.run({ a: { script: 'x' }, b: { script: 'x' }, c: { script: 'x' } })
  hits = 0
  using _time = running(box.shim)
  const ran: number[] = []
  while (ran.length < 3) {
    const job = await runner.ask()
    if (!job) continue
    ran.push(job.id)
    expect(await runner.log(job, log)).toBe(true)
    expect(await runner.finish(job, log)).toBe(true)
    expect(await box.shim.log(job.id)).toBe(log)
  }
  expect(await box.shim.core.pipelineStatus(pipeline)).toBe('success')
  expect(new Set(ran).size).toBe(3)
  const leases = await leasesOf(box.shim)
  expect(leases.filter((lease) => lease.accepted_at !== null).map((lease) => lease.job_id)).toHaveLength(3)
  for (const lease of leases) expect(lease.excluded_until).toBeNull()
  for (const id of ran) expect(await box.shim.job(id)).toMatchObject({ void_offers: 0, status: 'success' })
})

onBothEngines((engine) => {
  it('runs each of 30 jobs once, though every third hand-out is cut in the middle', async () => {
    await using box = await RouterBox.start(engine, { rates: { polls: 'off' } })
    await using router = await LossyRouter.before(`http://127.0.0.1:${box.grpc.port}`)
    const { pipeline } = await box.shim.run({ many: { script: 'x', parallel: 30 } })
    let handOuts = 0
    router.fate = ({ bytes }) => (bytes > 5 && ++handOuts % 3 === 0 ? { cut: 10 } : 'pass')
    const token = await box.shim.runnerToken()
    const runs = new Map<number, number>()
    using _time = running(box.shim)
    await new Promise<void>((resolve, reject) => {
      const work = async () => {
        // A connection of its own: where one is cut, the answers to others on it are lost too.
        await using runner = new RouterRunner(box.shim, router.url, token)
        while (runs.size < 30) {
          const job = await runner.ask()
          if (!job || !(await runner.log(job, log))) continue
          runs.set(job.id, (runs.get(job.id) ?? 0) + 1)
          await runner.finish(job, log)
        }
        resolve()
      }
      for (let i = 0; i < 4; i++) work().catch(reject)
    })
    await until(async () => (await box.shim.core.pipelineStatus(pipeline)) === 'success')
    expect([...runs.values()]).toEqual(Array(30).fill(1))
    expect(router.lost).toBeGreaterThan(8)
    const leases = await leasesOf(box.shim)
    expect(leases.filter((lease) => lease.status === 'released')).toHaveLength(30)
    expect(leases.filter((lease) => lease.accepted_at === null).length).toBeGreaterThanOrEqual(router.lost)
  })
})

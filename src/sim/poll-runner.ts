/** A simulated runner that polls: what GitLab Runner says over REST, said to the same operations without HTTP. */
import { crc32 } from 'node:zlib'
import { asFault } from '../core/as-fault.js'
import { SignalboxError } from '../core/errors.js'
import type { Door } from '../core/lease.js'
import { appendTrace } from '../core/operations/append-trace.js'
import { authenticateJob } from '../core/operations/authenticate.js'
import { type FinishResult, finishJob } from '../core/operations/finish-job.js'
import { touchLease } from '../core/operations/touch-lease.js'
import type { Offer } from '../core/payload/offer.js'
import type { SimNode } from './node.js'
import { logOf, nameOf, type Promised } from './oracle.js'
import type { Character } from './runners.js'
import { Unanswered, type World } from './world.js'

interface Work extends Promised {
  token: string
}

/** What came of a request: done, refused for good, or to be asked again. */
type Came<T> = { is: 'done'; value: T } | { is: 'refused'; error: SignalboxError } | { is: 'nothing' }

const asksAgain = 5

export class PollRunner {
  readonly kind = 'poll'
  readonly works = new Map<string, Work>()
  readonly #world: World
  readonly #who: Character
  readonly #door: Door
  #lastUpdate: string | undefined
  #polls = 0
  /** Rises when the process is killed: what an earlier one was doing is not gone on with. */
  #boot = 1

  constructor(world: World, who: Character, door: 'rest_two_phase' | 'rest') {
    this.#world = world
    this.#who = who
    this.#door = door
    world.time.after(who.random.int(3000), () => {
      this.#pollOn(1).catch(asFault)
    })
  }

  get character(): Character {
    return this.#who
  }

  vanish(): void {
    this.#world.note(`${this.#who.systemId} is killed`)
    this.works.clear()
    const boot = ++this.#boot
    this.#world.time.after(this.#who.random.between(2000, 60_000), () => {
      this.#pollOn(boot).catch(asFault)
    })
  }

  cut(): void {
    this.vanish()
  }

  /** Writes with what it has about what it has not: with an own token about another job, or with a token that is over. */
  lie(target: Promised): void {
    const { random, systemId } = this.#who
    const { tokens } = this.#world.oracle
    const known = tokens.filter((one) => this.#world.oracle.owners.get(nameOf(one)) === systemId)
    if (known.length === 0) return
    const { token } = random.pick(known)
    const lie = random.pick(['finish', 'append'] as const)
    this.#world.note(`${systemId} lies about ${nameOf(target)}`)
    const said = this.#world.request(`${systemId} lie ${lie}`, async ({ core }) => {
      const { lease } = await authenticateJob(core, token, 'job', target.jobId)
      if (lease.jobId !== target.jobId)
        this.#world.fail('a token is its own job’s', `${nameOf(lease)} opened job ${target.jobId}`)
      // With a token of its own that is still good, only what the lease allows can be said.
      if (lie === 'append')
        await appendTrace(core, { ...lease, offset: 1 << 20, data: Buffer.from('x'), overlap: 'refuse' })
    })
    said.catch(() => undefined)
  }

  async #pollOn(boot: number): Promise<void> {
    while (boot === this.#boot) {
      if (this.works.size < this.#who.capacity) await this.#poll(boot)
      await this.#sleep(this.#who.random.between(1000, 4000))
    }
  }

  async #poll(boot: number): Promise<void> {
    const requestId = `${this.#who.systemId}-${++this.#polls}`
    for (let time = 0; time < asksAgain; time++) {
      const came = await this.#ask('poll', (node) => this.#askForJob(node, requestId, boot))
      if (boot !== this.#boot || came.is === 'refused') return
      if (came.is === 'nothing') continue
      const { value } = came
      if ('empty' in value) {
        this.#lastUpdate = value.empty
        return
      }
      const { jobId, fence } = value.offer
      const { token } = JSON.parse(value.offer.payload.toString()) as { token: string }
      const work = { jobId, fence, token }
      this.#world.oracle.tokens.push(work)
      this.works.set(nameOf(work), work)
      this.#work(work, boot)
        .finally(() => this.works.delete(nameOf(work)))
        .catch(asFault)
      return
    }
  }

  /** `POST /jobs/request`: a job, or none and a value to ask with the next time. */
  #askForJob({ polls }: SimNode, requestId: string, boot: number): Promise<{ offer: Offer } | { empty: string }> {
    const { token, systemId, features } = this.#who
    const info = {
      systemId,
      name: 'sim',
      version: '1',
      revision: 'x',
      platform: 'linux',
      architecture: 'amd64',
      executor: 'shell',
      features,
      ipAddress: null,
    }
    return new Promise((resolve, reject) => {
      const world = this.#world
      const gone = () => boot !== this.#boot
      const sender = { token, address: '', requestId }
      const reply = {
        carrier: undefined,
        get gone() {
          return gone()
        },
        job: (offer: Offer) => {
          if (gone()) return false
          world.oracle.offered(offer, systemId, offer.payload)
          if (offer.acceptWithinMs === null) world.oracle.renewed.set(nameOf(offer), world.time.monotonic())
          world.note(`${systemId} is given ${nameOf(offer)}`)
          resolve({ offer })
          return true
        },
        empty: (empty: string) => resolve({ empty }),
        onceClosed: () => undefined,
      }
      polls.answer({ token, lastUpdate: this.#lastUpdate, info, door: this.#door }, sender, reply).catch(reject)
    })
  }

  async #work(work: Work, boot: number): Promise<void> {
    const { random } = this.#who
    const total = random.int(60)
    const succeeds = random.chance(0.75)
    if (this.#misbehaves('vanishing', 0.15)) return this.vanish()
    await this.#sleep(this.#pace(300, 40_000))
    let status = await this.#touch(work)
    let sent = 0
    while (status !== undefined && status !== 'canceling' && sent < total && boot === this.#boot) {
      await this.#sleep(this.#pace(400, 60_000))
      if (this.#misbehaves('vanishing', 0.05)) return this.vanish()
      const next = await this.#append(work, sent, Math.min(total, sent + random.between(1, 30)))
      if (next === undefined) return
      sent = next
      if (random.chance(0.3)) status = await this.#touch(work)
    }
    if (status === undefined || boot !== this.#boot) return
    await this.#finish(work, sent, succeeds && status !== 'canceling', boot)
  }

  /** `PUT state=running`. Returns the job's status, or undefined when the lease is over. */
  async #touch(work: Work): Promise<string | undefined> {
    const came = await this.#insist(`touch ${nameOf(work)}`, async ({ core }) => {
      const { lease } = await authenticateJob(core, work.token, 'job', work.jobId)
      const touched = await touchLease(core, { jobId: work.jobId, fence: lease.fence, phase: 'running' })
      this.#renewed(work)
      return touched
    })
    return came.is === 'done' ? came.value.jobStatus : undefined
  }

  /** `PATCH trace`. Returns where to go on, or undefined when the lease is over. */
  async #append(work: Work, from: number, to: number): Promise<number | undefined> {
    const { oracle } = this.#world
    const offset = this.#misbehaves('lying', 0.3) ? from + this.#who.random.between(1, 9) : from
    const came = await this.#insist(`append ${nameOf(work)} at ${offset}`, async ({ core }) => {
      const { lease } = await authenticateJob(core, work.token, 'job', work.jobId)
      const data = logOf(work, offset, Math.max(offset, to))
      const appended = await appendTrace(core, {
        jobId: work.jobId,
        fence: lease.fence,
        offset,
        data,
        overlap: 'refuse',
      })
      this.#renewed(work)
      return appended
    })
    if (came.is === 'done') {
      oracle.logAcknowledged(work.jobId, came.value.length)
      return came.value.length
    }
    if (came.is === 'refused' && came.error.code === 'range_mismatch') return Number(came.error.details.length)
    return came.is === 'nothing' ? from : undefined
  }

  /** `PUT state=success|failed`, again until it is answered. */
  async #finish(work: Work, length: number, succeeds: boolean, boot: number): Promise<void> {
    const { oracle } = this.#world
    const log = logOf(work, 0, length)
    const report = {
      state: succeeds ? ('success' as const) : ('failed' as const),
      exitCode: succeeds ? 0 : 1,
      failureReason: succeeds ? null : 'script_failure',
      message: null,
      logLength: length,
      logCrc32: crc32(log),
    }
    while (boot === this.#boot) {
      const came = await this.#insist<FinishResult>(`finish ${nameOf(work)}`, async ({ core }) => {
        const fence = await fenceOf(() => authenticateJob(core, work.token, 'job', work.jobId))
        return finishJob(core, { jobId: work.jobId, fence, report })
      })
      if (came.is === 'refused') return
      if (came.is === 'done' && came.value.outcome !== 'waiting') {
        this.#world.note(
          `${this.#who.systemId} is answered ${nameOf(work)}: ${came.value.outcome} ${came.value.jobStatus}`,
        )
        oracle.finals.set(work.jobId, came.value.jobStatus as never)
        return
      }
      await this.#sleep(5000)
    }
  }

  #renewed(work: Promised): void {
    this.#world.oracle.renewed.set(nameOf(work), this.#world.time.monotonic())
  }

  /** Asks again after no answer, and after one that says to come again. */
  async #insist<T>(name: string, call: (node: SimNode) => Promise<T>): Promise<Came<T>> {
    for (let time = 0; time < asksAgain; time++) {
      const came = await this.#ask(name, call)
      if (came.is !== 'nothing') return came
      await this.#sleep(1000 * 2 ** time)
    }
    return { is: 'nothing' }
  }

  async #ask<T>(name: string, call: (node: SimNode) => Promise<T>): Promise<Came<T>> {
    const twice = this.#misbehaves('duplicating', 0.4)
    try {
      return { is: 'done', value: await this.#world.request(`${this.#who.systemId} ${name}`, call, { twice }) }
    } catch (error) {
      if (error instanceof Unanswered) return { is: 'nothing' }
      const refusal = SignalboxError.from(error)
      return refusal.code === 'unavailable' ? { is: 'nothing' } : { is: 'refused', error: refusal }
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#world.time.after(ms, resolve))
  }

  #misbehaves(trait: Parameters<Character['traits']['has']>[0], often: number): boolean {
    return !this.#world.healed && this.#who.traits.has(trait) && this.#who.random.chance(often)
  }

  #pace(usual: number, slow: number): number {
    const { random } = this.#who
    return this.#misbehaves('slow', 0.3) ? random.int(slow) : random.between(50, usual * 2)
  }
}

/** The lease of a final report, also one that is over: the first report may have been answered by a lost 200. */
async function fenceOf(authenticate: () => Promise<{ lease: { fence: number } }>): Promise<number> {
  try {
    return (await authenticate()).lease.fence
  } catch (error) {
    const lease = error instanceof SignalboxError && error.code === 'fenced' ? error.details.lease : undefined
    if (lease !== undefined) return (lease as { fence: number }).fence
    throw error
  }
}

/** A simulated runner on a stream: it speaks the messages of the protocol to a `RunnerConnection`, without a socket. */
import { crc32 } from 'node:zlib'
import { CancelPhase, JobState, type LeaseVerdict, StateOutcome, Verdict } from '../gen/signalbox/runner/v1/runner.js'
import type { RunnerConnection } from '../transports/runner-connection.js'
import { logOf, nameOf, type Promised } from './oracle.js'
import type { Character } from './runners.js'
import { type RunnerBody, type ServerBody, StreamLink, verdictsOf } from './stream-link.js'
import type { World } from './world.js'

interface Work extends Promised {
  state: 'offered' | 'running' | 'reported'
  /** Bytes that its job has written so far, and those that it will have written in the end. */
  written: number
  total: number
  sent: number
  succeeds: boolean
}

export class StreamRunner {
  readonly kind = 'stream'
  readonly works = new Map<string, Work>()
  readonly #world: World
  readonly #who: Character
  #link: StreamLink | undefined
  #boot = 1
  #revision = 0

  constructor(world: World, who: Character) {
    this.#world = world
    this.#who = who
    world.time.after(who.random.int(2000), () => this.#connect())
    world.time.every(10_000, () => this.#renew())
  }

  get character(): Character {
    return this.#who
  }

  /** The connection as a waiter of the dispatcher, while it is one. */
  get connection(): RunnerConnection | undefined {
    return this.#link?.works ? this.#link.connection : undefined
  }

  /** The network between the runner and the coordinator is cut; both find out later. */
  cut(): void {
    this.#note('is cut off')
    this.#link?.cut()
  }

  /** The runner's process is killed, and started again later. */
  vanish(): void {
    this.#note('is killed')
    this.#link?.cut()
    this.works.clear()
    this.#boot++
  }

  /** Asks for what is not its own. */
  lie(target: Promised): void {
    const { jobId, fence } = target
    const offerId = nameOf(target)
    const lies: readonly RunnerBody[] = [
      { $case: 'accept', value: { offerId, jobId, fence } },
      { $case: 'logChunk', value: { jobId, fence, offset: 0, data: Buffer.from('foreign bytes') } },
      { $case: 'leaseRenew', value: { leases: [{ jobId, fence }] } },
      { $case: 'reject', value: { offerId, jobId, fence, reason: 'no', message: '' } },
      reportOf({ ...target, total: 0 }, ++this.#revision, true),
    ]
    const lie = this.#who.random.pick(lies)
    this.#note(`lies about ${offerId}: ${lie.$case}`)
    this.#say(lie)
  }

  #connect(): void {
    if (!this.#world.node.open) {
      this.#world.time.after(this.#who.random.between(500, 3000), () => this.#connect())
      return
    }
    const link: StreamLink = new StreamLink(this.#world, this.#who, {
      hear: (body) => this.#hear(body),
      lost: () => {
        this.#link = undefined
        this.#world.time.after(this.#who.random.between(500, 5000), () => this.#connect())
      },
    })
    this.#link = link
    for (const [key, work] of this.works) if (work.state === 'offered') this.works.delete(key)
    const { systemId, features, capacity } = this.#who
    this.#say({
      $case: 'hello',
      value: {
        token: '',
        systemId,
        bootId: `boot-${this.#boot}`,
        protocolMin: 1,
        protocolMax: 1,
        name: 'sim',
        version: '1',
        revision: 'x',
        platform: 'linux',
        architecture: 'amd64',
        executor: 'shell',
        features,
        labels: {},
        capacity,
        running: [...this.works.values()].map(({ jobId, fence }) => ({ jobId, fence, finished: false })),
        protocolFeatures: [],
      },
    })
  }

  #say(body: RunnerBody): void {
    this.#link?.say(body)
  }

  #hear(body: ServerBody): void {
    for (const verdict of verdictsOf(body)) this.#judge(verdict)
    switch (body.$case) {
      case 'welcome':
        this.#note('is welcome')
        this.#want()
        break
      case 'offer':
        this.#offered(body.value)
        break
      case 'logAck':
        this.#acknowledged(body.value.jobId, body.value.fence, body.value.durableOffset)
        break
      case 'stateAck':
        this.#answered(body.value)
        break
      case 'cancel': {
        const { jobId, fence, revision } = body.value
        this.#say({ $case: 'cancelAck', value: { jobId, fence, revision, phase: CancelPhase.CANCEL_PHASE_RECEIVED } })
        this.#end(body.value, false)
        break
      }
      case 'offerRevoked':
        this.#drop(body.value)
        break
      case 'ping':
        this.#say({ $case: 'pong', value: { nonce: body.value.nonce } })
        break
      default:
    }
  }

  #offered(offer: Promised): void {
    const { random } = this.#who
    this.#note(`is offered ${nameOf(offer)}`)
    if (this.#misbehaves('vanishing', 0.1)) {
      this.vanish()
      return
    }
    const { jobId, fence } = offer
    const offerId = nameOf(offer)
    if (!this.#world.healed && random.chance(0.05)) {
      this.#say({ $case: 'reject', value: { offerId, jobId, fence, reason: 'busy', message: '' } })
      this.#want()
      return
    }
    const work: Work = {
      jobId,
      fence,
      state: 'offered',
      written: 0,
      total: random.int(60),
      sent: 0,
      succeeds: random.chance(0.75),
    }
    this.works.set(offerId, work)
    this.#world.time.after(this.#pace(200, 12_000), () =>
      this.#say({ $case: 'accept', value: { offerId, jobId, fence } }),
    )
  }

  #judge(verdict: LeaseVerdict): void {
    const work = this.works.get(nameOf(verdict))
    if (verdict.verdict === Verdict.VERDICT_HELD) {
      this.#checkOwn(verdict)
      if (!work) return
      if (work.state === 'offered') this.#begin(work)
      else if (verdict.logOffset < work.sent) this.#resume(work, verdict.logOffset)
      if (verdict.cancel) this.#end(work, false)
      return
    }
    this.#drop(verdict)
  }

  /** The coordinator says that we hold this lease, so it must have offered it to us. */
  #checkOwn(lease: Promised): void {
    const owner = this.#world.oracle.owners.get(nameOf(lease))
    if (owner === this.#who.systemId) return
    this.#world.fail(
      'only the owner writes',
      `${this.#who.systemId} holds ${nameOf(lease)}, which was offered to ${owner ?? 'nobody'}`,
    )
  }

  #begin(work: Work): void {
    work.state = 'running'
    this.#say({ $case: 'started', value: { jobId: work.jobId, fence: work.fence, facts: {} } })
    this.#world.time.after(this.#pace(300, 70_000), () => this.#goOn(work))
  }

  #goOn(work: Work): void {
    if (this.works.get(nameOf(work)) !== work || work.state !== 'running') return
    if (this.#misbehaves('vanishing', 0.05)) {
      this.vanish()
      return
    }
    if (work.written >= work.total) {
      this.#end(work, work.succeeds)
      return
    }
    work.written = Math.min(work.total, work.written + this.#who.random.between(1, 30))
    this.#sendLog(work)
    this.#world.time.after(this.#pace(300, 30_000), () => this.#goOn(work))
  }

  #sendLog(work: Work): void {
    const { random } = this.#who
    let from = work.sent
    if (this.#misbehaves('duplicating', 0.3)) from = random.int(from + 1)
    if (this.#misbehaves('lying', 0.2)) from += random.between(1, 5)
    const { jobId, fence } = work
    this.#say({
      $case: 'logChunk',
      value: { jobId, fence, offset: from, data: logOf(work, from, Math.max(from, work.written)) },
    })
    work.sent = work.written
  }

  #resume(work: Work, offset: number): void {
    work.sent = offset
    if (work.sent < work.written) this.#sendLog(work)
    if (work.state === 'reported') this.#say(reportOf(work, ++this.#revision, work.succeeds))
  }

  #acknowledged(jobId: number, fence: number, length: number): void {
    const work = this.works.get(nameOf({ jobId, fence }))
    if (!work) return
    if (length > work.written)
      this.#world.fail('the log only grows by its owner', `${nameOf(work)}: ${length} of ${work.written} bytes`)
    this.#world.oracle.logAcknowledged(jobId, length)
    // What is told beyond a gap is where to go on.
    if (length < work.sent && this.#who.traits.has('lying')) this.#resume(work, length)
  }

  #end(lease: Promised, succeeds: boolean): void {
    const work = this.works.get(nameOf(lease))
    if (!work || work.state === 'reported') return
    if (work.state === 'offered') {
      this.#drop(work)
      return
    }
    work.state = 'reported'
    work.succeeds = succeeds
    work.total = work.written
    const report = reportOf(work, ++this.#revision, succeeds)
    this.#say(report)
    if (this.#misbehaves('duplicating', 0.5)) this.#say(report)
    // Until it is answered it is said again, as often as needed.
    this.#again(work)
  }

  #again(work: Work): void {
    this.#world.time.after(20_000, () => {
      if (this.works.get(nameOf(work)) !== work) return
      this.#resume(work, this.#world.oracle.logs.get(work.jobId) ?? 0)
      this.#again(work)
    })
  }

  #answered({ jobId, fence, outcome, jobStatus }: Promised & { outcome: StateOutcome; jobStatus: string }): void {
    const lease = { jobId, fence }
    this.#note(`is answered ${nameOf(lease)}: ${StateOutcome[outcome]} ${jobStatus}`)
    if (outcome === StateOutcome.STATE_OUTCOME_APPLIED || outcome === StateOutcome.STATE_OUTCOME_DUPLICATE) {
      this.#checkOwn(lease)
      this.#world.oracle.finals.set(jobId, jobStatus as never)
    }
    this.#drop(lease)
  }

  #drop(lease: Promised): void {
    if (!this.works.delete(nameOf(lease))) return
    this.#want()
  }

  #want(): void {
    this.#say({ $case: 'want', value: { credits: Math.max(0, this.#who.capacity - this.works.size) } })
  }

  #renew(): void {
    const leases = [...this.works.values()]
      .filter((work) => work.state !== 'offered')
      .map(({ jobId, fence }) => ({ jobId, fence }))
    if (leases.length === 0 || this.#misbehaves('slow', 0.6)) return
    this.#say({ $case: 'leaseRenew', value: { leases } })
  }

  #misbehaves(trait: Parameters<Character['traits']['has']>[0], often: number): boolean {
    return !this.#world.healed && this.#who.traits.has(trait) && this.#who.random.chance(often)
  }

  #pace(usual: number, slow: number): number {
    const { random } = this.#who
    return this.#misbehaves('slow', 0.3) ? random.int(slow) : random.between(50, usual * 2)
  }

  #note(text: string): void {
    this.#world.note(`${this.#who.systemId} ${text}`)
  }
}

function reportOf(work: Promised & { total: number }, revision: number, succeeds: boolean): RunnerBody {
  const log = logOf(work, 0, work.total)
  return {
    $case: 'stateUpdate',
    value: {
      jobId: work.jobId,
      fence: work.fence,
      revision,
      state: succeeds ? JobState.JOB_STATE_SUCCESS : JobState.JOB_STATE_FAILED,
      exitCode: succeeds ? 0 : 1,
      failureReason: succeeds ? '' : 'script_failure',
      message: '',
      logLength: log.length,
      logCrc32: crc32(log),
    },
  }
}

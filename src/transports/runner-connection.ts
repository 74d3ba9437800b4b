/**
 * One stream of one runner manager, whichever carrier it came on. It is in one of four states, moved by `#enter` only:
 *
 *   greeting   until Hello has been answered; only Hello is allowed, and it must come within 10 s
 *   open       Welcome is sent: the manager is a waiter of the dispatcher as soon as it has credits
 *   draining   the runner takes no more work; what it holds goes on
 *   closed     nothing is sent or read any more; leases live on without us
 *
 * Messages are handled strictly in order. Log bytes are the exception in one way: the next message need not wait until
 * they are durable, so acknowledgements follow when they are.
 *
 * Everything that must survive is in the store; losing this object loses nothing but time.
 */
import type { Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import type { Lease } from '../core/lease.js'
import type { LeaseListener } from '../core/lease-signals.js'
import { acceptLease } from '../core/operations/accept-lease.js'
import { acknowledgeCancel } from '../core/operations/acknowledge-cancel.js'
import { finishJob } from '../core/operations/finish-job.js'
import { loseLease } from '../core/operations/lose-lease.js'
import { renewLeases } from '../core/operations/renew-leases.js'
import { startJob } from '../core/operations/start-job.js'
import { voidOffer } from '../core/operations/void-offer.js'
import type { Offer } from '../core/payload/offer.js'
import type { Runner } from '../core/runner.js'
import type { Waiter } from '../core/scheduler/dispatcher.js'
import type { RunnerFacts } from '../core/scheduler/match.js'
import { listOpenLeases } from '../core/store/leases.js'
import {
  CancelPhase,
  ErrorCode,
  GoodbyeCode,
  type Hello,
  type RunnerMessage,
  type ServerMessage,
  StateOutcome,
  type StateUpdate,
} from '../gen/signalbox/runner/v1/runner.js'
import { attach } from './attach.js'
import { cancelOf, fromStateUpdate, keyOf, toErrorCode, toLeaseVerdict } from './convert.js'
import { LogIntake } from './log-intake.js'
import type { StreamHub } from './stream-hub.js'

type Body = NonNullable<RunnerMessage['body']>
type Reply = NonNullable<ServerMessage['body']>

/** What a transport gives: a way to send, and to slow the other side down. */
export interface Carrier {
  readonly door: 'grpc' | 'websocket'
  readonly remoteAddress: string | null
  /** The token that came with the call or upgrade; empty if none did. */
  readonly token: string
  send(message: ServerMessage): void
  /** Bytes handed over and not yet taken by the network. */
  queuedBytes(): number
  pause(): void
  resume(): void
  /** Ends the stream; `code` as in the Goodbye before it. */
  close(code: GoodbyeCode, reason: string): void
}

type State = 'greeting' | 'open' | 'draining' | 'closed'

/** A peer that reads so slowly is cut off. */
const queueLimitBytes = 4 * 1024 * 1024
const inboxLimit = 64
const inboxLimitBytes = 1024 * 1024

export class RunnerConnection implements Waiter, LeaseListener {
  readonly door: Carrier['door']
  readonly requestId = null
  /** Milliseconds of running, as `clock.ran` counts; read by the hub's keepalive. */
  lastHeardAt: number
  pingSentAt = 0
  readonly openedAt: number
  runner!: Runner
  facts!: RunnerFacts
  managerId = 0
  bootId = ''
  epoch = 0

  readonly #core: Core
  readonly #hub: StreamHub
  readonly #carrier: Carrier
  #state: State = 'greeting'
  #seq = 0
  #heard = 0
  #credits = 0
  #reserved = 0
  /** Envelopes of offers that the runner may not have seen when it counted its credits. */
  #offersOut: number[] = []
  #inbox: { message: RunnerMessage; bytes: number }[] = []
  #inboxBytes = 0
  #busy = false
  #paused = false
  /** Reports that wait for their log, and leases that the runner did not mention when it came back. */
  #reports: Map<string, StateUpdate> | undefined
  #suspects: Map<string, { jobId: number; fence: number; until: number }> | undefined
  #logs: LogIntake | undefined

  constructor(core: Core, hub: StreamHub, carrier: Carrier) {
    this.#core = core
    this.#hub = hub
    this.#carrier = carrier
    this.door = carrier.door
    this.openedAt = core.clock.ran()
    this.lastHeardAt = this.openedAt
  }

  get state(): State {
    return this.#state
  }

  get core(): Core {
    return this.#core
  }

  get hub(): StreamHub {
    return this.#hub
  }

  get carrier(): Carrier {
    return this.#carrier
  }

  // ------------------------------------------------------------------------------------------------- from the carrier

  /** Takes in one envelope of `bytes` bytes. */
  receive(message: RunnerMessage, bytes: number): void {
    if (this.#state === 'closed') return
    this.lastHeardAt = this.#core.clock.ran()
    this.pingSentAt = 0
    this.#inbox.push({ message, bytes })
    this.#inboxBytes += bytes
    if (!this.#paused && (this.#inbox.length > inboxLimit || this.#inboxBytes > inboxLimitBytes)) {
      this.#paused = true
      this.#carrier.pause()
    }
    if (this.#busy) return
    this.#work().catch((error: unknown) => {
      // Its messages would never be looked at again: the runner does better with a new stream.
      this.#core.log.error({ err: error, runner: this.runner?.id }, 'a stream could not go on')
      this.#enter('closed')
      this.#carrier.close(GoodbyeCode.GOODBYE_CODE_PROTOCOL, 'internal error')
    })
  }

  /** What came was not an envelope. */
  malformed(reason: string): void {
    this.fail(ErrorCode.ERROR_CODE_INVALID, reason, GoodbyeCode.GOODBYE_CODE_PROTOCOL)
  }

  /** The carrier is gone, whoever ended it. Leases go on until their terms end. */
  gone(): void {
    this.#enter('closed')
  }

  // ----------------------------------------------------------------------------------------------------- as a waiter

  free(): number {
    return this.#state === 'open' ? this.#credits - this.#reserved : 0
  }

  reserve(): void {
    this.#reserved++
  }

  unreserve(): void {
    this.#reserved--
  }

  deliver(offer: Offer): boolean {
    this.#reserved--
    if (this.#state !== 'open') return false
    this.#credits--
    const seq = this.send({
      $case: 'offer',
      value: {
        offerId: `${offer.jobId}.${offer.fence}`,
        jobId: offer.jobId,
        fence: offer.fence,
        acceptWithinMs: offer.acceptWithinMs ?? 0,
        payload: offer.payload,
        projectId: offer.projectId,
        pipelineId: offer.pipelineId,
        jobName: offer.jobName,
        timeoutMs: offer.timeoutS * 1000,
      },
    })
    this.#offersOut.push(seq)
    return true
  }

  // ------------------------------------------------------------------------------------------- as a listener to leases

  cancelWanted(lease: Lease): void {
    this.send({ $case: 'cancel', value: cancelOf(lease, this.#core.settings.leases.cancelGraceMs) })
  }

  leaseEnded(lease: Lease, reason: string): void {
    const ref = { jobId: lease.jobId, fence: lease.fence }
    if (lease.status === 'offered') {
      this.send({ $case: 'offerRevoked', value: { offerId: `${lease.jobId}.${lease.fence}`, ...ref, reason } })
    } else {
      this.send({ $case: 'leaseState', value: { leases: [toLeaseVerdict(ref, null, reason)] } })
    }
    this.#reports?.delete(keyOf(ref))
    this.#sayDrained()
  }

  jobFinished(lease: { jobId: number; fence: number }, jobStatus: string): void {
    const update = this.#reports?.get(keyOf(lease))
    if (!update) return
    this.#reports?.delete(keyOf(lease))
    this.#answerReport(update, StateOutcome.STATE_OUTCOME_APPLIED, jobStatus)
  }

  // --------------------------------------------------------------------------------------------------- from the hub

  /** Called now and then: leases that the runner has not mentioned for a whole period are lost. */
  tick(now: number): void {
    for (const [key, suspect] of this.#suspects ?? []) {
      if (suspect.until > now) continue
      this.#suspects?.delete(key)
      this.#spawn(loseLease(this.#core, suspect, 'The runner came back without the job that it had been given.'))
    }
  }

  /** The runner's settings have changed. */
  reclassify(runner: Runner, facts: RunnerFacts): void {
    if (this.#state === 'closed' || this.#state === 'greeting') return
    this.#core.dispatcher.remove(this)
    this.runner = runner
    this.facts = facts
    this.#core.dispatcher.add(this)
  }

  /** The runner is deleted: it gets no more jobs, and goodbye when those that it has are over. */
  dismiss(): void {
    if (this.#state === 'closed' || this.#dismissed) return
    this.#dismissed = true
    this.#enter('draining')
    this.#credits = 0
    this.send({ $case: 'drain', value: { revision: 0, reason: 'this runner is deleted' } })
    this.#sayDrained()
  }

  ping(): void {
    this.pingSentAt = this.#core.clock.ran()
    this.send({ $case: 'ping', value: { nonce: this.#seq + 1 } })
  }

  /** Says goodbye and closes. Safe to repeat. */
  goodbye(code: GoodbyeCode, reason: string, reconnectAfterMs = 0): void {
    if (this.#state === 'closed') return
    this.send({ $case: 'goodbye', value: { code, reason, reconnectAfterMs } })
    this.#enter('closed')
    this.#carrier.close(code, reason)
  }

  /** Says what was wrong, then goodbye. */
  fail(code: ErrorCode, message: string, goodbye: GoodbyeCode, relatedSeq = 0): void {
    if (this.#state === 'closed') return
    this.send({ $case: 'error', value: { code, message, relatedSeq, fatal: true } })
    this.goodbye(goodbye, message)
  }

  /** Sends one body; gives the envelope's number. */
  send(body: Reply): number {
    if (this.#state === 'closed') return this.#seq
    this.#seq++
    this.#carrier.send({ seq: this.#seq, ack: this.#heard, body })
    if (this.#carrier.queuedBytes() > queueLimitBytes) {
      this.#enter('closed')
      this.#carrier.close(GoodbyeCode.GOODBYE_CODE_SLOW_CONSUMER, 'the peer reads too slowly')
    }
    return this.#seq
  }

  /** Leases of this manager that the runner did not list; they are lost after a while, unless it mentions them. */
  suspect(leases: readonly { jobId: number; fence: number }[]): void {
    const until = this.#core.clock.ran() + this.#core.settings.leases.renewEveryMs
    this.#suspects = new Map(leases.map((lease) => [keyOf(lease), { jobId: lease.jobId, fence: lease.fence, until }]))
  }

  /** Hello has been answered: the stream is open, and a waiter, unless it has gone meanwhile. */
  opened(): void {
    if (this.#state === 'closed') return
    this.#enter('open')
    this.#core.dispatcher.add(this)
  }

  // ------------------------------------------------------------------------------------------------------- messages

  async #work(): Promise<void> {
    this.#busy = true
    for (let next = this.#inbox.shift(); next; next = this.#inbox.shift()) {
      this.#inboxBytes -= next.bytes
      await this.#handle(next.message)
      if (this.#paused && this.#inbox.length < inboxLimit / 2 && this.#inboxBytes < inboxLimitBytes / 2) {
        this.#paused = false
        this.#carrier.resume()
      }
    }
    this.#busy = false
  }

  async #handle(message: RunnerMessage): Promise<void> {
    if (this.#state === 'closed') return
    const { body, seq } = message
    if (!body) {
      this.send({
        $case: 'error',
        value: { code: ErrorCode.ERROR_CODE_UNSUPPORTED, message: 'unknown message', relatedSeq: seq, fatal: false },
      })
      this.#heard = seq
      return
    }
    if ((body.$case === 'hello') !== (this.#state === 'greeting')) {
      const reason = this.#state === 'greeting' ? `${body.$case} before hello` : 'a second hello'
      this.fail(ErrorCode.ERROR_CODE_OUT_OF_ORDER, reason, GoodbyeCode.GOODBYE_CODE_PROTOCOL, seq)
      return
    }
    try {
      await this.#dispatch(body, message)
    } catch (thrown) {
      this.#refuse(thrown, body, seq)
    }
    this.#heard = seq
  }

  async #dispatch(body: Body, message: RunnerMessage): Promise<void> {
    switch (body.$case) {
      case 'hello':
        return this.#hello(body.value, message.seq)
      case 'want':
        return this.#want(body.value.credits, message.ack)
      case 'accept':
        return this.#accept(body.value)
      case 'reject':
        await voidOffer(
          this.#core,
          { ...body.value, managerId: this.managerId },
          'refused',
          cut(body.value.reason || body.value.message || 'refused'),
        )
        return
      case 'started':
        return startJob(this.#core, { ...body.value, managerId: this.managerId })
      case 'logChunk':
        this.#logs ??= new LogIntake(this)
        return this.#logs.take(body.value)
      case 'stateUpdate':
        return this.#report(body.value)
      case 'cancelAck':
        if (body.value.phase !== CancelPhase.CANCEL_PHASE_RECEIVED) return
        return acknowledgeCancel(this.#core, { ...body.value, managerId: this.managerId })
      case 'leaseRenew':
        return this.#renew(body.value.leases)
      case 'drain':
        return this.#drain(body.value.revision)
      case 'ping':
        this.send({ $case: 'pong', value: { nonce: body.value.nonce } })
        return
      case 'pong':
        return
      case 'goodbye':
        this.#enter('closed')
        this.#carrier.close(GoodbyeCode.GOODBYE_CODE_DONE, 'goodbye')
        return
      case 'error':
        this.#core.log.warn(
          { runner: this.runner.id, code: body.value.code, said: cut(body.value.message) },
          'a runner reports an error',
        )
        return
    }
  }

  async #hello(hello: Hello, seq: number): Promise<void> {
    try {
      await attach(this, hello)
    } catch (thrown) {
      const error = SignalboxError.from(thrown)
      const unknown = error.code === 'unauthenticated'
      if (error.code === 'internal') this.#core.log.error({ err: thrown }, 'a hello failed')
      this.fail(
        error.details.version === undefined ? toErrorCode(error.code) : ErrorCode.ERROR_CODE_VERSION,
        error.message,
        unknown ? GoodbyeCode.GOODBYE_CODE_UNAUTHORIZED : GoodbyeCode.GOODBYE_CODE_PROTOCOL,
        seq,
      )
    }
  }

  /** The total counts what the runner knew: offers beyond the envelope that it has seen come off it. */
  #want(credits: number, seen: number): void {
    this.#offersOut = this.#offersOut.filter((seq) => seq > seen)
    this.#credits = Math.max(0, Math.min(credits, this.#hub.creditLimit) - this.#offersOut.length)
    this.#core.dispatcher.seek(this)
  }

  async #accept(offer: { jobId: number; fence: number }): Promise<void> {
    try {
      const lease = await acceptLease(this.#core, { ...offer, managerId: this.managerId })
      this.send({ $case: 'leaseState', value: { leases: [toLeaseVerdict(offer, lease.termMs)] } })
    } catch (thrown) {
      if (SignalboxError.from(thrown).code !== 'fenced') throw thrown
      this.#hub.stats.fenced++
      this.send({ $case: 'leaseState', value: { leases: [toLeaseVerdict(offer, null, 'fenced')] } })
    }
  }

  async #report(update: StateUpdate): Promise<void> {
    const key = keyOf(update)
    this.#reports ??= new Map()
    this.#reports.set(key, update)
    try {
      const { outcome, jobStatus } = await finishJob(this.#core, {
        jobId: update.jobId,
        fence: update.fence,
        managerId: this.managerId,
        report: fromStateUpdate(update),
      })
      if (outcome === 'waiting' || !this.#reports.delete(key)) return
      const answer = outcome === 'applied' ? StateOutcome.STATE_OUTCOME_APPLIED : StateOutcome.STATE_OUTCOME_DUPLICATE
      this.#answerReport(update, answer, jobStatus)
    } catch (thrown) {
      this.#reports.delete(key)
      const error = SignalboxError.from(thrown)
      if (error.code !== 'fenced') throw thrown
      this.#hub.stats.fenced++
      this.#answerReport(
        update,
        StateOutcome.STATE_OUTCOME_FENCED,
        (error.details.jobStatus as string | undefined) ?? '',
      )
    }
  }

  #answerReport(update: StateUpdate, outcome: StateOutcome, jobStatus: string): void {
    const { jobId, fence, revision } = update
    this.send({ $case: 'stateAck', value: { jobId, fence, revision, outcome, jobStatus } })
    this.#sayDrained()
  }

  async #renew(leases: readonly { jobId: number; fence: number }[]): Promise<void> {
    for (const lease of leases) this.#suspects?.delete(keyOf(lease))
    if (leases.length === 0) return
    const renewed = await renewLeases(this.#core, this.managerId, leases)
    this.send({
      $case: 'leaseState',
      value: {
        leases: renewed.map((one) => toLeaseVerdict(one, one.expiresInMs, one.expiresInMs === null ? 'fenced' : '')),
      },
    })
  }

  #drainRevision = 0
  #dismissed = false

  async #drain(revision: number): Promise<void> {
    this.#enter('draining')
    this.#credits = 0
    this.#drainRevision = revision
    for (const lease of await listOpenLeases(this.#core.store.read, this.managerId)) {
      if (lease.status === 'offered') await voidOffer(this.#core, lease, 'refused', 'draining')
    }
    await this.#countDrain()
  }

  #sayDrained(): void {
    if (this.#state === 'draining') this.#spawn(this.#countDrain())
  }

  async #countDrain(): Promise<void> {
    const open = await listOpenLeases(this.#core.store.read, this.managerId)
    this.send({ $case: 'drainState', value: { revision: this.#drainRevision, openLeases: open.length } })
    if (this.#dismissed && open.length === 0)
      this.goodbye(GoodbyeCode.GOODBYE_CODE_UNAUTHORIZED, 'this runner is deleted')
  }

  /** A message that could not be done: told, and the stream goes on. */
  #refuse(thrown: unknown, body: Body, seq: number): void {
    const error = SignalboxError.from(thrown)
    if (error.code === 'internal') this.#core.log.error({ err: thrown, message: body.$case }, 'a message failed')
    if (error.code === 'fenced') this.#hub.stats.fenced++
    const lease =
      'jobId' in body.value && 'fence' in body.value ? { jobId: body.value.jobId, fence: body.value.fence } : undefined
    this.send({
      $case: 'error',
      value: {
        code: toErrorCode(error.code),
        message: error.message,
        relatedSeq: seq,
        fatal: false,
        ...(lease ? { lease } : {}),
      },
    })
    if (error.code === 'fenced' && lease) {
      this.send({ $case: 'leaseState', value: { leases: [toLeaseVerdict(lease, null, 'fenced')] } })
    }
  }

  #spawn(work: Promise<unknown>): void {
    void work.catch((error) =>
      this.#core.log.error({ err: error, runner: this.runner?.id }, 'work for a stream failed'),
    )
  }

  #enter(state: State): void {
    if (this.#state === state || this.#state === 'closed') return
    this.#state = state
    if (state === 'closed') {
      this.#inbox = []
      this.#core.dispatcher.remove(this)
      this.#hub.closed(this)
    }
  }
}

const longestText = 256

function cut(text: string): string {
  return text.slice(0, longestText)
}

import {
  type CancelPhase,
  ErrorCode,
  type Goodbye,
  GoodbyeCode,
  type HeldLease,
  type Hello,
  type LeaseVerdict,
  type Offer,
  type ServerMessage,
  Verdict,
  type Welcome,
} from '../gen/signalbox/runner/v1/runner.js'
import { WindowedBackoff } from './backoff.js'
import type { RunnerLog } from './events.js'
import type { Lease, LeaseStream, RunnerBody } from './lease.js'
import { messageOf, RunnerError } from './runner-error.js'
import { leaseKey } from './spool.js'
import type { Carrier, CarrierEnd, Transport } from './transports/transport.js'

/** What the link asks of the runner, and tells it. */
export interface LinkOwner {
  /** How many more jobs can be taken now. */
  credits(): number
  /** @returns the lease to accept, or why not. The answer is given at once. */
  offered(offer: Offer): Lease | { reason: string; message: string }
  connected(welcome: Welcome): void
  disconnected(reason: string, retryInMs: number): void
  /** The node wants no more jobs run here after the present ones. */
  drainAsked(reason: string): void
  /** The node has voided what it had offered before our drain. */
  drainSettled(): void
  /** The link is over; nothing more will be sent or received. */
  ended(error: RunnerError | undefined): void
}

/**
 * The runner's half of the stream, whatever carries it: one connection at a time, made again after it was lost, over
 * which any number of leases come and go. It holds no job; leases tell it what there is to say.
 *
 *   idle -> connecting -> greeting --Welcome--> live
 *              ^             \____________________/ lost
 *              \--- waiting <-------/                      any state -> closed
 *
 * `#move` is the only place where the state changes.
 */
export class Link {
  #state: LinkState = { kind: 'idle' }
  readonly #leases = new Map<string, Lease>()
  readonly #backoff = new WindowedBackoff(firstWindowMs, lastWindowMs)
  #drain: { revision: number; reason: string; settled: boolean } | undefined
  #ticker: NodeJS.Timeout | undefined
  #flush: { timer: NodeJS.Timeout; at: number } | undefined
  #nonce = 0

  constructor(
    private readonly transport: Transport,
    private readonly hello: Omit<Hello, 'running'>,
    private readonly owner: LinkOwner,
    private readonly log: RunnerLog,
  ) {}

  start(): void {
    if (this.#state.kind === 'idle') this.#connect()
  }

  /** Adds a lease that this process or an earlier one holds. */
  add(lease: Lease): void {
    this.#leases.set(leaseKey(lease), lease)
    lease.spool.onAppend(() => this.wake(lease.spool.length - lease.spool.acked >= flushBytes ? 0 : flushAfterMs))
  }

  get leases(): readonly Lease[] {
    return [...this.#leases.values()]
  }

  get live(): boolean {
    return this.#state.kind === 'live'
  }

  /** There is something to send, in `withinMs` milliseconds at the latest. */
  wake(withinMs = 0): void {
    if (this.#state.kind !== 'live') return
    if (withinMs === 0) {
      this.#pump()
      return
    }
    const at = performance.now() + withinMs
    if (this.#flush !== undefined && this.#flush.at <= at) return
    if (this.#flush !== undefined) clearTimeout(this.#flush.timer)
    this.#flush = { at, timer: setTimeout(() => this.#pump(), withinMs) }
  }

  /** The number of free places has changed. */
  want(): void {
    if (this.#state.kind !== 'live') return
    this.#send({ $case: 'want', value: { credits: this.owner.credits() } })
  }

  /** Asks for no more work; said again on every stream. */
  drain(reason: string): void {
    if (this.#drain !== undefined) return
    this.#drain = { revision: 1, reason, settled: false }
    if (this.#state.kind === 'live') this.#sendDrain()
  }

  /** Whether the node has voided what it had offered, so that nothing is on its way any more. */
  get drained(): boolean {
    return this.#drain?.settled === true
  }

  /** What cancel was to stop is dead. */
  cancelStopped(lease: Lease): void {
    lease.cancelStopped(this.#stream())
  }

  /** Says farewell and ends. Safe to repeat. */
  close(): void {
    if (this.#state.kind === 'live') {
      this.#send({
        $case: 'goodbye',
        value: { code: GoodbyeCode.GOODBYE_CODE_DONE, reason: 'the runner stops', reconnectAfterMs: 0 },
      })
    }
    this.#finish(undefined)
  }

  #connect(): void {
    const carrier: Carrier = this.transport.open({
      opened: () => this.#greet(carrier),
      message: (message) => this.#receive(carrier, message),
      drained: () => this.wake(),
      closed: (end) => this.#closed(carrier, end),
    })
    this.#move({ kind: 'connecting', carrier, since: performance.now() })
    this.#tickEvery(slowestTickMs)
  }

  #greet(carrier: Carrier): void {
    if (this.#state.kind !== 'connecting' || this.#state.carrier !== carrier) return
    const now = performance.now()
    this.#move({ kind: 'greeting', carrier, since: now, sentSeq: 0, seenSeq: 0, sentAt: now, heardAt: now })
    const running: HeldLease[] = this.leases.map((lease) => {
      lease.streamOpened()
      return { jobId: lease.jobId, fence: lease.fence, finished: lease.finished }
    })
    this.#send({ $case: 'hello', value: { ...this.hello, running } })
  }

  #receive(carrier: Carrier, message: ServerMessage): void {
    const state = this.#state
    if ((state.kind !== 'greeting' && state.kind !== 'live') || state.carrier !== carrier) return
    state.heardAt = performance.now()
    // Processed, as far as the peer is concerned: everything below happens before we send anything.
    state.seenSeq = Math.max(state.seenSeq, message.seq)
    try {
      this.#handle(carrier, message)
    } catch (error) {
      // A fault of ours about one message must not take the other jobs along.
      this.log.error({ seq: message.seq, case: message.body?.$case, error: messageOf(error) }, 'a message failed here')
      this.#sendError(ErrorCode.ERROR_CODE_INTERNAL, 'internal error', message.seq)
    }
  }

  #handle(carrier: Carrier, message: ServerMessage): void {
    const { body } = message
    switch (body?.$case) {
      case undefined:
        this.#sendError(ErrorCode.ERROR_CODE_UNSUPPORTED, 'this body is not known here', message.seq)
        break
      case 'welcome':
        this.#welcome(body.value)
        break
      case 'offer':
        this.#offer(body.value)
        break
      case 'offerRevoked':
        // An offer can be withdrawn, a held lease only ended.
        if (this.#leaseOf(body.value)?.accepting === true) this.#leaseOf(body.value)?.abandon(body.value.reason)
        this.#forgetGone()
        this.want()
        break
      case 'leaseState':
        for (const verdict of body.value.leases) this.#verdict(verdict)
        this.#forgetGone()
        break
      case 'logAck': {
        const lease = this.#leaseOf(body.value)
        if (lease?.logAcked(body.value) === true) {
          const { jobId, fence } = body.value
          this.log.error({ jobId, fence }, 'the coordinator has lost log bytes that it had acknowledged')
          const code = ErrorCode.ERROR_CODE_INVALID
          this.#sendError(code, 'log_regressed: acknowledged bytes were lost', message.seq, { jobId, fence })
        }
        this.wake()
        break
      }
      case 'stateAck':
        this.#leaseOf(body.value)?.stateAcked(body.value)
        this.#forgetGone()
        break
      case 'cancel': {
        const lease = this.#leaseOf(body.value)
        if (lease !== undefined) this.#acknowledge(lease, lease.canceled(body.value))
        break
      }
      case 'drain':
        this.owner.drainAsked(body.value.reason)
        break
      case 'drainState':
        if (this.#drain === undefined || body.value.revision !== this.#drain.revision) break
        this.#drain.settled = true
        this.owner.drainSettled()
        break
      case 'ping':
        this.#send({ $case: 'pong', value: { nonce: body.value.nonce } })
        break
      case 'pong':
        break
      case 'goodbye':
        this.#goodbye(carrier, body.value)
        break
      case 'error':
        this.#error(body.value)
        break
    }
  }

  #welcome(welcome: Welcome): void {
    if (this.#state.kind !== 'greeting') return
    if (welcome.protocol !== this.hello.protocolMax) {
      this.#finish(new RunnerError('protocol', `the coordinator chose protocol ${welcome.protocol}, unknown here`))
      return
    }
    this.#backoff.reset()
    this.#move({ ...this.#state, kind: 'live', welcome, renewedAt: performance.now(), missedPings: 0, pingAt: 0 })
    const { renewEveryMs, pingIntervalMs } = welcome
    this.#tickEvery(Math.min(renewEveryMs || slowestTickMs, pingIntervalMs || slowestTickMs) / 4)
    this.owner.connected(welcome)
    for (const lease of this.#leases.values()) lease.opened(welcome.logWindowBytes)
    for (const verdict of welcome.verdicts) this.#verdict(verdict, { windowBytes: welcome.logWindowBytes })
    this.#forgetGone()
    if (this.#drain !== undefined) this.#sendDrain()
    else this.want()
    this.wake()
  }

  #offer(offer: Offer): void {
    const { offerId, jobId, fence } = offer
    if (this.#leaseOf(offer) !== undefined) {
      // Said twice, or the answer was lost.
      this.#send({ $case: 'accept', value: { offerId, jobId, fence } })
      return
    }
    const answer = this.owner.offered(offer)
    if ('reason' in answer) {
      this.#send({ $case: 'reject', value: { offerId, jobId, fence, ...answer } })
      this.want()
      return
    }
    this.add(answer)
    answer.asked()
    if (this.#state.kind === 'live') answer.opened(this.#state.welcome.logWindowBytes)
    this.#send({ $case: 'accept', value: { offerId, jobId, fence } })
  }

  #verdict(verdict: LeaseVerdict, log?: { windowBytes: number }): void {
    const lease = this.#leaseOf(verdict)
    if (lease === undefined || this.#state.kind !== 'live') return
    if (verdict.verdict === Verdict.VERDICT_HELD) {
      this.#acknowledge(lease, lease.verdict(verdict, this.#state.welcome.leaseMs, log))
    } else {
      // An unknown verdict is taken for the safest: somebody else may be running this job.
      lease.abandon(verdict.reason)
    }
  }

  #acknowledge(lease: Lease, phases: readonly CancelPhase[]): void {
    for (const body of lease.cancelAcks(phases)) this.#send(body)
  }

  #error(error: NonNullable<Extract<ServerMessage['body'], { $case: 'error' }>>['value']): void {
    this.log.warn({ code: error.code, lease: error.lease }, `the coordinator says: ${error.message}`)
    if (error.code === ErrorCode.ERROR_CODE_FENCED && error.lease !== undefined) {
      this.#leaseOf(error.lease)?.abandon('fenced')
      this.#forgetGone()
    }
    if (!error.fatal) return
    if (error.code === ErrorCode.ERROR_CODE_UNAUTHENTICATED) {
      this.#finish(new RunnerError('unauthorized', error.message))
    } else if (error.code === ErrorCode.ERROR_CODE_VERSION) {
      this.#finish(new RunnerError('protocol', error.message))
    }
  }

  #goodbye(carrier: Carrier, { code, reason, reconnectAfterMs }: Goodbye): void {
    switch (code) {
      case GoodbyeCode.GOODBYE_CODE_DONE:
        this.#finish(undefined)
        return
      case GoodbyeCode.GOODBYE_CODE_UNAUTHORIZED:
        this.#finish(new RunnerError('unauthorized', reason || 'the token of this runner is not valid any more'))
        return
      case GoodbyeCode.GOODBYE_CODE_SUPERSEDED:
        this.#finish(new RunnerError('superseded', 'another process has connected with the system id of this one'))
        return
      default:
        this.#lost(carrier, `goodbye: ${reason || code}`, reconnectAfterMs)
    }
  }

  #closed(carrier: Carrier, end: CarrierEnd): void {
    if (!('carrier' in this.#state) || this.#state.carrier !== carrier) return
    if (end.kind === 'unauthorized') this.#finish(new RunnerError('unauthorized', end.message))
    else this.#lost(carrier, end.message, end.retryAfterMs ?? 0)
  }

  /** The connection is gone, or is given up: the jobs go on, and another connection is made. */
  #lost(carrier: Carrier, reason: string, atLeastMs: number): void {
    const waitMs = atLeastMs + this.#backoff.next()
    this.#move({ kind: 'waiting', timer: setTimeout(() => this.#connect(), waitMs) })
    carrier.close()
    this.owner.disconnected(reason, waitMs)
  }

  #finish(error: RunnerError | undefined): void {
    const state = this.#state
    if (state.kind === 'closed') return
    this.#move({ kind: 'closed' })
    clearInterval(this.#ticker)
    if ('carrier' in state) state.carrier.close()
    this.owner.ended(error)
  }

  /** Everything that time brings: renewals, pings, deadlines. */
  #tick(): void {
    const state = this.#state
    const now = performance.now()
    for (const lease of this.#leases.values()) lease.tick()
    if (state.kind === 'connecting' || state.kind === 'greeting') {
      if (now - state.since > welcomeWithinMs) state.carrier.abort('no answer in time')
    }
    if (state.kind !== 'live') return
    const { renewEveryMs, pingIntervalMs } = state.welcome
    if (renewEveryMs > 0 && now - state.renewedAt >= renewEveryMs) this.#renew(state, now)
    if (pingIntervalMs > 0) this.#checkPeer(state, now, pingIntervalMs)
    this.#pump()
  }

  #tickEvery(ms: number): void {
    clearInterval(this.#ticker)
    this.#ticker = setInterval(() => this.#tick(), Math.max(fastestTickMs, Math.min(ms, slowestTickMs)))
  }

  #renew(state: LiveState, now: number): void {
    state.renewedAt = now
    const leases = this.leases.filter((lease) => lease.renewable)
    if (leases.length === 0) return
    for (const lease of leases) lease.asked()
    this.#send({ $case: 'leaseRenew', value: { leases: leases.map(({ jobId, fence }) => ({ jobId, fence })) } })
  }

  /** A carrier that looks open may lead nowhere; only an answer of the peer proves that it does not. */
  #checkPeer(state: LiveState, now: number, pingIntervalMs: number): void {
    if (state.heardAt > state.pingAt) state.missedPings = 0
    const waiting = state.pingAt > state.heardAt
    if (waiting && now - state.pingAt < Math.min(pongWithinMs, pingIntervalMs / 2)) return
    if (waiting && ++state.missedPings >= 2) {
      state.carrier.abort('the coordinator does not answer')
      return
    }
    if (!waiting && now - state.sentAt < pingIntervalMs && now - state.heardAt < pingIntervalMs) return
    state.pingAt = now
    this.#send({ $case: 'ping', value: { nonce: ++this.#nonce } })
  }

  #pump(): void {
    if (this.#flush !== undefined) clearTimeout(this.#flush.timer)
    this.#flush = undefined
    const stream = this.#stream()
    if (stream === undefined) return
    for (const lease of this.#leases.values()) {
      try {
        lease.pump(stream)
      } catch (error) {
        // Its spool cannot be read. The other jobs have theirs.
        this.log.error({ jobId: lease.jobId, error: messageOf(error) }, 'cannot read the log of a job')
      }
    }
  }

  #stream(): LeaseStream | undefined {
    const state = this.#state
    if (state.kind !== 'live') return undefined
    return {
      maxLogChunkBytes: state.welcome.maxLogChunkBytes || defaultChunkBytes,
      get writable() {
        return state.carrier.writable
      },
      send: (body) => this.#send(body),
    }
  }

  #send(body: RunnerBody): void {
    const state = this.#state
    if (state.kind !== 'greeting' && state.kind !== 'live') return
    state.sentAt = performance.now()
    state.carrier.send({ seq: ++state.sentSeq, ack: state.seenSeq, body })
  }

  #sendDrain(): void {
    if (this.#drain === undefined) return
    const { revision, reason } = this.#drain
    this.#send({ $case: 'want', value: { credits: 0 } })
    this.#send({ $case: 'drain', value: { revision, reason } })
  }

  #sendError(code: ErrorCode, message: string, relatedSeq: number, lease?: { jobId: number; fence: number }): void {
    this.#send({ $case: 'error', value: { code, message, relatedSeq, fatal: false, lease } })
  }

  #leaseOf(ref: { jobId: number; fence: number }): Lease | undefined {
    return this.#leases.get(leaseKey(ref))
  }

  #forgetGone(): void {
    for (const [key, lease] of this.#leases) if (lease.gone) this.#leases.delete(key)
  }

  #move(state: LinkState): void {
    if (this.#state.kind === 'waiting') clearTimeout(this.#state.timer)
    this.#state = state
  }
}

type LinkState =
  | { kind: 'idle' }
  | { kind: 'connecting'; carrier: Carrier; since: number }
  | ({ kind: 'greeting'; since: number } & StreamState)
  | LiveState
  | { kind: 'waiting'; timer: NodeJS.Timeout }
  | { kind: 'closed' }

interface StreamState {
  carrier: Carrier
  sentSeq: number
  seenSeq: number
  sentAt: number
  heardAt: number
}

interface LiveState extends StreamState {
  kind: 'live'
  welcome: Welcome
  renewedAt: number
  pingAt: number
  missedPings: number
}

const firstWindowMs = 500
const lastWindowMs = 60_000
const welcomeWithinMs = 20_000
const pongWithinMs = 10_000
const fastestTickMs = 20
const slowestTickMs = 1_000
const flushBytes = 64 * 1024
const flushAfterMs = 100
const defaultChunkBytes = 64 * 1024

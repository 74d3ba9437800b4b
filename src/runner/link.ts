/** The protocol's side of a runner: offers, leases and credits over a connection that may break. */
import {
  type CancelPhase,
  ErrorCode,
  type HeldLease,
  type Hello,
  type LeaseVerdict,
  type LogAck,
  type Offer,
  type OfferRevoked,
  type ServerMessage,
  Verdict,
  type Welcome,
} from '../gen/signalbox/runner/v1/runner.js'
import { Connection, type ConnectionOwner } from './connection.js'
import type { RunnerLog } from './events.js'
import type { Lease, LeaseStream } from './lease.js'
import { messageOf, type RunnerError } from './runner-error.js'
import { leaseKey } from './spool.js'
import type { Transport } from './transports/transport.js'

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
 * The runner's half of the conversation, whatever carries it: offers, leases, places, drain. Leases outlive the streams
 * on which they are spoken of; each says by itself what there is to say, and here it is said when there is a stream.
 */
export class Link implements ConnectionOwner {
  readonly #connection: Connection
  readonly #leases = new Map<string, Lease>()
  #drain: { revision: number; reason: string; settled: boolean } | undefined
  #flush: { timer: NodeJS.Timeout; at: number } | undefined
  #renewedAt = 0

  constructor(
    transport: Transport,
    hello: Omit<Hello, 'running'>,
    private readonly runner: LinkOwner,
    private readonly log: RunnerLog,
  ) {
    this.#connection = new Connection(transport, hello, this)
  }

  start(): void {
    this.#connection.start()
  }

  /** Says farewell and ends. Safe to repeat. */
  close(): void {
    this.#connection.close()
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
    return this.#connection.welcome !== undefined
  }

  /** There is something to send, in `withinMs` milliseconds at the latest. */
  wake(withinMs = 0): void {
    if (!this.live) return
    if (withinMs === 0) {
      this.#pump()
      return
    }
    const at = performance.now() + withinMs
    if (this.#flush !== undefined && this.#flush.at <= at) return
    clearTimeout(this.#flush?.timer)
    this.#flush = { at, timer: setTimeout(() => this.#pump(), withinMs) }
  }

  /** The number of free places has changed. */
  want(): void {
    if (this.live) this.#connection.send({ $case: 'want', value: { credits: this.runner.credits() } })
  }

  /** Asks for no more work; said again on every stream. */
  drain(reason: string): void {
    if (this.#drain !== undefined) return
    this.#drain = { revision: 1, reason, settled: false }
    if (this.live) this.#sendDrain(this.#drain)
  }

  /** Whether the node has voided what it had offered, so that nothing is on its way any more. */
  get settled(): boolean {
    return this.#drain?.settled === true
  }

  /** What a cancel was to stop is dead. */
  cancelStopped(lease: Lease): void {
    lease.cancelStopped(this.#stream())
  }

  greeting(): HeldLease[] {
    return this.leases.map((lease) => {
      lease.streamOpened()
      return { jobId: lease.jobId, fence: lease.fence, finished: lease.finished }
    })
  }

  welcomed(welcome: Welcome): void {
    this.#renewedAt = performance.now()
    this.runner.connected(welcome)
    for (const lease of this.#leases.values()) lease.opened(welcome.logWindowBytes)
    for (const verdict of welcome.verdicts) {
      this.#guarded('welcome', 0, () => this.#verdict(verdict, { windowBytes: welcome.logWindowBytes }))
    }
    this.#forgetGone()
    if (this.#drain !== undefined) this.#sendDrain(this.#drain)
    else this.want()
    this.#pump()
  }

  drained(): void {
    this.#pump()
  }

  lost(reason: string, retryInMs: number): void {
    this.runner.disconnected(reason, retryInMs)
  }

  ended(error: RunnerError | undefined): void {
    clearTimeout(this.#flush?.timer)
    this.runner.ended(error)
  }

  tick(now: number): void {
    for (const lease of this.#leases.values()) lease.tick()
    const renewEveryMs = this.#connection.welcome?.renewEveryMs ?? 0
    if (renewEveryMs > 0 && now - this.#renewedAt >= renewEveryMs) this.#renew(now)
    this.#pump()
  }

  message(message: ServerMessage): void {
    this.#guarded(message.body?.$case, message.seq, () => this.#handle(message))
    this.#forgetGone()
  }

  /** A fault of ours about one message, or one lease, must not take the other jobs along. */
  #guarded(what: string | undefined, seq: number, body: () => void): void {
    try {
      body()
    } catch (error) {
      this.log.error({ seq, case: what, error: messageOf(error) }, 'a message failed here')
      this.#sendError(ErrorCode.ERROR_CODE_INTERNAL, 'internal error', seq)
    }
  }

  #handle({ body, seq }: ServerMessage): void {
    switch (body?.$case) {
      case 'offer':
        this.#offer(body.value)
        break
      case 'offerRevoked':
        this.#revoked(body.value)
        break
      case 'leaseState':
        for (const verdict of body.value.leases) this.#verdict(verdict)
        break
      case 'logAck':
        this.#logAcked(body.value, seq)
        break
      case 'stateAck':
        this.#leaseOf(body.value)?.stateAcked(body.value)
        break
      case 'cancel': {
        const lease = this.#leaseOf(body.value)
        if (lease !== undefined) this.#acknowledge(lease, lease.canceled(body.value))
        break
      }
      case 'drain':
        this.runner.drainAsked(body.value.reason)
        break
      case 'drainState':
        if (body.value.revision !== this.#drain?.revision) break
        this.#drain.settled = true
        this.runner.drainSettled()
        break
      case 'error':
        this.log.warn({ code: body.value.code, lease: body.value.lease }, `the coordinator says: ${body.value.message}`)
        if (body.value.code !== ErrorCode.ERROR_CODE_FENCED || body.value.lease === undefined) break
        this.#leaseOf(body.value.lease)?.abandon('fenced')
        break
      default:
        this.#sendError(ErrorCode.ERROR_CODE_UNSUPPORTED, 'this body is not known here', seq)
    }
  }

  #offer(offer: Offer): void {
    const { offerId, jobId, fence } = offer
    if (this.#leaseOf(offer) !== undefined) {
      // Said twice, or the answer was lost.
      this.#connection.send({ $case: 'accept', value: { offerId, jobId, fence } })
      return
    }
    const answer = this.runner.offered(offer)
    if ('reason' in answer) {
      this.#connection.send({ $case: 'reject', value: { offerId, jobId, fence, ...answer } })
      this.want()
      return
    }
    this.add(answer)
    answer.asked()
    answer.opened(this.#connection.welcome?.logWindowBytes ?? 0)
    this.#connection.send({ $case: 'accept', value: { offerId, jobId, fence } })
  }

  #revoked(revoked: OfferRevoked): void {
    // An offer can be withdrawn, a held lease only ended.
    const lease = this.#leaseOf(revoked)
    if (lease?.accepting === true) lease.abandon(revoked.reason)
    this.want()
  }

  #verdict(verdict: LeaseVerdict, log?: { windowBytes: number }): void {
    const lease = this.#leaseOf(verdict)
    if (lease === undefined) return
    if (verdict.verdict === Verdict.VERDICT_HELD) {
      this.#acknowledge(lease, lease.verdict(verdict, this.#connection.welcome?.leaseMs ?? 0, log))
    } else {
      // An unknown verdict is taken for the safest: somebody else may be running this job.
      lease.abandon(verdict.reason)
    }
  }

  #logAcked(ack: LogAck, seq: number): void {
    if (this.#leaseOf(ack)?.logAcked(ack) === true) {
      const { jobId, fence } = ack
      this.log.error({ jobId, fence }, 'the coordinator has lost log bytes that it had acknowledged')
      const message = 'log_regressed: acknowledged bytes were lost'
      this.#sendError(ErrorCode.ERROR_CODE_INVALID, message, seq, { jobId, fence })
    }
    this.#pump()
  }

  #acknowledge(lease: Lease, phases: readonly CancelPhase[]): void {
    for (const body of lease.cancelAcks(phases)) this.#connection.send(body)
  }

  #renew(now: number): void {
    this.#renewedAt = now
    const leases = this.leases.filter((lease) => lease.renewable)
    if (leases.length === 0) return
    for (const lease of leases) lease.asked()
    const refs = leases.map(({ jobId, fence }) => ({ jobId, fence }))
    this.#connection.send({ $case: 'leaseRenew', value: { leases: refs } })
  }

  /** Lets every lease say what it has to say. */
  #pump(): void {
    clearTimeout(this.#flush?.timer)
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
    const connection = this.#connection
    const { welcome } = connection
    if (welcome === undefined) return undefined
    return {
      maxLogChunkBytes: welcome.maxLogChunkBytes || defaultChunkBytes,
      get writable() {
        return connection.writable
      },
      send: (body) => connection.send(body),
    }
  }

  #sendDrain({ revision, reason }: { revision: number; reason: string }): void {
    this.#connection.send({ $case: 'want', value: { credits: 0 } })
    this.#connection.send({ $case: 'drain', value: { revision, reason } })
  }

  #sendError(code: ErrorCode, message: string, relatedSeq: number, lease?: { jobId: number; fence: number }): void {
    this.#connection.send({ $case: 'error', value: { code, message, relatedSeq, fatal: false, lease } })
  }

  #leaseOf(ref: { jobId: number; fence: number }): Lease | undefined {
    return this.#leases.get(leaseKey(ref))
  }

  #forgetGone(): void {
    for (const [key, lease] of this.#leases) if (lease.gone) this.#leases.delete(key)
  }
}

const flushBytes = 64 * 1024
const flushAfterMs = 100
const defaultChunkBytes = 64 * 1024

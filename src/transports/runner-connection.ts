/**
 * One stream of one runner manager, whichever carrier it came on. Its state is one value, changed by `#enter` only:
 *
 *   greeting    until Hello has come and its runner is known; only Hello is allowed, and Welcome must follow within 10 s
 *   attaching   the leases of both sides are compared; Welcome is next
 *   open        the manager is a waiter of the dispatcher as soon as it has credits
 *   draining    the runner takes no more work; what it holds goes on
 *   closed      nothing is sent or read any more; leases live on without us
 *
 * Messages are handled strictly in order (`inbox.ts`, `messages.ts`). Log bytes are the exception in one way: the next message need not
 * wait until they are durable, so acknowledgements follow when they are (`log-intake.ts`).
 *
 * Everything that must survive is in the store; losing this object loses nothing but time.
 */
import type { Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import type { Lease } from '../core/lease.js'
import type { LeaseListener } from '../core/lease-signals.js'
import { loseLease } from '../core/operations/lose-lease.js'
import { voidOffer } from '../core/operations/void-offer.js'
import type { Offer } from '../core/payload/offer.js'
import type { Runner } from '../core/runner.js'
import type { Waiter } from '../core/scheduler/dispatcher.js'
import type { RunnerFacts } from '../core/scheduler/match.js'
import { listOpenLeases } from '../core/store/leases.js'
import { ErrorCode, GoodbyeCode, type Hello, type RunnerMessage } from '../gen/signalbox/runner/v1/runner.js'
import { identify, type Peer, reconcile } from './attach.js'
import type { Carrier } from './carrier.js'
import { cancelOf, keyOf, toErrorCode, toLeaseVerdict, toOffer, toWelcome } from './convert.js'
import { Credits } from './credits.js'
import { Inbox } from './inbox.js'
import { LogIntake } from './log-intake.js'
import { handle, type Listener, refuse, sayVerdicts } from './messages.js'
import { ReportIntake } from './report-intake.js'
import type { Reply } from './stream.js'
import { Suspects } from './suspects.js'

type State =
  | { is: 'greeting' }
  | { is: 'attaching' | 'open'; peer: Peer }
  /** `revision`: of the runner's own wish. `dismissed`: the runner is deleted, and goodbye follows its last lease. */
  | { is: 'draining'; peer: Peer; revision: number; dismissed: boolean }
  | { is: 'closed'; peer: Peer | undefined }

/** What all streams of the node share. */
export interface Hub {
  readonly pingIntervalMs: number
  /** Credits that one stream can have at most. */
  readonly creditLimit: number
  readonly logWindowBytes: number
  readonly stats: { fenced: number }
  /**
   * Files a connection under its manager. Returns how many streams the manager has had with this node, this one included,
   * and the boot of the last one before, if there was one.
   */
  register(connection: RunnerConnection, peer: Peer): { epoch: number; lastBoot: string | undefined }
  /** A connection has ended; `managerId` if it was known. */
  closed(connection: RunnerConnection, managerId: number | undefined): void
}

/** How long a stream may be silent, in milliseconds. */
export interface Patience {
  helloWithinMs: number
  /** A ping is sent after this much silence. */
  pingIntervalMs: number
  pongWithinMs: number
}

/** A peer that leaves more than this unread is cut off. */
const queueLimitBytes = 4 * 1024 * 1024

export class RunnerConnection implements Waiter, LeaseListener, Listener {
  readonly core: Core
  readonly door: Carrier['door']
  readonly requestId = null
  readonly #hub: Hub
  readonly #carrier: Carrier
  readonly #inbox: Inbox
  readonly #credits = new Credits()
  #state: State = { is: 'greeting' }
  /** Numbers of the last envelopes sent and handled. */
  #sent = 0
  #handled = 0
  /** Milliseconds of running, as `clock.ran` counts. `#pingedAt`: undefined: something has come since. */
  readonly #openedAt: number
  #heardAt: number
  #pingedAt: number | undefined
  readonly #suspects = new Suspects()
  #logs: LogIntake | undefined
  #reports: ReportIntake | undefined

  constructor(core: Core, hub: Hub, carrier: Carrier) {
    this.core = core
    this.#hub = hub
    this.#carrier = carrier
    this.door = carrier.door
    this.#openedAt = core.clock.ran()
    this.#heardAt = this.#openedAt
    this.#inbox = new Inbox(
      carrier,
      (message) => this.#handle(message),
      (error) => {
        // Its messages would never be looked at again: the runner does better with a new stream.
        core.log.error({ err: error, runner: this.#peer?.runner.id }, 'a stream could not go on')
        this.#close(GoodbyeCode.GOODBYE_CODE_PROTOCOL, 'internal error')
      },
    )
  }

  /** Whether Welcome has been said, and the stream still lives. */
  get attached(): boolean {
    return this.#state.is === 'open' || this.#state.is === 'draining'
  }

  get managerId(): number {
    return this.#known.managerId
  }

  get runner(): Runner {
    return this.#known.runner
  }

  get facts(): RunnerFacts {
    return this.#known.facts
  }

  get #peer(): Peer | undefined {
    return this.#state.is === 'greeting' ? undefined : this.#state.peer
  }

  /** The peer, for what happens only once it is known. */
  get #known(): Peer {
    const peer = this.#peer
    if (!peer) throw new Error('the runner of this stream is not known yet')
    return peer
  }

  /** The only way from one state to another. Does nothing once the stream is closed. */
  #enter(next: State): void {
    if (this.#state.is === 'closed') return
    this.#state = next
    if (next.is === 'open') this.core.dispatcher.add(this)
    if (next.is !== 'closed') return
    this.#inbox.clear()
    this.core.dispatcher.remove(this)
    this.#hub.closed(this, this.#peer?.managerId)
  }

  /** Takes in one envelope of `bytes` bytes. */
  receive(message: RunnerMessage, bytes: number): void {
    if (this.#state.is === 'closed') return
    this.#heardAt = this.core.clock.ran()
    this.#pingedAt = undefined
    this.#inbox.push(message, bytes)
  }

  /** What came was not an envelope. */
  malformed(reason: string): void {
    this.#fail(ErrorCode.ERROR_CODE_INVALID, reason, GoodbyeCode.GOODBYE_CODE_PROTOCOL)
  }

  /** The carrier is gone, whoever ended it. Leases go on until their terms end. */
  gone(): void {
    this.#enter({ is: 'closed', peer: this.#peer })
  }

  free(): number {
    return this.#state.is === 'open' ? this.#credits.free : 0
  }

  reserve(): void {
    this.#credits.reserve()
  }

  unreserve(): void {
    this.#credits.unreserve()
  }

  deliver(offer: Offer): boolean {
    this.#credits.unreserve()
    if (this.#state.is !== 'open') return false
    this.#credits.spend(this.send({ $case: 'offer', value: toOffer(offer) }))
    return true
  }

  cancelWanted(lease: Lease): void {
    this.send({ $case: 'cancel', value: cancelOf(lease, this.core.settings.leases.cancelGraceMs) })
  }

  leaseEnded(lease: Lease, reason: string): void {
    const ref = { jobId: lease.jobId, fence: lease.fence }
    if (lease.status === 'offered') {
      this.send({ $case: 'offerRevoked', value: { offerId: keyOf(ref), ...ref, reason } })
    } else {
      sayVerdicts(this, [toLeaseVerdict(ref, null, reason)])
    }
    this.#reports?.forget(ref)
    this.#sayDrained()
  }

  jobFinished(lease: { jobId: number; fence: number }, jobStatus: string): void {
    this.#reports?.finished(lease, jobStatus)
  }

  /**
   * Called each second: pings after a silence, and gives up leases that the runner has not mentioned for a whole period.
   * Returns what the stream has waited for in vain, if that is why it should end.
   */
  tick(now: number, { helloWithinMs, pingIntervalMs, pongWithinMs }: Patience): 'no hello' | 'no pong' | undefined {
    if (!this.attached) return now - this.#openedAt > helloWithinMs ? 'no hello' : undefined
    for (const lease of this.#suspects.due(now)) {
      this.#spawn(loseLease(this.core, lease, 'The runner came back without the job that it had been given.'))
    }
    if (this.#pingedAt !== undefined) {
      // Two misses: one interval for the first answer, one more for a slow one.
      return now - this.#pingedAt > 2 * pongWithinMs ? 'no pong' : undefined
    }
    if (now - this.#heardAt > pingIntervalMs) {
      this.#pingedAt = now
      this.send({ $case: 'ping', value: { nonce: this.#sent + 1 } })
    }
    return undefined
  }

  /** The runner's settings have changed. */
  reclassify(runner: Runner, facts: RunnerFacts): void {
    const state = this.#state
    if (state.is === 'greeting' || state.is === 'closed') return
    this.core.dispatcher.remove(this)
    this.#enter({ ...state, peer: { ...state.peer, runner, facts } })
  }

  /** The runner is deleted: it gets no more jobs, and goodbye when those that it has are over. */
  dismiss(): void {
    const state = this.#state
    if (state.is === 'greeting' || state.is === 'closed' || (state.is === 'draining' && state.dismissed)) return
    const revision = state.is === 'draining' ? state.revision : 0
    this.#enter({ is: 'draining', peer: state.peer, revision, dismissed: true })
    if (state.is !== 'attaching') this.#sayDismissed()
  }

  /** Says goodbye and closes. Safe to repeat. */
  goodbye(code: GoodbyeCode, reason: string, reconnectAfterMs = 0): void {
    if (this.#state.is === 'closed') return
    this.send({ $case: 'goodbye', value: { code, reason, reconnectAfterMs } })
    this.#close(code, reason)
  }

  get logs(): LogIntake {
    this.#logs ??= new LogIntake(this, this.#hub.logWindowBytes)
    return this.#logs
  }

  get reports(): ReportIntake {
    this.#reports ??= new ReportIntake(this, () => this.#sayDrained())
    return this.#reports
  }

  want(credits: number, seen: number): void {
    this.#credits.set(Math.min(credits, this.#hub.creditLimit), seen)
    this.core.dispatcher.seek(this)
  }

  mentioned(leases: readonly { jobId: number; fence: number }[]): void {
    this.#suspects.mentioned(leases)
  }

  leave(): void {
    this.#close(GoodbyeCode.GOODBYE_CODE_DONE, 'goodbye')
  }

  send(body: Reply): number {
    if (this.#state.is === 'closed') return this.#sent
    this.#sent++
    this.#carrier.send({ seq: this.#sent, ack: this.#handled, body })
    if (this.#carrier.queuedBytes() > queueLimitBytes) {
      this.#close(GoodbyeCode.GOODBYE_CODE_SLOW_CONSUMER, 'the peer reads too slowly')
    }
    return this.#sent
  }

  countFenced(): void {
    this.#hub.stats.fenced++
  }

  #close(code: GoodbyeCode, reason: string): void {
    this.gone()
    this.#carrier.close(code, reason)
  }

  /** Says what was wrong, then goodbye. */
  #fail(code: ErrorCode, message: string, goodbye: GoodbyeCode, relatedSeq = 0): void {
    this.send({ $case: 'error', value: { code, message, relatedSeq, fatal: true } })
    this.goodbye(goodbye, message)
  }

  async #handle(message: RunnerMessage): Promise<void> {
    if (this.#state.is === 'closed') return
    const { body, seq } = message
    if (!body) {
      this.send({
        $case: 'error',
        value: { code: ErrorCode.ERROR_CODE_UNSUPPORTED, message: 'unknown message', relatedSeq: seq, fatal: false },
      })
      this.#handled = seq
      return
    }
    const greeting = this.#state.is === 'greeting'
    if ((body.$case === 'hello') !== greeting) {
      const reason = greeting ? `${body.$case} before hello` : 'a second hello'
      this.#fail(ErrorCode.ERROR_CODE_OUT_OF_ORDER, reason, GoodbyeCode.GOODBYE_CODE_PROTOCOL, seq)
      return
    }
    try {
      if (body.$case === 'hello') await this.#hello(body.value, seq)
      else await handle(this, body, message.ack)
    } catch (thrown) {
      refuse(this, thrown, body, seq)
    }
    this.#handled = seq
  }

  async #hello(hello: Hello, seq: number): Promise<void> {
    try {
      await this.#attach(hello)
    } catch (thrown) {
      const error = SignalboxError.from(thrown)
      const unknown = error.code === 'unauthenticated'
      if (error.code === 'internal') this.core.log.error({ err: thrown }, 'a hello failed')
      this.#fail(
        error.details.version === undefined ? toErrorCode(error.code) : ErrorCode.ERROR_CODE_VERSION,
        error.message,
        unknown ? GoodbyeCode.GOODBYE_CODE_UNAUTHORIZED : GoodbyeCode.GOODBYE_CODE_PROTOCOL,
        seq,
      )
    }
  }

  /** greeting → attaching → open, unless it has gone, or its runner is deleted, meanwhile. */
  async #attach(hello: Hello): Promise<void> {
    const { core } = this
    const peer = await identify(core, this.#carrier, hello)
    if (this.#state.is === 'closed') return
    this.#enter({ is: 'attaching', peer })
    const { epoch, lastBoot } = this.#hub.register(this, peer)
    const { verdicts, unmentioned } = await reconcile(core, peer, hello, lastBoot)
    this.#suspects.add(unmentioned, core.clock.ran() + core.settings.leases.renewEveryMs)
    this.send({ $case: 'welcome', value: toWelcome(core, this.#hub, { runnerId: peer.runner.id, epoch, verdicts }) })
    // What it is now, not what it was before the wait.
    const state = this.#state as State
    if (state.is === 'attaching') this.#enter({ is: 'open', peer: state.peer })
    if (state.is === 'draining') this.#sayDismissed()
  }

  async drain(revision: number): Promise<void> {
    const dismissed = this.#state.is === 'draining' && this.#state.dismissed
    this.#enter({ is: 'draining', peer: this.#known, revision, dismissed })
    for (const lease of await listOpenLeases(this.core.store.read, this.managerId)) {
      if (lease.status === 'offered') await voidOffer(this.core, lease, 'refused', 'draining')
    }
    await this.#countDrain()
  }

  #sayDismissed(): void {
    this.send({ $case: 'drain', value: { revision: 0, reason: 'this runner is deleted' } })
    this.#sayDrained()
  }

  #sayDrained(): void {
    if (this.#state.is === 'draining') this.#spawn(this.#countDrain())
  }

  async #countDrain(): Promise<void> {
    const open = await listOpenLeases(this.core.store.read, this.managerId)
    if (this.#state.is !== 'draining') return
    const { revision, dismissed } = this.#state
    this.send({ $case: 'drainState', value: { revision, openLeases: open.length } })
    if (dismissed && open.length === 0) this.goodbye(GoodbyeCode.GOODBYE_CODE_UNAUTHORIZED, 'this runner is deleted')
  }

  #spawn(work: Promise<unknown>): void {
    work.catch((error) =>
      this.core.log.error({ err: error, runner: this.#peer?.runner.id }, 'work for a stream failed'),
    )
  }
}

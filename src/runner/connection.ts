/** Keeps one stream to the coordinator: opens it anew when it breaks, counts envelopes, answers pings. */
import {
  ErrorCode,
  type Error as ErrorMessage,
  type Goodbye,
  GoodbyeCode,
  type HeldLease,
  type Hello,
  type ServerMessage,
  type Welcome,
} from '../gen/signalbox/runner/v1/runner.js'
import { WindowedBackoff } from './backoff.js'
import type { RunnerBody } from './lease.js'
import { RunnerError } from './runner-error.js'
import type { Carrier, CarrierEnd, Transport } from './transports/transport.js'

export interface ConnectionOwner {
  /** A new stream begins: what this process holds. */
  greeting(): HeldLease[]
  welcomed(welcome: Welcome): void
  /** Anything that is not about the connection itself. */
  message(message: ServerMessage): void
  /** There is room for log bytes again. */
  drained(): void
  /** Time passes, connected or not. */
  tick(now: number): void
  /** Not connected; another attempt follows. */
  lost(reason: string, retryInMs: number): void
  /** The last call. */
  ended(error: RunnerError | undefined): void
}

/**
 * One stream at a time to the coordinator, made again after it was lost: greeting, numbering, signs of life, farewell.
 *
 *   idle -> connecting -> greeting --Welcome--> live
 *              ^             \____________________/ lost
 *              \--- waiting <-------/                      any state -> closed
 *
 * `#move` is the only place where the state changes.
 */
export class Connection {
  #state: ConnectionState = { kind: 'idle' }
  readonly #backoff = new WindowedBackoff(firstWindowMs, lastWindowMs)
  #ticker: NodeJS.Timeout | undefined
  #nonce = 0

  constructor(
    private readonly transport: Transport,
    private readonly hello: Omit<Hello, 'running'>,
    private readonly owner: ConnectionOwner,
  ) {}

  /** What the coordinator said in Welcome, while there is a stream. */
  get welcome(): Welcome | undefined {
    return this.#state.kind === 'live' ? this.#state.welcome : undefined
  }

  /** Whether log bytes may be sent; anything else may always be. */
  get writable(): boolean {
    return this.#state.kind === 'live' && this.#state.carrier.writable
  }

  start(): void {
    if (this.#state.kind === 'idle') this.#connect()
  }

  send(body: RunnerBody): void {
    const state = this.#state
    if (state.kind !== 'greeting' && state.kind !== 'live') return
    state.sentAt = performance.now()
    state.carrier.send({ seq: ++state.sentSeq, ack: state.seenSeq, body })
  }

  /** Says farewell and ends. Safe to repeat. */
  close(): void {
    const code = GoodbyeCode.GOODBYE_CODE_DONE
    this.send({ $case: 'goodbye', value: { code, reason: 'the runner stops', reconnectAfterMs: 0 } })
    this.#finish(undefined)
  }

  #connect(): void {
    const carrier: Carrier = this.transport.open({
      opened: () => this.#greet(carrier),
      message: (message) => this.#receive(carrier, message),
      drained: () => this.owner.drained(),
      closed: (end) => this.#closed(carrier, end),
    })
    this.#move({ kind: 'connecting', carrier, since: performance.now() })
    this.#tickEvery(slowestTickMs)
  }

  #greet(carrier: Carrier): void {
    if (this.#state.kind !== 'connecting' || this.#state.carrier !== carrier) return
    const now = performance.now()
    this.#move({ kind: 'greeting', carrier, since: now, sentSeq: 0, seenSeq: 0, sentAt: now, heardAt: now })
    this.send({ $case: 'hello', value: { ...this.hello, running: this.owner.greeting() } })
  }

  #receive(carrier: Carrier, message: ServerMessage): void {
    const state = this.#state
    if ((state.kind !== 'greeting' && state.kind !== 'live') || state.carrier !== carrier) return
    state.heardAt = performance.now()
    // Processed, as far as the peer is concerned: what follows happens before anything is sent.
    state.seenSeq = Math.max(state.seenSeq, message.seq)
    const { body } = message
    switch (body?.$case) {
      case 'welcome':
        this.#welcomed(body.value)
        break
      case 'ping':
        this.send({ $case: 'pong', value: { nonce: body.value.nonce } })
        break
      case 'pong':
        break
      case 'goodbye':
        this.#goodbye(carrier, body.value)
        break
      default:
        this.owner.message(message)
        if (body?.$case === 'error' && body.value.fatal) this.#fatal(body.value)
    }
  }

  #welcomed(welcome: Welcome): void {
    if (this.#state.kind !== 'greeting') return
    if (welcome.protocol !== this.hello.protocolMax) {
      this.#finish(new RunnerError('protocol', `the coordinator chose protocol ${welcome.protocol}, unknown here`))
      return
    }
    this.#backoff.reset()
    this.#move({ ...this.#state, kind: 'live', welcome, missedPings: 0, pingAt: 0 })
    const { renewEveryMs, pingIntervalMs } = welcome
    this.#tickEvery(Math.min(renewEveryMs || slowestTickMs, pingIntervalMs || slowestTickMs) / 4)
    this.owner.welcomed(welcome)
  }

  #fatal({ code, message }: ErrorMessage): void {
    if (code === ErrorCode.ERROR_CODE_UNAUTHENTICATED) this.#finish(new RunnerError('unauthorized', message))
    if (code === ErrorCode.ERROR_CODE_VERSION) this.#finish(new RunnerError('protocol', message))
  }

  #goodbye(carrier: Carrier, { code, reason, reconnectAfterMs }: Goodbye): void {
    switch (code) {
      case GoodbyeCode.GOODBYE_CODE_DONE:
        this.#finish(undefined)
        break
      case GoodbyeCode.GOODBYE_CODE_UNAUTHORIZED:
        this.#finish(new RunnerError('unauthorized', reason || 'the token of this runner is not valid any more'))
        break
      case GoodbyeCode.GOODBYE_CODE_SUPERSEDED:
        this.#finish(new RunnerError('superseded', 'another process has connected with the system id of this one'))
        break
      default:
        this.#lost(carrier, `goodbye: ${reason || code}`, reconnectAfterMs)
    }
  }

  #closed(carrier: Carrier, end: CarrierEnd): void {
    if (!('carrier' in this.#state) || this.#state.carrier !== carrier) return
    if (end.kind === 'unauthorized') this.#finish(new RunnerError('unauthorized', end.message))
    else this.#lost(carrier, end.message, end.retryAfterMs ?? 0)
  }

  #lost(carrier: Carrier, reason: string, atLeastMs: number): void {
    const waitMs = atLeastMs + this.#backoff.next()
    this.#move({ kind: 'waiting', timer: setTimeout(() => this.#connect(), waitMs) })
    carrier.close()
    this.owner.lost(reason, waitMs)
  }

  #finish(error: RunnerError | undefined): void {
    const state = this.#state
    if (state.kind === 'closed') return
    this.#move({ kind: 'closed' })
    clearInterval(this.#ticker)
    if ('carrier' in state) state.carrier.close()
    this.owner.ended(error)
  }

  #tickEvery(ms: number): void {
    clearInterval(this.#ticker)
    this.#ticker = setInterval(() => this.#tick(), Math.max(fastestTickMs, Math.min(ms, slowestTickMs)))
  }

  #tick(): void {
    const state = this.#state
    const now = performance.now()
    if ((state.kind === 'connecting' || state.kind === 'greeting') && now - state.since > welcomeWithinMs) {
      state.carrier.abort('no answer in time')
    }
    if (state.kind === 'live') this.#checkPeer(state, now)
    this.owner.tick(now)
  }

  /** A carrier that looks open may lead nowhere; only an answer of the peer proves that it does not. */
  #checkPeer(state: LiveState, now: number): void {
    const { pingIntervalMs } = state.welcome
    if (pingIntervalMs === 0) return
    if (state.heardAt > state.pingAt) state.missedPings = 0
    const waiting = state.pingAt > state.heardAt
    if (waiting && now - state.pingAt < Math.min(pongWithinMs, pingIntervalMs / 2)) return
    if (waiting && ++state.missedPings >= 2) {
      state.carrier.abort('the coordinator does not answer')
      return
    }
    if (!waiting && now - state.sentAt < pingIntervalMs && now - state.heardAt < pingIntervalMs) return
    state.pingAt = now
    this.send({ $case: 'ping', value: { nonce: ++this.#nonce } })
  }

  #move(state: ConnectionState): void {
    if (this.#state.kind === 'waiting') clearTimeout(this.#state.timer)
    this.#state = state
  }
}

type ConnectionState =
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
  pingAt: number
  missedPings: number
}

const firstWindowMs = 500
const lastWindowMs = 60_000
const welcomeWithinMs = 20_000
const pongWithinMs = 10_000
const fastestTickMs = 20
const slowestTickMs = 1_000

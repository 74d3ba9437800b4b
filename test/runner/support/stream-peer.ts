import {
  CancelMode,
  type CancelPhase,
  ErrorCode,
  GoodbyeCode,
  type Hello,
  type RunnerMessage,
  type ServerMessage,
  StateOutcome,
  Verdict,
} from '../../../src/gen/signalbox/runner/v1/runner.js'
import type { FakeCoordinator } from './fake-coordinator.js'
import { type FakeJob, toSeenReport } from './fake-job.js'

export type ServerBody = NonNullable<ServerMessage['body']>

/** What carries the messages of one stream. */
export interface Wire {
  send(message: ServerMessage): void
  /** Orderly. */
  end(): void
  /** As if a cable was pulled. */
  cut(): void
}

/** The coordinator's end of one runner stream, the same for WebSocket and gRPC. */
export class StreamPeer {
  hello: Hello | undefined
  credits = 0
  readonly received: RunnerMessage[] = []
  #seq = 0
  #ack = 0
  open = true

  constructor(
    private readonly box: FakeCoordinator,
    readonly wire: Wire,
    private readonly authorized: boolean,
  ) {}

  send(body: ServerBody): void {
    if (process.env.DBG) console.error('->', JSON.stringify(body).slice(0, 300))
    if (this.open) this.wire.send({ seq: ++this.#seq, ack: this.#ack, body })
  }

  closed(): void {
    this.open = false
    this.box.peers.delete(this)
    this.box.changed()
  }

  receive(message: RunnerMessage): void {
    if (process.env.DBG) console.error('<-', JSON.stringify(message.body).slice(0, 300))
    this.received.push(message)
    this.#ack = message.seq
    const { body } = message
    if (body === undefined || this.box.mute) return
    switch (body.$case) {
      case 'hello':
        this.#hello(body.value)
        break
      case 'want':
        this.credits = body.value.credits
        this.offer()
        break
      case 'accept':
        this.#accepted(body.value)
        break
      case 'reject':
        this.#with(body.value, (job) => {
          job.rejected.push(body.value.reason)
          job.status = 'pending'
        })
        break
      case 'started':
        this.#with(body.value, (job) => {
          job.facts = body.value.facts
        })
        break
      case 'logChunk':
        this.#with(body.value, (job) => this.#log(job, body.value.offset, body.value.data))
        break
      case 'stateUpdate':
        this.#with(body.value, (job) => {
          job.reports.push(toSeenReport(body.value))
          this.#settle(job)
        })
        break
      case 'cancelAck':
        this.#with(body.value, (job) => job.cancelPhases.push(phaseName(body.value.phase)))
        break
      case 'leaseRenew':
        this.send({ $case: 'leaseState', value: { leases: body.value.leases.flatMap((ref) => this.#verdict(ref)) } })
        break
      case 'drain':
        this.box.drained = true
        this.credits = 0
        this.send({ $case: 'drainState', value: { revision: body.value.revision, openLeases: 0 } })
        break
      case 'ping':
        this.send({ $case: 'pong', value: body.value })
        break
      case 'goodbye':
        this.box.goodbyes.push(body.value.code)
        break
      default:
        break
    }
    this.box.changed()
  }

  /** Hands out what waits, as far as credits go. */
  offer(): void {
    for (const job of this.box.jobs) {
      if (job.status !== 'pending' || this.credits === 0 || this.hello === undefined || !this.open) continue
      this.credits--
      this.offerJob(job)
    }
  }

  /** Hands out one job, credits or not. */
  offerJob(job: FakeJob): void {
    job.status = 'offered'
    this.send({
      $case: 'offer',
      value: {
        offerId: `offer-${job.id}-${job.fence}`,
        jobId: job.id,
        fence: job.fence,
        acceptWithinMs: 10_000,
        payload: job.payload,
        projectId: 1,
        pipelineId: 1,
        jobName: job.name,
        timeoutMs: 60_000,
      },
    })
  }

  cancel(job: FakeJob): void {
    const cancel = toCancel(job)
    if (cancel !== undefined) this.send({ $case: 'cancel', value: cancel })
  }

  #hello(hello: Hello): void {
    this.hello = hello
    if (!this.authorized) {
      const message = 'unknown token'
      this.send({
        $case: 'error',
        value: { code: ErrorCode.ERROR_CODE_UNAUTHENTICATED, message, relatedSeq: 1, fatal: true },
      })
      this.goodbye(GoodbyeCode.GOODBYE_CODE_UNAUTHORIZED)
      return
    }
    this.send({
      $case: 'welcome',
      value: {
        protocol: 1,
        epoch: ++this.box.epoch,
        node: 'fake',
        runnerId: 1,
        pingIntervalMs: this.box.pingIntervalMs,
        leaseMs: this.box.leaseMs,
        renewEveryMs: this.box.renewEveryMs,
        maxMessageBytes: 1024 * 1024,
        maxLogChunkBytes: 64 * 1024,
        logWindowBytes: 256 * 1024,
        httpUrl: this.box.http,
        verdicts: hello.running.flatMap((ref) => this.#verdict(ref, 'hello')),
        protocolFeatures: [],
      },
    })
  }

  goodbye(code: GoodbyeCode, reconnectAfterMs = 0): void {
    this.send({ $case: 'goodbye', value: { code, reason: 'as the test says', reconnectAfterMs } })
    this.wire.end()
  }

  #accepted(ref: { jobId: number; fence: number }): void {
    const job = this.box.job(ref.jobId)
    if (job?.fence !== ref.fence || job.status !== 'offered') {
      this.send({ $case: 'leaseState', value: { leases: [abandon(ref)] } })
      return
    }
    if (!job.treat.hold) return
    job.status = job.cancel === undefined ? 'running' : 'canceling'
    job.changed()
    this.send({ $case: 'leaseState', value: { leases: this.#verdict(ref, 'accept') } })
  }

  #log(job: FakeJob, offset: number, data: Buffer): void {
    if (!job.treat.ackLog || this.box.losesNext(job)) return
    job.append(offset, data)
    if (!job.treat.swallowAcks) this.ackLog(job)
    this.#settle(job)
  }

  ackLog(job: FakeJob): void {
    const { id: jobId, fence } = job
    const value = { jobId, fence, durableOffset: job.log.length, windowBytes: job.treat.windowBytes }
    this.send({ $case: 'logAck', value })
  }

  /** Applies a report once the bytes that it counts are here. */
  #settle(job: FakeJob): void {
    const report = job.reports.at(-1)
    if (report === undefined || job.log.length < report.logLength || !job.treat.ackState) return
    const outcome = job.done ? StateOutcome.STATE_OUTCOME_DUPLICATE : StateOutcome.STATE_OUTCOME_APPLIED
    const { id: jobId, fence } = job
    job.finish(report)
    this.send({ $case: 'stateAck', value: { jobId, fence, revision: 1, outcome, jobStatus: job.status } })
  }

  #verdict(ref: { jobId: number; fence: number }, after: 'hello' | 'accept' | 'renewal' = 'renewal') {
    const job = this.box.job(ref.jobId)
    if (job === undefined || job.fence !== ref.fence || (job.done && job.treat.ackState)) return [abandon(ref)]
    if (!job.treat.renew && after === 'renewal') return []
    if (job.status === 'offered') job.status = 'running'
    const { jobId, fence } = ref
    const cancel = after === 'hello' || job.treat.cancelWithLease ? toCancel(job) : undefined
    const verdict = Verdict.VERDICT_HELD
    return [{ jobId, fence, verdict, expiresInMs: this.box.leaseMs, logOffset: job.log.length, reason: '', cancel }]
  }

  #with(ref: { jobId: number; fence: number }, body: (job: FakeJob) => void): void {
    const job = this.box.job(ref.jobId)
    if (job === undefined || job.fence !== ref.fence) {
      const lease = { jobId: ref.jobId, fence: ref.fence }
      const value = { code: ErrorCode.ERROR_CODE_FENCED, message: 'fenced', relatedSeq: this.#ack, fatal: false, lease }
      this.send({ $case: 'error', value })
      return
    }
    body(job)
    job.changed()
  }
}

function abandon(ref: { jobId: number; fence: number }) {
  const { jobId, fence } = ref
  return { jobId, fence, verdict: Verdict.VERDICT_ABANDON, expiresInMs: 0, logOffset: 0, reason: 'fenced' }
}

function toCancel(job: FakeJob) {
  if (job.cancel === undefined) return undefined
  const { revision, graceMs } = job.cancel
  const mode = job.cancel.mode === 'force' ? CancelMode.CANCEL_MODE_FORCE : CancelMode.CANCEL_MODE_GRACEFUL
  return { jobId: job.id, fence: job.fence, revision, mode, graceMs }
}

function phaseName(phase: CancelPhase): string {
  return phase.replace('CANCEL_PHASE_', '').toLowerCase()
}

/** One lease as the runner holds it: renewals, log, report and cancel, each repeated until it is answered. */
import {
  type Cancel,
  CancelMode,
  CancelPhase,
  JobState,
  type LeaseVerdict,
  type LogAck,
  type RunnerMessage,
  type StateAck,
  StateOutcome,
  type StateUpdate,
} from '../gen/signalbox/runner/v1/runner.js'
import type { JobReport } from './job/report.js'
import type { Spool } from './spool.js'

export type RunnerBody = NonNullable<RunnerMessage['body']>

/** What a lease tells the one who runs its job. Each is called at most once, except `cancel`. */
export interface LeaseOwner {
  /** The lease is durable: the job may start. */
  held(): void
  cancel(mode: 'graceful' | 'force', graceMs: number): void
  /** It could not be renewed: the job must be dead before somebody else is given the work. */
  lost(): void
  /** Not ours (any more): stop the job and forget it. */
  abandoned(reason: string): void
  /** The coordinator has the final report. */
  reported(outcome: 'applied' | 'duplicate' | 'fenced', status: string): void
}

/** What a lease may use of the open stream. */
export interface LeaseStream {
  send(body: RunnerBody): void
  readonly writable: boolean
  readonly maxLogChunkBytes: number
}

/**
 * The runner's side of one lease: what the coordinator has of the job's log and report, and how long the lease lasts.
 *
 *   accepting --HELD--> held --report--> ended --StateAck--> gone
 *       \------------------ABANDON / fenced------------------/
 *
 * It outlives streams. What belongs to one stream (what was sent, not what was acknowledged) is forgotten by
 * `streamOpened`.
 */
export class Lease {
  #state: 'accepting' | 'held' | 'ended' | 'gone' = 'accepting'
  /** Log bytes below this were sent on this stream or are durable. */
  #sent = 0
  #window = 0
  #rewoundAt = -1
  /** When the last acknowledgement came, or the first byte was sent that still waits for one. */
  #quietSince = 0
  #reportSent = false
  #facts: Record<string, string> | undefined
  #factsSent = false
  #cancel: { revision: number; stopped: boolean } | undefined
  /** When the oldest request for a longer lease that is not answered yet was sent; its answer counts from there. */
  #askedAt: number | undefined
  #deadline = Number.POSITIVE_INFINITY
  #lost = false
  #endedAt = 0
  readonly #since: number

  constructor(
    readonly spool: Spool,
    private readonly owner: LeaseOwner,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#since = now()
    if (spool.report !== undefined) this.#state = 'ended'
  }

  get jobId(): number {
    return this.spool.lease.jobId
  }

  get fence(): number {
    return this.spool.lease.fence
  }

  get finished(): boolean {
    return this.#state === 'ended'
  }

  get gone(): boolean {
    return this.#state === 'gone'
  }

  /** Whether the coordinator has still to say that the lease is ours. */
  get accepting(): boolean {
    return this.#state === 'accepting'
  }

  /** Whether to ask for more time: also for a lease whose word from the coordinator must have been lost. */
  get renewable(): boolean {
    if (this.#state === 'accepting') return this.now() - this.#since > doubtAfterMs
    return !this.gone
  }

  /** A new stream greets the coordinator and names this lease. */
  streamOpened(): void {
    this.#window = 0
    this.#sent = this.spool.acked
    this.#quietSince = this.now()
    this.#reportSent = false
    this.#factsSent = false
    this.#askedAt = this.now()
  }

  /** The lease is being asked for, or asked to last longer. */
  asked(): void {
    this.#askedAt ??= this.now()
  }

  /**
   * The coordinator's word that this lease is ours. `log` is given in Welcome only: from where to go on, and how far.
   * @returns the phases of an outstanding cancel to acknowledge.
   */
  verdict(verdict: LeaseVerdict, leaseMs: number, log?: { windowBytes: number }): CancelPhase[] {
    if (this.gone) return []
    this.#extend(verdict.expiresInMs > 0 ? verdict.expiresInMs : leaseMs)
    if (log !== undefined) {
      this.#window = log.windowBytes
      this.spool.ack(verdict.logOffset)
      this.#sent = this.spool.acked
      this.#quietSince = this.now()
    }
    // A cancel that comes with the lease comes before the job: nothing of it is to run.
    const phases = verdict.cancel === undefined ? [] : this.canceled(verdict.cancel)
    if (this.#state === 'accepting') {
      this.#state = 'held'
      this.owner.held()
    }
    return phases
  }

  /** How many log bytes may be on their way, before any acknowledgement has said so. */
  opened(windowBytes: number): void {
    this.#window = windowBytes
  }

  /** ABANDON, or any other word that the lease is not ours. */
  abandon(reason: string): void {
    if (this.gone) return
    this.#state = 'gone'
    this.owner.abandoned(reason)
  }

  /** The script has begun. */
  started(facts: Record<string, string>): void {
    this.#facts = facts
  }

  /** The job has ended. Throws if the report could not be kept; it is delivered all the same. */
  ended(report: JobReport): void {
    if (this.gone) return
    this.#state = 'ended'
    this.#endedAt = this.now()
    this.spool.saveReport(report)
  }

  /**
   * A cancel is desired state: one that was seen before changes nothing and is answered again.
   * @returns the phases to acknowledge.
   */
  canceled(cancel: Cancel): CancelPhase[] {
    const { CANCEL_PHASE_RECEIVED: received, CANCEL_PHASE_STOPPED: stopped } = CancelPhase
    const known = this.#cancel
    if (known !== undefined && cancel.revision <= known.revision)
      return known.stopped ? [received, stopped] : [received]
    this.#cancel = { revision: cancel.revision, stopped: this.#state === 'ended' }
    // A second cancel means that the first was not quick enough.
    const force = cancel.mode === CancelMode.CANCEL_MODE_FORCE || known !== undefined
    if (this.#state !== 'ended') this.owner.cancel(force ? 'force' : 'graceful', cancel.graceMs)
    return this.#cancel.stopped ? [received, stopped] : [received]
  }

  /**
   * Takes an acknowledgement of log bytes.
   * @returns true if the coordinator has lost bytes that it had acknowledged.
   */
  logAcked({ durableOffset, windowBytes }: LogAck): boolean {
    const before = this.spool.acked
    const regressed = durableOffset < before
    // No progress although bytes are on their way: a gap. Several may be reported for one; each would send everything
    // again, so the next is believed only after progress.
    const gap = durableOffset === before && this.#sent > before && this.#rewoundAt !== before
    if (regressed || gap) this.#sent = durableOffset
    this.#rewoundAt = durableOffset > before ? -1 : durableOffset
    this.#sent = Math.max(this.#sent, Math.min(durableOffset, this.spool.length))
    this.#window = windowBytes
    this.#quietSince = this.now()
    this.spool.ack(durableOffset)
    return regressed
  }

  /** Takes the answer to the final report. */
  stateAcked(ack: StateAck): void {
    if (this.#state !== 'ended') return
    this.#state = 'gone'
    this.owner.reported(outcomes[ack.outcome] ?? 'fenced', ack.jobStatus)
  }

  /** Time passes: ends the job in time if the lease runs out, sends log bytes again that seem to be lost. */
  tick(): void {
    if (this.#state === 'held' && !this.#lost && this.now() >= this.#deadline) {
      this.#lost = true
      this.owner.lost()
    }
    const waiting = this.#sent > this.spool.acked && this.#window > 0
    if (waiting && this.now() - this.#quietSince > resendAfterMs) {
      this.#sent = this.spool.acked
      this.#quietSince = this.now()
    }
  }

  /** Sends what can be sent now. Control goes out at once; log bytes as far as window and socket allow. */
  pump(stream: LeaseStream): void {
    if (this.#state !== 'held' && this.#state !== 'ended') return
    const ids = { jobId: this.jobId, fence: this.fence }
    if (this.#facts !== undefined && !this.#factsSent) {
      stream.send({ $case: 'started', value: { ...ids, facts: this.#facts } })
      this.#factsSent = true
    }
    while (stream.writable && this.#sent < this.spool.length) {
      const room = this.#window - (this.#sent - this.spool.acked)
      if (room <= 0) break
      const data = this.spool.read(this.#sent, Math.min(room, stream.maxLogChunkBytes))
      stream.send({ $case: 'logChunk', value: { ...ids, offset: this.#sent, data } })
      if (this.#sent === this.spool.acked) this.#quietSince = this.now()
      this.#sent += data.length
    }
    // A log that is stuck must not hold the result for ever.
    const due =
      this.#sent >= this.spool.length || this.now() - Math.max(this.#endedAt, this.#quietSince) > reportAnywayAfterMs
    if (this.#state === 'ended' && !this.#reportSent && due) this.#sendReport(stream)
  }

  #sendReport(stream: LeaseStream): void {
    const { report } = this.spool
    if (report === undefined) return
    this.#reportSent = true
    const cancel = this.#cancel
    if (cancel !== undefined && !cancel.stopped) this.cancelStopped(stream)
    stream.send({ $case: 'stateUpdate', value: this.#toStateUpdate(report) })
  }

  /** Nothing of what the cancel was to stop is alive. */
  cancelStopped(stream: LeaseStream | undefined): void {
    if (this.#cancel === undefined || this.#cancel.stopped) return
    this.#cancel.stopped = true
    stream?.send({ $case: 'cancelAck', value: this.#cancelAck(CancelPhase.CANCEL_PHASE_STOPPED) })
  }

  /** The acknowledgements of a cancel, as messages. */
  cancelAcks(phases: readonly CancelPhase[]): RunnerBody[] {
    return phases.map((phase) => ({ $case: 'cancelAck', value: this.#cancelAck(phase) }))
  }

  #cancelAck(phase: CancelPhase) {
    return { jobId: this.jobId, fence: this.fence, revision: this.#cancel?.revision ?? 0, phase }
  }

  #extend(expiresInMs: number): void {
    const from = this.#askedAt ?? this.now()
    this.#askedAt = undefined
    // The coordinator's clock and ours start together at the latest when we asked.
    this.#deadline = expiresInMs === 0 ? Number.POSITIVE_INFINITY : from + expiresInMs - safetyMs(expiresInMs)
  }

  #toStateUpdate(report: JobReport): StateUpdate {
    return {
      jobId: this.jobId,
      fence: this.fence,
      revision: 1,
      state: report.state === 'success' ? JobState.JOB_STATE_SUCCESS : JobState.JOB_STATE_FAILED,
      exitCode: report.exitCode,
      failureReason: report.failureReason,
      message: report.message,
      logLength: this.spool.length,
      logCrc32: this.spool.crc,
    }
  }
}

const outcomes: Partial<Record<StateOutcome, 'applied' | 'duplicate' | 'fenced'>> = {
  [StateOutcome.STATE_OUTCOME_APPLIED]: 'applied',
  [StateOutcome.STATE_OUTCOME_DUPLICATE]: 'duplicate',
  [StateOutcome.STATE_OUTCOME_FENCED]: 'fenced',
}

/** No answer to an Accept within 30 s is a lost one. */
const doubtAfterMs = 30_000
/** How long the final report waits for a log that makes no progress. */
const reportAnywayAfterMs = 30_000
/** An acknowledgement this late is not coming: the bytes were lost on the way. */
const resendAfterMs = 15_000

/** A job must be dead before its lease is: ten seconds of the usual sixty, in proportion for shorter ones. */
function safetyMs(leaseMs: number): number {
  return Math.min(10_000, leaseMs / 6)
}

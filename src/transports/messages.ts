/** What an attached runner says, message by message: each becomes one operation, and its answer. */
import { SignalboxError } from '../core/errors.js'
import { acceptLease } from '../core/operations/accept-lease.js'
import { acknowledgeCancel } from '../core/operations/acknowledge-cancel.js'
import { renewLeases } from '../core/operations/renew-leases.js'
import { startJob } from '../core/operations/start-job.js'
import { voidOffer } from '../core/operations/void-offer.js'
import { CancelPhase, type LeaseVerdict, type RunnerMessage } from '../gen/signalbox/runner/v1/runner.js'
import { toErrorCode, toLeaseVerdict } from './convert.js'
import type { LogIntake } from './log-intake.js'
import type { ReportIntake } from './report-intake.js'
import type { Stream } from './stream.js'

export type Body = NonNullable<RunnerMessage['body']>
type LeaseKey = { jobId: number; fence: number }

/** What messages do to the stream itself. */
export interface Listener extends Stream {
  readonly logs: LogIntake
  readonly reports: ReportIntake
  /** The runner can take `credits` more jobs, having seen our envelopes up to `seen`. */
  want(credits: number, seen: number): void
  /** The runner has these leases. */
  mentioned(leases: readonly LeaseKey[]): void
  /** The runner takes no more work. */
  drain(revision: number): Promise<void>
  /** The runner has said goodbye. */
  leave(): void
}

/** Resolves when the next message may follow. Throws what the operation throws. `seen`: the runner's last envelope of ours. */
export async function handle(stream: Listener, body: Exclude<Body, { $case: 'hello' }>, seen: number): Promise<void> {
  const { core, managerId } = stream
  switch (body.$case) {
    case 'want':
      return stream.want(body.value.credits, seen)
    case 'accept':
      return accept(stream, body.value)
    case 'reject': {
      const why = cut(body.value.reason || body.value.message || 'refused')
      // Runners of one process may share their places, and all have said that they have the last one.
      await voidOffer(core, { ...body.value, managerId }, why === 'no_credit' ? 'full' : 'refused', why)
      return
    }
    case 'started':
      return startJob(core, { ...body.value, managerId })
    case 'logChunk':
      return stream.logs.take(body.value)
    case 'stateUpdate':
      return stream.reports.take(body.value)
    case 'cancelAck':
      if (body.value.phase !== CancelPhase.CANCEL_PHASE_RECEIVED) return
      return acknowledgeCancel(core, { ...body.value, managerId })
    case 'leaseRenew':
      return renew(stream, body.value.leases)
    case 'drain':
      return stream.drain(body.value.revision)
    case 'ping':
      stream.send({ $case: 'pong', value: { nonce: body.value.nonce } })
      return
    case 'pong':
      return
    case 'goodbye':
      return stream.leave()
    case 'error': {
      const { code, message } = body.value
      core.log.warn({ manager: managerId, code, said: cut(message) }, 'a runner reports an error')
      return
    }
  }
}

/** A message that could not be done: the runner is told, and the stream goes on. */
export function refuse(stream: Stream, thrown: unknown, body: Body, seq: number): void {
  const error = SignalboxError.from(thrown)
  if (error.code === 'internal') stream.core.log.error({ err: thrown, message: body.$case }, 'a message failed')
  if (error.code === 'fenced') stream.countFenced()
  const { value } = body
  const lease = 'jobId' in value && 'fence' in value ? { jobId: value.jobId, fence: value.fence } : undefined
  const code = toErrorCode(error.code)
  stream.send({
    $case: 'error',
    value: { code, message: error.message, relatedSeq: seq, fatal: false, ...(lease ? { lease } : {}) },
  })
  if (error.code === 'fenced' && lease) sayVerdicts(stream, [toLeaseVerdict(lease, null, 'fenced')])
}

export function sayVerdicts(stream: Stream, leases: LeaseVerdict[]): void {
  stream.send({ $case: 'leaseState', value: { leases } })
}

async function accept(stream: Stream, offer: LeaseKey): Promise<void> {
  try {
    const lease = await acceptLease(stream.core, { ...offer, managerId: stream.managerId })
    sayVerdicts(stream, [toLeaseVerdict(offer, lease.termMs)])
  } catch (thrown) {
    if (SignalboxError.from(thrown).code !== 'fenced') throw thrown
    stream.countFenced()
    sayVerdicts(stream, [toLeaseVerdict(offer, null, 'fenced')])
  }
}

async function renew(stream: Listener, leases: readonly LeaseKey[]): Promise<void> {
  stream.mentioned(leases)
  if (leases.length === 0) return
  const renewed = await renewLeases(stream.core, stream.managerId, leases)
  sayVerdicts(
    stream,
    renewed.map((one) => toLeaseVerdict(one, one.expiresInMs, one.expiresInMs === null ? 'fenced' : '')),
  )
}

const longestText = 256

function cut(text: string): string {
  return text.slice(0, longestText)
}

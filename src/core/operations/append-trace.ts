/**
 * A runner appends to its job's log. The bytes are on disk and their length is committed before this resolves; on doors
 * with a second phase, writing is accepting.
 */
import type { TraceProgress, TraceSession } from '../blobs/trace-files.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { unreadable } from '../failure.js'
import type { Job } from '../job.js'
import { isStream, type Lease } from '../lease.js'
import { maskedIn } from '../payload/hand-out.js'
import { fenced } from '../steps/accept-offer.js'
import { idTokenSigner } from '../steps/id-token-key.js'
import { jobTokenOf } from '../steps/offer-job.js'
import { getJob } from '../store/jobs.js'
import { findLease, touchLeaseOf } from '../store/leases.js'
import { findPayload } from '../store/payloads.js'
import { findTrace, growTrace, lockTrace } from '../store/traces.js'
import { listVariablesAround } from '../store/variables.js'
import type { Tx } from '../store/write.js'
import { SealError } from '../tokens/keys.js'
import { acceptLease } from './accept-lease.js'
import { dropJob } from './drop-job.js'
import { finishReported } from './finish-job.js'

/** Bytes of a log, under the lease that they are written with. */
export interface AppendInput {
  jobId: number
  fence: number
  /** Position of the first byte in the log. */
  offset: number
  data: Buffer
  /** What to do with bytes that are there already: `skip` stores only the new tail, `refuse` stores nothing. */
  overlap: 'skip' | 'refuse'
  /** Streams: the manager that writes. Polling doors prove the lease by the job's token. */
  managerId?: number
}

/** How far the log is after an append. */
export interface AppendResult {
  /** Committed length of the log in bytes. */
  length: number
}

/**
 * Appends, and resolves when the bytes are durable.
 * Throws `fenced` when the lease is not open; `range_mismatch` with `details.length` (the committed length) for a gap, or
 * an overlap that is refused; `too_large` when the log would exceed its limit (the job is failed then); `unavailable` when
 * the bytes could not be made durable. Nothing of `data` counts in these cases.
 */
export async function appendTrace(core: Core, input: AppendInput): Promise<AppendResult> {
  const { durable } = await acceptTrace(core, input)
  return { length: await durable }
}

/**
 * The same in two steps, for doors that take in more before the first is durable: resolves when the bytes have their
 * place in the log; `durable` gives the committed length. Both throw as `appendTrace` does.
 */
export async function acceptTrace(core: Core, input: AppendInput): Promise<{ durable: Promise<number> }> {
  const session = await sessionFor(core, input)
  if (input.managerId !== undefined && input.managerId !== session.managerId) throw fenced(undefined)
  const { offset, overlap } = input
  let { data } = input
  const overlapping = offset < session.accepted
  if (offset > session.accepted || (overlapping && overlap === 'refuse' && data.length > 0)) {
    await session.drained()
    if (offset !== session.accepted) {
      core.counts.trace('conflict')
      throw mismatch(session)
    }
  } else if (overlapping) {
    data = data.subarray(Math.min(data.length, session.accepted - offset))
  }
  if (session.accepted + data.length > core.settings.traceLimitBytes) {
    core.counts.trace('discarded')
    await dropJob(core, input.jobId, { reason: 'trace_size_exceeded', class: 'policy' })
    throw new SignalboxError('too_large', `a log may have ${core.settings.traceLimitBytes} bytes`, {
      details: { jobStatus: 'failed' },
    })
  }
  if (data.length > 0) {
    core.counts.trace('appended')
    return { durable: session.append(data) }
  }
  return { durable: session.drained().then(() => session.committed.length) }
}

/** The session of the lease. Where other nodes write too, one that is not where the runner is may be behind its row. */
async function sessionFor(core: Core, input: AppendInput): Promise<TraceSession> {
  const { jobId, fence, offset } = input
  const session = core.traces.session(jobId, fence)
  if (!session) return openSession(core, input)
  if (!core.traces.shared || offset === session.accepted) return session
  await session.drained()
  const length = (await findTrace(core.store.read, jobId))?.length ?? 0
  if (length === session.committed.length || core.traces.session(jobId, fence) !== session) return session
  await core.traces.closeSession(jobId, fence)
  return openSession(core, input)
}

function mismatch(session: TraceSession): SignalboxError {
  const { length } = session.committed
  return new SignalboxError('range_mismatch', `the log has ${length} bytes`, { details: { length } })
}

async function openSession(core: Core, input: AppendInput): Promise<TraceSession> {
  const lease = await openLease(core, input)
  const trace = core.traces.isUncertain(input.jobId)
    ? await core.store.write((tx) => lockTrace(tx, input.jobId))
    : await findTrace(core.store.read, input.jobId)
  const job = await getJob(core.store.read, input.jobId)
  return core.traces.openSession(
    { jobId: input.jobId, fence: lease.fence, length: trace?.length ?? 0, crc32: trace?.crc32 ?? 0 },
    lease.managerId,
    [jobTokenOf(core, job), ...(await maskedValues(core, job, lease))].map((secret) => Buffer.from(secret)),
  )
}

/** What the runner was told to mask: the second line, if it does not. */
async function maskedValues(core: Core, job: Job, lease: Lease): Promise<string[]> {
  const around = await listVariablesAround(core.store.read, job.projectId)
  if (job.idTokens === 0 && !around.some((one) => one.masked === 1)) return []
  const stored = await findPayload(core.store.read, job.id)
  if (!stored) return []
  const signer = job.idTokens === 0 ? none : await core.store.write((tx) => idTokenSigner(core, tx, job, lease))
  try {
    return maskedIn(core.keys.open(stored), signer)
  } catch (error) {
    if (!(error instanceof SealError)) throw error
    // A log is not kept whose secrets nobody knows.
    await dropJob(core, job.id, unreadable)
    throw fenced({ ...job, status: 'failed' })
  }
}

const none = () => ''

async function openLease(core: Core, input: AppendInput): Promise<Lease> {
  const lease = await findLease(core.store.read, input.jobId, input.fence)
  if (input.managerId !== undefined && lease?.managerId !== input.managerId) throw fenced(undefined)
  if (lease?.status === 'held') return lease
  if (lease?.status === 'offered' && !isStream(lease.door)) return acceptLease(core, lease)
  throw fenced(await getJob(core.store.read, input.jobId).catch(() => undefined))
}

/**
 * What the trace files call when bytes are on disk: commits the new lengths, each only if its lease is still held, in one
 * transaction. Returns for each whether it was, or how
 * long another node has made the log meanwhile. Reports that waited for these bytes are applied afterwards.
 */
export async function commitTraces(core: Core, progress: TraceProgress[]): Promise<(boolean | number)[]> {
  const complete: TraceProgress[] = []
  const open = await core.store.write(async (tx) => {
    complete.length = 0
    const results: (boolean | number)[] = []
    for (const one of progress) results.push(await commitOne(tx, one, complete))
    return results
  })
  for (const one of complete) {
    finishReported(core, one).catch((error) =>
      core.log.error({ err: error, job: one.jobId }, 'a report that had waited for its log could not be applied'),
    )
  }
  return open
}

async function commitOne(tx: Tx, one: TraceProgress, complete: TraceProgress[]): Promise<boolean | number> {
  const lease = await growTrace(tx, one)
  if (lease === undefined) return false
  // Another node has gone on with this log.
  if (typeof lease === 'number') return lease
  // On a polling door every write is a contact.
  if (!isStream(lease.door)) await touchLeaseOf(tx, { id: lease.id, jobId: one.jobId }, tx.now + lease.termMs)
  if (lease.report !== null) complete.push(one)
  return true
}

/**
 * A runner finished a job. In one transaction: the lease is released, the job gets its final status, exit code and
 * failure reason, a retry is made if the job's policy asks for one, the jobs that waited for it are queued (or leased on
 * the spot to runners that wait), and stages and pipeline get their new status.
 *
 * The first final report wins: an equal one gets the same answer again, a different one is refused. A report that comes
 * before the log bytes that it counts is applied when they are committed, or after a minute anyway. On a polling door every
 * byte has come before the report; it waits only for those that are being written.
 */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Judgment } from '../evidence.js'
import { type FailureReason, failureReasons, fromRunnerReason } from '../failure.js'
import type { Job } from '../job.js'
import { type FinalReport, isStream, type Lease, reportFrom, reportText } from '../lease.js'
import { finished, tellOfLease } from '../node-signals.js'
import { acceptOffer, fenced } from '../steps/accept-offer.js'
import { afterFinish } from '../steps/after-finish.js'
import { mustApplyJobEvent } from '../steps/apply-job-event.js'
import { closeLease } from '../steps/end-lease.js'
import { processAfter, processPipeline } from '../steps/process-pipeline.js'
import { record } from '../steps/record.js'
import { findJob, getDefinition, lockJob, lookAround } from '../store/jobs.js'
import { findLease, lockLease, saveReport } from '../store/leases.js'
import { listStagesAround } from '../store/pipelines.js'
import { findTrace, flagTrace } from '../store/traces.js'
import { saveVerdict } from '../store/verdicts.js'
import type { Tx } from '../store/write.js'
import type { TraceRow } from '../trace.js'
import { gatherEvidence } from './gather-evidence.js'

/** A final report, under the lease that it is sent with. */
export interface FinishInput {
  jobId: number
  fence: number
  report: FinalReport
  /** Streams: the manager that reports. Polling doors prove the lease by the job's token. */
  managerId?: number
}

/** What became of a final report. */
export interface FinishResult {
  /** `waiting`: kept, and applied when the log it counts is here. */
  outcome: 'applied' | 'duplicate' | 'waiting'
  jobStatus: string
}

/** Throws `fenced` with `details.jobStatus` when the lease is not open and the report is not the one it ended with. */
export async function finishJob(core: Core, input: FinishInput): Promise<FinishResult> {
  // On a stream, bytes on their way to the disk are waited for, rather than the report kept until they have come.
  const session = core.traces.session(input.jobId, input.fence)
  const counted = input.managerId === undefined ? 0 : (input.report.logLength ?? 0)
  if (session && counted > session.committed.length) await session.drained()
  // Evidence is read and classified before the transaction; the transaction decides whether it matters.
  const verdict = await classify(core, input)
  return core.store.write(async (tx) => {
    const { jobId, fence } = input
    const { job, lease } = await lockLease(tx, jobId, fence, [
      () => findTrace(tx, jobId),
      () => listStagesAround(tx, jobId),
      () => lookAround(tx, jobId),
    ])
    if (!job || !lease || (input.managerId !== undefined && lease.managerId !== input.managerId)) throw fenced(job)
    const text = reportText(input.report)
    if (lease.status === 'offered' && !isStream(lease.door)) await acceptOffer(core, tx, lease, job)
    if (lease.status !== 'held') {
      if (lease.status === 'released' && lease.report === text) return { outcome: 'duplicate', jobStatus: job.status }
      throw fenced(job)
    }
    if (lease.report !== null && lease.report !== text) throw fenced(job)
    const trace = await findTrace(tx, job.id)
    if (isMissing(trace, input.report) && (isStream(lease.door) || isBeingWritten(core, input))) {
      if (lease.report === null) await saveReport(tx, lease.id, text, tx.now)
      return { outcome: 'waiting', jobStatus: job.status }
    }
    await applyReport(core, tx, { job, lease, trace, report: input.report }, verdict)
    return { outcome: 'applied', jobStatus: job.status }
  })
}

/**
 * Applies a report that has waited for its log. `force`: it has waited long enough, and the log stays incomplete.
 * Does nothing if the report is applied already, or bytes are still missing.
 */
export async function finishReported(
  core: Core,
  lease: { jobId: number; fence: number },
  options: { force?: boolean } = {},
): Promise<void> {
  const stored = await findLease(core.store.read, lease.jobId, lease.fence)
  if (stored?.status !== 'held' || stored.report === null) return
  const report = reportFrom(stored.report)
  const input = { jobId: lease.jobId, fence: lease.fence, report }
  const verdict = await classify(core, input)
  await core.store.write(async (tx) => {
    const job = await lockJob(tx, lease.jobId)
    const held = job && (await findLease(tx, lease.jobId, lease.fence))
    if (!job || held?.status !== 'held' || held.report === null) return
    const trace = await findTrace(tx, job.id)
    if (!options.force && isMissing(trace, report)) return
    await applyReport(core, tx, { job, lease: held, trace, report }, verdict)
  })
}

async function applyReport(
  core: Core,
  tx: Tx,
  {
    job,
    lease,
    trace,
    report,
  }: {
    job: Job
    lease: Lease
    trace: TraceRow | undefined
    report: FinalReport
  },
  verdict: Judgment | undefined,
): Promise<void> {
  await closeLease(core, tx, lease, job, { event: 'release', reason: finished, report: reportText(report) })
  // A poll may report at another node than the one that took in the log.
  await tellOfLease(core, tx, lease, finished)
  await compareTrace(core, tx, job, trace, report)
  const { exitCode } = report
  if (report.state === 'success') {
    await mustApplyJobEvent(core, tx, job, 'success')
  } else {
    const reason = knownReason(verdict?.reason) ?? fromRunnerReason(report.failureReason ?? undefined, exitCode)
    const { allowFailureExitCodes } = await getDefinition(tx, job.definitionId)
    const allowed = exitCode !== null && allowFailureExitCodes?.includes(exitCode)
    await mustApplyJobEvent(core, tx, job, 'drop', {
      failure: {
        reason,
        class: verdict?.class ?? 'unknown',
        message: verdict?.explanation ?? report.message,
        exitCode: exitCode === null ? null : Math.min(exitCode, largestExitCode),
      },
      ...(allowed ? { set: { allowFailure: 1 } } : {}),
    })
    if (verdict && job.status === 'failed') await saveVerdict(tx, job.id, verdict)
  }
  const alone = await afterFinish(core, tx, job)
  await (alone ? processAfter(core, tx, job) : processPipeline(core, tx, job.pipelineId))
  tx.afterCommit(() => core.leaseSignals.of(lease.managerId)?.jobFinished(lease, job.status))
}

const largestExitCode = 32_767

function knownReason(reason: string | undefined): FailureReason | undefined {
  return reason !== undefined && Object.hasOwn(failureReasons, reason) ? (reason as FailureReason) : undefined
}

/** Whether bytes of the log have come that are not yet durable. */
function isBeingWritten(core: Core, { jobId, fence }: { jobId: number; fence: number }): boolean {
  const session = core.traces.session(jobId, fence)
  return session !== undefined && session.accepted > session.committed.length
}

/** Whether the report counts bytes of the log that have not been committed yet. */
function isMissing(trace: TraceRow | undefined, report: FinalReport): boolean {
  return (report.logLength ?? 0) > (trace?.length ?? 0)
}

/** A log that is not what the runner sent is shown and counted; it does not change the job's end. */
async function compareTrace(
  core: Core,
  tx: Tx,
  job: Job,
  trace: TraceRow | undefined,
  report: FinalReport,
): Promise<void> {
  const length = trace?.length ?? 0
  const incomplete = report.logLength !== null && length < report.logLength
  const differs =
    (report.logLength !== null && length !== report.logLength) ||
    (report.logCrc32 !== null && (trace?.crc32 ?? 0) !== report.logCrc32)
  if (!differs) return
  await flagTrace(tx, job.id, { incomplete: incomplete ? 1 : 0, mismatch: 1 })
  await record(core, tx, {
    kind: 'trace.mismatch',
    projectId: job.projectId,
    pipelineId: job.pipelineId,
    jobId: job.id,
    data: { length, expected_length: report.logLength, incomplete },
  })
}

async function classify(core: Core, input: { jobId: number; report: FinalReport }): Promise<Judgment | undefined> {
  const { report } = input
  if (report.state === 'success') return undefined
  const { read } = core.store
  const job = await findJob(read, input.jobId)
  if (!job) throw new SignalboxError('fenced', 'this lease is not open', { details: { jobStatus: null } })
  return core.classify(await gatherEvidence(core, job, report))
}

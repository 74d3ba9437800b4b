/**
 * Plugins that the operator has configured say why a job failed, after the transaction that ended it: they may take their
 * time. What they say amends the class and the sentence, and may add a retry that the job's policy allows; the job's status
 * and reason, and a retry that was made already, stay.
 */
import type { Core } from '../core.js'
import type { Verdict } from '../evidence.js'
import { type FailureReason, failureReasons, retriesByItself } from '../failure.js'
import type { Job } from '../job.js'
import { reportFrom } from '../lease.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { record } from '../steps/record.js'
import { resetSkippedJobs } from '../steps/reset-skipped-jobs.js'
import { retryLocked } from '../steps/retry-locked.js'
import { countRetries, findJob, getDefinition, lockJob, saveJob } from '../store/jobs.js'
import { findLease } from '../store/leases.js'
import { saveVerdict } from '../store/verdicts.js'
import type { Tx } from '../store/write.js'
import { gatherEvidence } from './gather-evidence.js'

/** Asks about a job that has failed. Does nothing if nobody is configured, or knows. */
export async function amendVerdict(core: Core, jobId: number): Promise<void> {
  if (!core.classifyLater) return
  const { read } = core.store
  const job = await findJob(read, jobId)
  if (job?.status !== 'failed') return
  const told = (await findLease(read, jobId, job.fence))?.report
  const report = told ? reportFrom(told) : { failureReason: null, message: job.failureMessage, exitCode: job.exitCode }
  const verdict = await core.classifyLater(await gatherEvidence(core, job, report))
  if (!verdict) return
  await core.store.write(async (tx) => {
    const failed = await lockJob(tx, jobId)
    if (failed?.status !== 'failed') return
    failed.failureClass = verdict.class
    failed.failureMessage = verdict.explanation
    await saveJob(tx, failed)
    await saveVerdict(tx, jobId, verdict)
    await record(core, tx, {
      kind: 'job.classified',
      projectId: failed.projectId,
      pipelineId: failed.pipelineId,
      jobId,
      runnerId: failed.runnerId,
      data: { class: verdict.class, retryable: verdict.retryable, decided_by: verdict.by },
    })
    if (await allowsRetry(tx, failed, verdict)) {
      await retryLocked(core, tx, failed, { userId: failed.userId })
      await resetSkippedJobs(core, tx, failed, failed.userId)
      await processPipeline(core, tx, failed.pipelineId)
    }
  })
}

/** Whether the job's own `retry` asks for another attempt after a failure of the verdict's kind. */
async function allowsRetry(tx: Tx, job: Job, { retryable, reason }: Verdict): Promise<boolean> {
  if (!retryable || job.retried === 1 || !Object.hasOwn(failureReasons, reason)) return false
  const { retry } = await getDefinition(tx, job.definitionId)
  if (!retry) return false
  const failure = { reason: reason as FailureReason, exitCode: job.exitCode }
  return retriesByItself(retry, failure, await countRetries(tx, job.pipelineId, job.name))
}

/** Why did it fail? What the classifiers have made of it, and the lines of the log that show it. */
import type { Core } from '../core.js'
import { type FailureReason, factsOf } from '../failure.js'
import type { Job } from '../job.js'
import { listVerdicts } from '../store/verdicts.js'

/** Why a job failed, in words and for scripts. */
export interface FailureExplanation {
  reason: FailureReason
  class: string
  /** One sentence for people. */
  explanation: string
  /** Whether trying again is likely to help; null: no classifier was asked. */
  retryable: boolean | null
  /** From 0 to 1; null: no classifier was asked. */
  confidence: number | null
  /** The classifier that decided; null: the coordinator itself has failed the job. */
  decidedBy: string | null
  lines: string[]
}

/** Undefined for a job that has not failed. `showsLog`: lines of the log may be told. */
export async function explainFailure(
  core: Pick<Core, 'store'>,
  job: Job,
  { showsLog }: { showsLog: boolean },
): Promise<FailureExplanation | undefined> {
  if (job.status !== 'failed') return undefined
  const [verdict] = await listVerdicts(core.store.read, [job.id])
  const reason = (job.failureReason ?? 'unknown_failure') as FailureReason
  return {
    reason,
    class: job.failureClass ?? 'unknown',
    explanation: job.failureMessage ?? factsOf(reason).sentence,
    retryable: verdict?.retryable ?? null,
    confidence: verdict?.confidence ?? null,
    decidedBy: verdict?.by ?? null,
    lines: showsLog ? (verdict?.lines ?? []) : [],
  }
}

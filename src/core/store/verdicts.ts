/** Rows of verdicts: who said why a job failed, and from what. Class and sentence are the job's own. */
import type { Judgment } from '../evidence.js'
import type { Reader, Tx } from './write.js'

/** Who said why a job failed, and how sure it was. */
export interface StoredVerdict {
  jobId: number
  /** The classifier that decided, as `Judgment.by`. */
  by: string
  /** From 0 to 1. */
  confidence: number
  retryable: boolean
  /** Lines of the log that show it. */
  lines: string[]
}

/** Takes the place of an earlier one of the job. */
export async function saveVerdict(tx: Tx, jobId: number, verdict: Judgment): Promise<void> {
  const values = {
    decided_by: verdict.by,
    confidence: verdict.confidence ?? 1,
    retryable: verdict.retryable ? 1 : 0,
    lines: JSON.stringify(verdict.lines ?? []),
  } as const
  await tx.db
    .insertInto('verdicts')
    .values({ job_id: jobId, ...values })
    .onConflict((c) => c.column('job_id').doUpdateSet(values))
    .execute()
}

/** Those of the jobs that have one. */
export async function listVerdicts(from: Reader, jobIds: readonly number[]): Promise<StoredVerdict[]> {
  if (jobIds.length === 0) return []
  const rows = await from.db.selectFrom('verdicts').selectAll().where('job_id', 'in', jobIds).execute()
  return rows.map((row) => ({
    jobId: row.job_id,
    by: row.decided_by,
    confidence: row.confidence,
    retryable: row.retryable === 1,
    lines: JSON.parse(row.lines) as string[],
  }))
}

/** The lines are the log's: they go with it. */
export async function forgetLines(tx: Tx, jobId: number): Promise<void> {
  await tx.db.updateTable('verdicts').set({ lines: '[]' }).where('job_id', '=', jobId).execute()
}

/** Rows of reports: what of a job's reports is kept when they are gone. */
import type { ReportSummary } from '../reports/summary.js'
import type { Reader, Tx } from './write.js'

/** What is kept of a report, so that its file need not be read again. */
export interface StoredReport {
  jobId: number
  jobName: string
  summary: ReportSummary
}

/** Takes the place of an older one of the same kind. */
export async function saveReport(tx: Tx, jobId: number, summary: ReportSummary): Promise<void> {
  const body = JSON.stringify(summary)
  await tx.db
    .insertInto('reports')
    .values({ job_id: jobId, kind: summary.kind, body })
    .onConflict((c) => c.columns(['job_id', 'kind']).doUpdateSet({ body }))
    .execute()
}

/** Deletes what is kept of all reports of a job. */
export async function deleteReports(tx: Tx, jobId: number): Promise<void> {
  await tx.db.deleteFrom('reports').where('job_id', '=', jobId).execute()
}

/** Those of a pipeline's jobs; `retried`: also of jobs that were retried. */
export async function listReports(
  from: Reader,
  pipelineId: number,
  { retried = false }: { retried?: boolean } = {},
): Promise<StoredReport[]> {
  const rows = await from.db
    .selectFrom('reports')
    .innerJoin('jobs', 'jobs.id', 'reports.job_id')
    .select(['jobs.id', 'jobs.name', 'reports.body'])
    .where('jobs.pipeline_id', '=', pipelineId)
    .$if(!retried, (q) => q.where('jobs.retried', '=', 0))
    .orderBy('jobs.id')
    .orderBy('reports.kind')
    .execute()
  return rows.map(({ id, name, body }) => ({ jobId: id, jobName: name, summary: JSON.parse(body) as ReportSummary }))
}

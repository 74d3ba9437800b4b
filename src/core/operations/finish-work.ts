/**
 * What is done after a job has ended, for jobs that ask for it: its log is searched for the coverage, and its reports are
 * read. It follows the commit of the end, so that nobody waits for it; while the task of that name is paused, jobs keep it
 * for later.
 */

import { turnOf } from '../config/config-cache.js'
import type { Core } from '../core.js'
import { eachSafely } from '../each-safely.js'
import { is } from '../lifecycle/job-machine.js'
import { isRead, type ReportSummary, summarise } from '../reports/summary.js'
import { record } from '../steps/record.js'
import { listArtifacts } from '../store/artifacts.js'
import { findJob, getDefinition, listFinishWork, saveFinishWork } from '../store/jobs.js'
import { saveReport } from '../store/reports.js'
import { findTrace } from '../store/traces.js'

/** How much of a log's end is searched, in bytes. */
const searchedBytes = 1024 * 1024

/** Does nothing for a job that has not ended, or when it is done already. Safe to repeat. */
export async function finishWork(core: Core, jobId: number): Promise<void> {
  const { read } = core.store
  const job = await findJob(read, jobId)
  if (job?.finishWork !== 1 || !is('finished', job.status)) return
  const { coverage: pattern } = await getDefinition(read, job.definitionId)
  const length = (await findTrace(read, jobId))?.length ?? 0
  const end =
    length === 0 ? '' : (await core.traces.read(jobId, Math.max(0, length - searchedBytes), length)).toString()
  const turn = turnOf({ id: job.projectId })
  const coverage = pattern === undefined ? null : await core.language.coverage(end, pattern, turn)
  const reports = await readReports(core, jobId)
  await core.store.write(async (tx) => {
    for (const report of reports) await saveReport(tx, jobId, report)
    await saveFinishWork(tx, jobId, { coverage })
    await record(core, tx, {
      kind: 'job.finish_work',
      projectId: job.projectId,
      pipelineId: job.pipelineId,
      jobId,
      data: { coverage },
    })
  })
}

async function readReports(core: Core, jobId: number): Promise<ReportSummary[]> {
  const found = (await listArtifacts(core.store.read, [jobId])).filter(({ type }) => isRead(type))
  const summaries: ReportSummary[] = []
  for (const artifact of found) {
    if (await core.artifacts.exists(artifact.location)) summaries.push(await summarise(core.reports, artifact))
  }
  return summaries
}

const batch = 100

/** The sweep: what was left while the task was paused, or by a crash. Returns the number of jobs. */
export async function finishWorkLeft(core: Core): Promise<number> {
  let done = 0
  for (let after = 0; ; ) {
    const ids = await listFinishWork(core.store.read, after, batch)
    done += await eachSafely(core.log, 'the work after the end of a job', ids, (id) => finishWork(core, id))
    if (ids.length < batch) return done
    after = ids.at(-1)!
  }
}

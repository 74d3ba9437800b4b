/** Users take away what a job has left: its artifacts, or its log with them. */
import type { Artifact } from '../artifact.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import { is } from '../lifecycle/job-machine.js'
import { record } from '../steps/record.js'
import { removeLater } from '../steps/remove-later.js'
import { deleteArtifacts, listArtifacts } from '../store/artifacts.js'
import { lockJob, saveJob } from '../store/jobs.js'
import { insertRemovals } from '../store/removals.js'
import { deleteReports } from '../store/reports.js'
import { findTrace, forgetTrace } from '../store/traces.js'
import { forgetLines } from '../store/verdicts.js'
import type { Tx } from '../store/write.js'

/**
 * Erases the log and the artifacts of a job that has ended. Returns the job. Throws `not_found`; `forbidden` when it is not
 * over, erased already, or has left nothing. Rule: gitlab app/models/ci/build.rb, `erasable?`.
 */
export function eraseJob(core: Core, jobId: number): Promise<Job> {
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, jobId)
    if (!job) throw new SignalboxError('not_found', `no job ${jobId}`)
    const artifacts = await listArtifacts(tx, [jobId])
    const trace = await findTrace(tx, jobId)
    const erasable = is('finished', job.status) && job.erasedAt === null && (artifacts.length > 0 || trace)
    if (!erasable) throw new SignalboxError('forbidden', `job ${jobId} cannot be erased`)
    await remove(core, tx, artifacts)
    await deleteReports(tx, jobId)
    await forgetTrace(tx, jobId)
    await forgetLines(tx, jobId)
    removeLater(core, tx, await insertRemovals(tx, 'trace', [`${jobId}.${job.fence}`]))
    job.erasedAt = tx.now
    job.updatedAt = tx.now
    await saveJob(tx, job)
    await record(core, tx, {
      kind: 'job.erased',
      projectId: job.projectId,
      pipelineId: job.pipelineId,
      jobId,
      data: { artifacts: artifacts.length },
    })
    return job
  })
}

/** Deletes every artifact of a job; its log stays. */
export function deleteJobArtifacts(core: Core, jobId: number): Promise<void> {
  return core.store.write(async (tx) => {
    await lockJob(tx, jobId)
    const artifacts = await listArtifacts(tx, [jobId])
    await remove(
      core,
      tx,
      artifacts.filter((artifact) => artifact.type !== 'trace'),
    )
  })
}

async function remove(core: Core, tx: Tx, artifacts: readonly Artifact[]): Promise<void> {
  await deleteArtifacts(
    tx,
    artifacts.map((artifact) => artifact.id),
  )
  const locations = artifacts.map((artifact) => artifact.location)
  removeLater(core, tx, await insertRemovals(tx, 'artifact', locations))
}

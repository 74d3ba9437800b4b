/**
 * Step: when a job has become live again, the skipped jobs that come after it get another chance. Jobs that have ended
 * otherwise are not touched. Rule: gitlab app/services/ci/reset_skipped_jobs_service.rb.
 */
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import { getJob, listCurrentJobs, listPipelineNeeds } from '../store/jobs.js'
import type { Tx } from '../store/write.js'
import { applyJobEvent } from './apply-job-event.js'

/** Makes those jobs wait for their turn again, as jobs of `userId`; null: of nobody. */
export async function resetSkippedJobs(core: Core, tx: Tx, after: Job, userId: number | null): Promise<void> {
  const jobs = await listCurrentJobs(tx, after.pipelineId)
  const skipped = jobs.filter((job) => job.status === 'skipped')
  if (skipped.length === 0) return
  const dependents = await dependentsOf(tx, after, jobs)
  for (const { id, name, stagePosition } of skipped) {
    if (stagePosition <= after.stagePosition && !dependents.has(name)) continue
    await applyJobEvent(core, tx, await getJob(tx, id), 'process', { set: { userId } })
  }
}

/** Names of the jobs that need the job, directly or through others. */
async function dependentsOf(tx: Tx, job: Job, jobs: { id: number; name: string }[]): Promise<Set<string>> {
  const nameOf = new Map(jobs.map((one) => [one.id, one.name]))
  const neededBy = new Map<string, string[]>()
  for (const need of await listPipelineNeeds(tx, job.pipelineId)) {
    const name = nameOf.get(need.jobId)
    if (name !== undefined) neededBy.set(need.name, [...(neededBy.get(need.name) ?? []), name])
  }
  const found = new Set<string>()
  const queue = [job.name]
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    for (const dependent of neededBy.get(name) ?? []) {
      if (found.has(dependent)) continue
      found.add(dependent)
      queue.push(dependent)
    }
  }
  return found
}

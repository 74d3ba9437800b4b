/**
 * A stream's runner has begun to work on a job that it holds: noted once, with what it says of the environment. A runner
 * whose link was cut before the answer says it again.
 */
import type { Core } from '../core.js'
import { fenced } from '../steps/accept-offer.js'
import { record } from '../steps/record.js'
import { hasJobEvent } from '../store/events.js'
import { lockJob } from '../store/jobs.js'
import { findLease } from '../store/leases.js'

const longestFact = 256
const mostFacts = 16

/** Throws `fenced` when the lease is not this manager's, or not held. The status has been `running` since the acceptance. */
export function startJob(
  core: Core,
  input: { jobId: number; fence: number; managerId: number; facts: Record<string, string> },
): Promise<void> {
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, input.jobId)
    const lease = job && (await findLease(tx, input.jobId, input.fence))
    if (!job || lease?.status !== 'held' || lease.managerId !== input.managerId) throw fenced(job)
    if (await hasJobEvent(tx, job.id, 'job.started')) return
    const facts = Object.entries(input.facts)
      .slice(0, mostFacts)
      .map(([key, value]) => [key.slice(0, longestFact), value.slice(0, longestFact)])
    await record(core, tx, {
      kind: 'job.started',
      projectId: job.projectId,
      pipelineId: job.pipelineId,
      jobId: job.id,
      runnerId: lease.runnerId,
      data: Object.fromEntries(facts),
    })
  })
}

/** Step: a job with a resource has changed: it lets go if it has ended, and the next in line is served after the commit. */
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import { is, type JobStatus } from '../lifecycle/job-machine.js'
import { releaseResource } from '../store/resource-groups.js'
import type { Tx } from '../store/write.js'

/** Lets the resource go when the job has ended, and asks after the commit whose turn it is. */
export async function followResource(core: Core, tx: Tx, job: Job, to: JobStatus): Promise<void> {
  const { projectId, resourceKey: key } = job
  if (key === null || to === 'pending' || to === 'running' || to === 'canceling') return
  if (is('completed', to)) await releaseResource(tx, projectId, key, job.id)
  tx.afterCommit(() => core.followUps.soon('assign_resource', { projectId, key }))
}

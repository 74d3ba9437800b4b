/**
 * A resource of a project goes to the next job that waits for it. A job takes it on leaving `waiting_for_resource` and holds
 * it until it has ended; the group's mode says who is next. Rules: gitlab app/models/ci/resource_group.rb,
 * app/services/ci/resource_groups/assign_resource_from_resource_group_service.rb.
 */
import type { Core } from '../core.js'
import { applyGatedAlone } from '../steps/gate-job.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { lockJob } from '../store/jobs.js'
import {
  findResourceGroup,
  listFreeGroups,
  listLostHolders,
  listUpcoming,
  releaseResource,
  takeResource,
} from '../store/resource-groups.js'

/** Returns whether a job got the resource. One at the head that is not ready yet holds the others back. */
export function assignResource(core: Core, projectId: number, key: string): Promise<boolean> {
  return core.store.write(async (tx) => {
    const group = await findResourceGroup(tx, projectId, key)
    if (!group || group.holderJobId !== null) return false
    const [head] = await listUpcoming(tx, group, 1)
    if (head?.status !== 'waiting_for_resource') return false
    // The pipeline is locked before the group, as where a job lets go.
    const job = await lockJob(tx, head.id)
    if (job?.status !== 'waiting_for_resource' || !(await takeResource(tx, projectId, key, job.id))) return false
    // A newer deployment may have come while it waited: then it fails, and lets the resource go.
    await applyGatedAlone(core, tx, job, 'enqueue_waiting_for_resource', { facts: { resource_assigned: true } })
    await processPipeline(core, tx, job.pipelineId)
    return true
  })
}

const lostMs = 5 * 60_000

/** The sweep: frees what doomed jobs have kept, and serves those whom a crash between two commits has left waiting. */
export async function assignResources(core: Core): Promise<{ freed: number; assigned: number }> {
  const { read } = core.store
  const lost = await listLostHolders(read, core.clock.now() - lostMs)
  for (const one of lost) await core.store.write((tx) => releaseResource(tx, one.projectId, one.key, one.jobId))
  let assigned = 0
  for (const { projectId, key } of await listFreeGroups(read)) {
    if (await assignResource(core, projectId, key)) assigned++
  }
  return { freed: lost.length, assigned }
}

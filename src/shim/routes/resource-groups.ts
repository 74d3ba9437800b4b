/** Resource groups of a project: who waits, and in which order they are served. */
import { updateResourceGroup } from '../../core/operations/update-resource-group.js'
import { findJob } from '../../core/store/jobs.js'
import { jobsById } from '../../core/store/related.js'
import {
  findResourceGroup,
  listResourceGroups,
  listUpcoming,
  processModes,
  type ResourceGroup,
} from '../../core/store/resource-groups.js'
import type { Reply, Route } from '../../http/call.js'
import { wrongParameter } from '../../http/params.js'
import { type ProjectCall, projectRoute } from '../call.js'
import { toResourceGroup } from '../convert/environment.js'
import { notFound } from '../errors.js'
import { jobEntities, jobEntity } from '../job-entities.js'
import { requestedPage } from '../pages.js'

const read = { deed: 'operate' } as const

export const resourceGroupRoutes: readonly Route[] = [
  projectRoute('get', '/projects/:id/resource_groups', read, async ({ core, project }) => ({
    status: 200,
    body: (await listResourceGroups(core.store.read, project.id)).map(toResourceGroup),
  })),
  projectRoute('get', '/projects/:id/resource_groups/:key', read, async (call) => ({
    status: 200,
    body: toResourceGroup(await groupOf(call)),
  })),
  projectRoute('put', '/projects/:id/resource_groups/:key', { deed: 'operate' }, update),
  projectRoute('get', '/projects/:id/resource_groups/:key/upcoming_jobs', read, upcoming),
  projectRoute('get', '/projects/:id/resource_groups/:key/current_job', read, current),
]

async function groupOf({ core, project, path }: ProjectCall): Promise<ResourceGroup> {
  const group = await findResourceGroup(core.store.read, project.id, path('key'))
  if (!group) throw notFound('Resource Group')
  return group
}

async function update(call: ProjectCall): Promise<Reply> {
  const { key } = await groupOf(call)
  const processMode = call.params.choice('process_mode', processModes)
  if (processMode === undefined) throw wrongParameter('process_mode', 'is missing')
  const group = await updateResourceGroup(call.core, { projectId: call.project.id, key, processMode })
  return { status: 200, body: toResourceGroup(group) }
}

async function upcoming(call: ProjectCall): Promise<Reply> {
  const { read: from } = call.core.store
  const rows = await listUpcoming(from, await groupOf(call), requestedPage(call).perPage)
  const jobs = await jobsById(
    from,
    rows.map((row) => row.id),
  )
  const ordered = rows.flatMap((row) => jobs.get(row.id) ?? [])
  return { status: 200, body: await jobEntities(call.core, ordered) }
}

async function current(call: ProjectCall): Promise<Reply> {
  const { holderJobId } = await groupOf(call)
  const job = holderJobId === null ? undefined : await findJob(call.core.store.read, holderJobId)
  if (!job) throw notFound('Job')
  return { status: 200, body: await jobEntity(call.core, job) }
}

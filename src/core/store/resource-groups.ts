/** Rows of resource groups. Each has one resource, held by at most one job: taking it is a conditional update. */
import { sql } from 'kysely'
import type { Reader, Tx } from './write.js'

/** The orders in which jobs get a resource. Rule: https://docs.gitlab.com/ci/resource_groups/#process-modes */
export const processModes = ['unordered', 'oldest_first', 'newest_first', 'newest_ready_first'] as const
/** How the next job is chosen; `unordered`: whichever asks first. */
export type ProcessMode = (typeof processModes)[number]

/** A resource of a project, which one job at a time holds. */
export interface ResourceGroup {
  id: number
  projectId: number
  key: string
  processMode: ProcessMode
  holderJobId: number | null
  createdAt: number
}

const columns = [
  'id',
  'project_id as projectId',
  'key',
  'process_mode as processMode',
  'holder_job_id as holderJobId',
  'created_at as createdAt',
] as const

/** Returns the resource by its key; undefined: no job of the project has ever wanted it. */
export function findResourceGroup(
  from: Reader | Tx,
  projectId: number,
  key: string,
): Promise<ResourceGroup | undefined> {
  return from.db
    .selectFrom('resource_groups')
    .select(columns)
    .where('project_id', '=', projectId)
    .where('key', '=', key)
    .executeTakeFirst()
}

/** Returns the project's resources, by key. */
export function listResourceGroups(from: Reader, projectId: number): Promise<ResourceGroup[]> {
  return from.db
    .selectFrom('resource_groups')
    .select(columns)
    .where('project_id', '=', projectId)
    .orderBy('key')
    .execute()
}

/** Makes the resource unless the project has it already. */
export async function ensureResourceGroup(tx: Tx, projectId: number, key: string): Promise<void> {
  await tx.db
    .insertInto('resource_groups')
    .values({ project_id: projectId, key, process_mode: 'unordered', holder_job_id: null, created_at: tx.now })
    .onConflict((c) => c.columns(['project_id', 'key']).doNothing())
    .execute()
}

/** Changes the order for those that wait now and those to come. */
export async function saveProcessMode(tx: Tx, id: number, mode: ProcessMode): Promise<void> {
  await tx.db.updateTable('resource_groups').set({ process_mode: mode }).where('id', '=', id).execute()
}

/** Gives the free resource to the job. False: somebody has it. */
export async function takeResource(tx: Tx, projectId: number, key: string, jobId: number): Promise<boolean> {
  const rows = await tx.db
    .updateTable('resource_groups')
    .set({ holder_job_id: jobId })
    .where('project_id', '=', projectId)
    .where('key', '=', key)
    .where('holder_job_id', 'is', null)
    .returning('id')
    .execute()
  return rows.length > 0
}

/** Takes the resource back from the job, if it has it. */
export async function releaseResource(tx: Tx, projectId: number, key: string, jobId: number): Promise<void> {
  await tx.db
    .updateTable('resource_groups')
    .set({ holder_job_id: null })
    .where('project_id', '=', projectId)
    .where('key', '=', key)
    .where('holder_job_id', '=', jobId)
    .execute()
}

/** Holders that ended at or before `before` and did not let go: doomed jobs. */
export function listLostHolders(
  from: Reader,
  before: number,
): Promise<{ projectId: number; key: string; jobId: number }[]> {
  return from.db
    .selectFrom('resource_groups')
    .innerJoin('jobs', 'jobs.id', 'resource_groups.holder_job_id')
    .select(['resource_groups.project_id as projectId', 'resource_groups.key', 'jobs.id as jobId'])
    .where('jobs.status', 'in', ['success', 'failed', 'canceled', 'skipped'])
    .where('jobs.updated_at', '<=', before)
    .execute()
}

/** Groups whose resource is free although jobs wait for it. */
export function listFreeGroups(from: Reader): Promise<{ projectId: number; key: string }[]> {
  return from.db
    .selectFrom('resource_groups')
    .select(['project_id as projectId', 'key'])
    .where('holder_job_id', 'is', null)
    .where(
      sql<boolean>`exists (
        select 1 from jobs where jobs.project_id = resource_groups.project_id
        and jobs.resource_key = resource_groups.key and ${isWanting} and jobs.status = 'waiting_for_resource')`,
    )
    .execute()
}

/** The condition of the index, which serves a query only if it is repeated. */
const isWanting = sql<boolean>`jobs.resource_key is not null
  and jobs.status in ('created', 'scheduled', 'waiting_for_resource')`

/** A job that waits for a resource. */
export interface UpcomingJob {
  id: number
  pipelineId: number
  status: 'created' | 'scheduled' | 'waiting_for_resource'
}

/** Jobs that will want the resource, in the order in which the group's mode serves them. */
export async function listUpcoming(
  from: Reader | Tx,
  group: Pick<ResourceGroup, 'projectId' | 'key' | 'processMode'>,
  limit: number,
): Promise<UpcomingJob[]> {
  const readyOnly = group.processMode === 'unordered' || group.processMode === 'newest_ready_first'
  const newestFirst = group.processMode === 'newest_first' || group.processMode === 'newest_ready_first'
  const statuses = readyOnly
    ? (['waiting_for_resource'] as const)
    : (['created', 'scheduled', 'waiting_for_resource'] as const)
  const rows = await from.db
    .selectFrom('jobs')
    .select(['id', 'pipeline_id as pipelineId', 'status'])
    .where('project_id', '=', group.projectId)
    .where('resource_key', '=', group.key)
    .where(isWanting)
    .where('status', 'in', statuses)
    .where('retried', '=', 0)
    .$if(group.processMode !== 'unordered', (q) => q.orderBy('pipeline_id', newestFirst ? 'desc' : 'asc'))
    .orderBy(sql`case when status = 'waiting_for_resource' then 0 else 1 end`)
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows as UpcomingJob[]
}

/** Rows of compute minutes: what was used, what may be, and what a runner costs. */
import { sql } from 'kysely'
import { type CostFactors, defaultCostFactors, type NamespaceUsage } from '../usage.js'
import type { Reader, Tx } from './write.js'

/** A job that an instance runner has or had, with all that its cost depends on. */
export interface InstanceJob {
  jobId: number
  projectId: number
  groupId: number
  startedAt: number
  finishedAt: number | null
  /** What a minute costs. */
  factor: number
}

/** Of these jobs, those that an instance runner ran. */
export function listInstanceJobs(from: Reader, jobIds: readonly number[]): Promise<InstanceJob[]> {
  if (jobIds.length === 0) return Promise.resolve([])
  return instanceJobs(from).where('jobs.id', 'in', jobIds).where('jobs.finished_at', 'is not', null).execute()
}

/** Jobs of these projects that instance runners run now. */
export function listRunningInstanceJobs(from: Reader, projectIds: readonly number[]): Promise<InstanceJob[]> {
  if (projectIds.length === 0) return Promise.resolve([])
  return instanceJobs(from).where('jobs.project_id', 'in', projectIds).where('leases.status', '=', 'held').execute()
}

function instanceJobs(from: Reader) {
  const { public: open, private: closed } = defaultCostFactors
  return from.db
    .selectFrom('jobs')
    .innerJoin('leases', (join) => join.onRef('leases.job_id', '=', 'jobs.id').onRef('leases.fence', '=', 'jobs.fence'))
    .innerJoin('projects', 'projects.id', 'jobs.project_id')
    .leftJoin('runner_cost_factors', 'runner_cost_factors.runner_id', 'leases.runner_id')
    .select([
      'jobs.id as jobId',
      'jobs.project_id as projectId',
      'projects.group_id as groupId',
      'jobs.started_at as startedAt',
      'jobs.finished_at as finishedAt',
      sql<number>`case when projects.visibility = 'public' then coalesce(public_factor, ${sql.lit(open)})
        else coalesce(private_factor, ${sql.lit(closed)}) end`.as('factor'),
    ])
    .$narrowType<{ startedAt: number }>()
    .where('leases.instance_runner', '=', 1)
    .where('jobs.started_at', 'is not', null)
}

/** The top-level namespace of each group that is asked for. */
export async function rootsOf(from: Reader | Tx, groupIds: readonly number[]): Promise<Map<number, number>> {
  const parents = new Map<number, number | null>()
  for (let wanted = [...new Set(groupIds)]; wanted.length > 0; ) {
    const rows = await from.db
      .selectFrom('groups')
      .select(['id', 'parent_id as parentId'])
      .where('id', 'in', wanted)
      .execute()
    for (const row of rows) parents.set(row.id, row.parentId)
    wanted = rows.flatMap(({ parentId }) => (parentId === null || parents.has(parentId) ? [] : [parentId]))
  }
  const rootOf = (id: number): number => {
    const parent = parents.get(id)
    return parent == null ? id : rootOf(parent)
  }
  return new Map(groupIds.map((id) => [id, rootOf(id)]))
}

/** Adds what a job used to its project and namespace in a month (`2026-01`). Minutes are weighted by cost factors. */
export async function addUsage(
  tx: Tx,
  used: { namespaceId: number; projectId: number; month: string; minutes: number; durationMs: number; jobs: number },
): Promise<void> {
  const { namespaceId, projectId, month, minutes, durationMs, jobs } = used
  await tx.db
    .insertInto('usage')
    .values({ namespace_id: namespaceId, project_id: projectId, month, minutes, duration_ms: durationMs, jobs })
    .onConflict((c) =>
      c.columns(['namespace_id', 'month', 'project_id']).doUpdateSet((e) => ({
        minutes: e('usage.minutes', '+', minutes),
        duration_ms: e('usage.duration_ms', '+', durationMs),
        jobs: e('usage.jobs', '+', jobs),
      })),
    )
    .execute()
}

/** What was used in a month, by namespace; those with a limit are there even if they have used nothing. */
export async function listUsage(from: Reader, month: string): Promise<NamespaceUsage[]> {
  const limits = await from.db
    .selectFrom('compute_limits')
    .innerJoin('groups', 'groups.id', 'compute_limits.namespace_id')
    .select(['groups.id', 'groups.full_path as path', 'compute_limits.minutes as limit'])
    .execute()
  const rows = await from.db
    .selectFrom('usage')
    .leftJoin('groups', 'groups.id', 'usage.namespace_id')
    .leftJoin('projects', 'projects.id', 'usage.project_id')
    .select([
      'usage.namespace_id as id',
      'groups.full_path as path',
      'usage.project_id as projectId',
      'projects.full_path as projectPath',
      'usage.minutes',
      'usage.duration_ms as durationMs',
      'usage.jobs',
    ])
    .where('usage.month', '=', month)
    .orderBy('usage.project_id')
    .execute()
  const found = new Map<number, NamespaceUsage>()
  for (const { id, path, limit } of limits) found.set(id, { id, path, minutes: 0, limit, projects: [] })
  for (const { id, path, projectId, projectPath, ...used } of rows) {
    const namespace = found.get(id) ?? { id, path: path ?? '', minutes: 0, limit: null, projects: [] }
    namespace.minutes += used.minutes
    namespace.projects.push({ id: projectId, path: projectPath, ...used })
    found.set(id, namespace)
  }
  return [...found.values()].sort((a, b) => a.id - b.id)
}

/** Projects of a namespace with all that lies below it, and whether its minutes count as used up there. */
export function listProjectsBelow(
  from: Reader | Tx,
  namespaceId: number,
): Promise<{ id: number; overQuota: number }[]> {
  return from.db
    .withRecursive('below', (db) =>
      db
        .selectFrom('groups')
        .select('groups.id')
        .where('groups.id', '=', namespaceId)
        .union(db.selectFrom('groups').innerJoin('below', 'below.id', 'groups.parent_id').select('groups.id')),
    )
    .selectFrom('projects')
    .innerJoin('below', 'below.id', 'projects.group_id')
    .select(['projects.id', 'projects.over_quota as overQuota'])
    .orderBy('projects.id')
    .execute()
}

/** Keeps whether the project's namespace has used up its minutes: instance runners pass its jobs over then. */
export async function saveOverQuota(tx: Tx, projectId: number, over: boolean): Promise<void> {
  await tx.db
    .updateTable('projects')
    .set({ over_quota: over ? 1 : 0 })
    .where('id', '=', projectId)
    .execute()
}

/** `minutes` null: no limit. */
export async function saveLimit(tx: Tx, namespaceId: number, minutes: number | null): Promise<void> {
  await tx.db.deleteFrom('compute_limits').where('namespace_id', '=', namespaceId).execute()
  if (minutes === null) return
  await tx.db.insertInto('compute_limits').values({ namespace_id: namespaceId, minutes }).execute()
}

/** Sets by how much a minute of the runner counts for public and other projects. */
export async function saveCostFactors(tx: Tx, runnerId: number, factors: CostFactors): Promise<void> {
  const row = { public_factor: factors.public, private_factor: factors.private }
  await tx.db
    .insertInto('runner_cost_factors')
    .values({ runner_id: runnerId, ...row })
    .onConflict((c) => c.column('runner_id').doUpdateSet(row))
    .execute()
}

/** Runners that serve the project beside those of the instance, as far as a demand can be held against them. */
export function listOwnRunners(
  from: Reader | Tx,
  projectId: number,
  groupIds: readonly number[],
): Promise<{ tags: string; runUntagged: number; protectedOnly: number }[]> {
  return from.db
    .selectFrom('runners')
    .select(['tags', 'run_untagged as runUntagged', 'protected_only as protectedOnly'])
    .where('active', '=', 1)
    .where((e) =>
      e.or([
        e('id', 'in', e.selectFrom('runner_projects').select('runner_id').where('project_id', '=', projectId)),
        e('id', 'in', e.selectFrom('runner_groups').select('runner_id').where('group_id', 'in', groupIds)),
      ]),
    )
    .execute()
}

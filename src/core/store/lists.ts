/** Lists for people and scripts: jobs, pipelines, runners and projects by filter, a page at a time. Nothing here is on a hot path. */
import { type ExpressionBuilder, sql } from 'kysely'
import type { Job, JobKind } from '../job.js'
import { type JobStatus, statusSets } from '../lifecycle/job-machine.js'
import { levels } from '../member.js'
import type { Pipeline } from '../pipeline.js'
import type { Project } from '../project.js'
import { onlineMs, type Runner, type RunnerStatus, type RunnerType, staleMs } from '../runner.js'
import { jobColumns, pipelineColumns, projectColumns, runnerColumns } from './columns.js'
import { groupsOf, projectsOf, type Viewer } from './member-levels.js'
import type { Database } from './schema.js'
import type { Reader } from './write.js'

/** A part of a list: `limit` rows after the first `offset`. */
export interface Page {
  limit: number
  offset: number
}

/** Which jobs a list shows; what is absent does not count. */
export interface JobFilter {
  projectId?: number
  pipelineId?: number
  runnerId?: number
  managerId?: number
  statuses?: readonly JobStatus[]
  kinds?: readonly JobKind[]
  /** Also jobs that a retry has taken the place of; default true. */
  retried?: boolean
  /** Only jobs with a smaller id (a larger one when sorted upwards): where the page before ended. */
  after?: number
  /** Only those of projects that somebody is at home in. */
  of?: Membership
}

/** The projects in which somebody has at least this level, or the one of a project's token. */
export type Membership = { viewer: Viewer; level: number } | { projectId: number }

/** By id or another column, rising or falling. */
export type Sort = 'asc' | 'desc'

/** Jobs by id, newest first unless `sort` says otherwise. */
export function listJobs(from: Reader, filter: JobFilter, page: Page, sort: Sort = 'desc'): Promise<Job[]> {
  return from.db
    .selectFrom('jobs')
    .select(jobColumns)
    .where((e) => jobsWhere(e, filter, sort))
    .orderBy('id', sort)
    .limit(page.limit)
    .offset(page.offset)
    .execute()
}

/** How many jobs the filter lets through. */
export async function countJobs(from: Reader, filter: JobFilter): Promise<number> {
  const row = await from.db
    .selectFrom('jobs')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where((e) => jobsWhere(e, filter, 'desc'))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

function jobsWhere(e: ExpressionBuilder<Database, 'jobs'>, filter: JobFilter, sort: Sort) {
  const { projectId, pipelineId, runnerId, managerId, statuses, kinds, retried, after, of } = filter
  return e.and([
    ...(projectId === undefined ? [] : [e('project_id', '=', projectId)]),
    ...(of === undefined
      ? []
      : 'projectId' in of
        ? [e('project_id', '=', of.projectId)]
        : [e('project_id', 'in', projectsOf(of.viewer, of.level))]),
    ...(pipelineId === undefined ? [] : [e('pipeline_id', '=', pipelineId)]),
    ...(runnerId === undefined ? [] : [e('runner_id', '=', runnerId)]),
    ...(managerId === undefined ? [] : [e('manager_id', '=', managerId)]),
    ...(statuses === undefined ? [] : [e('status', 'in', statuses)]),
    ...(kinds === undefined ? [] : [e('kind', 'in', kinds)]),
    ...(retried === false ? [e('retried', '=', 0)] : []),
    ...(after === undefined ? [] : [e('id', sort === 'desc' ? '<' : '>', after)]),
  ])
}

/** Which pipelines of a project a list shows. Rule: https://docs.gitlab.com/api/pipelines/ */
export interface PipelineFilter {
  projectId: number
  ids?: readonly number[]
  iids?: readonly number[]
  /** `branches`, `tags`: only the newest pipeline of each. */
  scope?: 'running' | 'pending' | 'finished' | 'branches' | 'tags'
  status?: JobStatus
  source?: string
  ref?: string
  sha?: string
  name?: string
  username?: string
  /** Only those that this schedule has made. */
  scheduleId?: number
  /** False: none that another pipeline of the project made. */
  child?: false
  /** True: only those whose file was wrong; false: only the others. */
  yamlErrors?: boolean
  /** Times in milliseconds since 1970, exclusive. */
  updatedBefore?: number
  updatedAfter?: number
  createdBefore?: number
  createdAfter?: number
}

/** What lists of pipelines may be ordered by. Rule: https://docs.gitlab.com/api/pipelines/ */
export const pipelineOrders = ['id', 'status', 'ref', 'updated_at', 'user_id'] as const

/** Pipelines of a project, by one of the columns that may be asked for. */
export function listPipelines(
  from: Reader,
  filter: PipelineFilter,
  page: Page,
  order: { by: (typeof pipelineOrders)[number]; sort: Sort } = { by: 'id', sort: 'desc' },
): Promise<Pipeline[]> {
  return from.db
    .selectFrom('pipelines')
    .select(pipelineColumns)
    .where((e) => pipelinesWhere(e, filter))
    .orderBy(order.by, order.sort)
    .orderBy('id', order.sort)
    .limit(page.limit)
    .offset(page.offset)
    .execute()
}

/** How many pipelines the filter lets through. */
export async function countPipelines(from: Reader, filter: PipelineFilter): Promise<number> {
  const row = await from.db
    .selectFrom('pipelines')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where((e) => pipelinesWhere(e, filter))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

const scopeStatuses: Record<'running' | 'pending' | 'finished', readonly JobStatus[]> = {
  running: ['running'],
  pending: ['pending'],
  finished: statusSets.finished,
}

function pipelinesWhere(e: ExpressionBuilder<Database, 'pipelines'>, filter: PipelineFilter) {
  const { scope, yamlErrors } = filter
  const equal = [
    ['status', filter.status],
    ['source', filter.source],
    ['ref', filter.ref],
    ['sha', filter.sha],
    ['name', filter.name],
  ] as const
  const bounds = [
    ['updated_at', '<', filter.updatedBefore],
    ['updated_at', '>', filter.updatedAfter],
    ['created_at', '<', filter.createdBefore],
    ['created_at', '>', filter.createdAfter],
  ] as const
  return e.and([
    e('project_id', '=', filter.projectId),
    ...(filter.ids === undefined ? [] : [e('id', 'in', filter.ids)]),
    ...(filter.iids === undefined ? [] : [e('iid', 'in', filter.iids)]),
    ...equal.flatMap(([column, value]) => (value === undefined ? [] : [e(column, '=', value as never)])),
    ...bounds.flatMap(([column, operator, value]) => (value === undefined ? [] : [e(column, operator, value)])),
    ...(filter.child === false ? [e('source', '<>', 'parent_pipeline')] : []),
    ...(filter.scheduleId === undefined
      ? []
      : [
          e(
            'id',
            'in',
            e.selectFrom('schedule_pipelines').select('pipeline_id').where('schedule_id', '=', filter.scheduleId),
          ),
        ]),
    ...(yamlErrors === undefined ? [] : [e('yaml_errors', yamlErrors ? 'is not' : 'is', null)]),
    ...(filter.username === undefined
      ? []
      : [e('user_id', 'in', e.selectFrom('users').select('id').where('username', '=', filter.username))]),
    ...(scope === 'running' || scope === 'pending' || scope === 'finished'
      ? [e('status', 'in', scopeStatuses[scope])]
      : []),
    ...(scope === 'branches' || scope === 'tags'
      ? [
          e(
            'id',
            'in',
            e
              .selectFrom('pipelines as newest')
              .select((n) => n.fn.max('newest.id').as('id'))
              .where('newest.project_id', '=', filter.projectId)
              .where('newest.tag', '=', scope === 'tags' ? 1 : 0)
              .where((n) => n.and(filter.child === false ? [n('newest.source', '<>', 'parent_pipeline')] : []))
              .groupBy('newest.ref'),
          ),
        ]
      : []),
  ])
}

/** Which runners a list shows; what is absent does not count. */
export interface RunnerFilter {
  type?: RunnerType
  status?: RunnerStatus | 'active'
  paused?: boolean
  /** All of these. */
  tags?: readonly string[]
  versionPrefix?: string
  /** Project runners of projects, and group runners of groups, that this user manages. */
  managedBy?: number
  /** Runners that serve this project: its own, and those of the instance and of groups, as far as it takes them. */
  serves?: { projectId: number; instance: boolean; groupIds: readonly number[] }
  /** Runners of this group. */
  groupId?: number
  /** The time that `status` is told at, in milliseconds since 1970. */
  now: number
}

/** Runners, newest first. */
export function listRunnersBy(from: Reader, filter: RunnerFilter, page: Page): Promise<Runner[]> {
  return from.db
    .selectFrom('runners')
    .select(runnerColumns)
    .where((e) => runnersWhere(e, filter))
    .orderBy('id', 'desc')
    .limit(page.limit)
    .offset(page.offset)
    .execute()
}

/** How many runners the filter lets through. */
export async function countRunnersBy(from: Reader, filter: RunnerFilter): Promise<number> {
  const row = await from.db
    .selectFrom('runners')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where((e) => runnersWhere(e, filter))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

function runnersWhere(e: ExpressionBuilder<Database, 'runners'>, filter: RunnerFilter) {
  const { type, status, paused, tags = [], versionPrefix, managedBy, serves, groupId, now } = filter
  return e.and([
    ...(type === undefined ? [] : [e('type', '=', type)]),
    ...(paused === undefined ? [] : [e('active', '=', paused ? 0 : 1)]),
    ...(status === undefined ? [] : [hasStatus(status, filter.now)]),
    // The column holds a JSON list of tags in canonical form, so a tag is there if its JSON text is.
    ...tags.map((tag) => sql<boolean>`replace(tags, ${JSON.stringify(tag)}, '') <> tags`),
    ...(versionPrefix === undefined
      ? []
      : [
          e.exists(
            e
              .selectFrom('runner_managers')
              .select('runner_managers.id')
              .whereRef('runner_managers.runner_id', '=', 'runners.id')
              .where(sql<boolean>`substr(version, 1, ${versionPrefix.length}) = ${versionPrefix}`),
          ),
        ]),
    ...(serves === undefined
      ? []
      : [
          e.or([
            e(
              'id',
              'in',
              e.selectFrom('runner_projects').select('runner_id').where('project_id', '=', serves.projectId),
            ),
            ...(serves.instance ? [e('type', '=', 'instance')] : []),
            ...(serves.groupIds.length === 0
              ? []
              : [
                  e(
                    'id',
                    'in',
                    e.selectFrom('runner_groups').select('runner_id').where('group_id', 'in', serves.groupIds),
                  ),
                ]),
          ]),
        ]),
    ...(groupId === undefined
      ? []
      : [e('id', 'in', e.selectFrom('runner_groups').select('runner_id').where('group_id', '=', groupId))]),
    ...(managedBy === undefined
      ? []
      : [
          e.or([
            e(
              'id',
              'in',
              e
                .selectFrom('runner_projects')
                .select('runner_id')
                .where('project_id', 'in', projectsOf({ userId: managedBy, now }, levels.maintainer)),
            ),
            e(
              'id',
              'in',
              e
                .selectFrom('runner_groups')
                .select('runner_id')
                .where('group_id', 'in', groupsOf({ userId: managedBy, now }, levels.owner)),
            ),
          ]),
        ]),
  ])
}

/** The same decision as `runnerStatus`, in SQL. */
function hasStatus(status: RunnerStatus | 'active', now: number) {
  const staleSince = now - staleMs
  const onlineSince = now - onlineMs
  const fresh = sql`(created_at > ${staleSince} or coalesce(contacted_at, 0) > ${staleSince})`
  switch (status) {
    case 'active':
      return sql<boolean>`active = 1`
    case 'paused':
      return sql<boolean>`active = 0`
    case 'stale':
      return sql<boolean>`not ${fresh}`
    case 'never_contacted':
      return sql<boolean>`${fresh} and contacted_at is null`
    case 'online':
      return sql<boolean>`${fresh} and contacted_at > ${onlineSince}`
    case 'offline':
      return sql<boolean>`${fresh} and contacted_at <= ${onlineSince}`
  }
}

/** Which projects a list shows; what is absent does not count. */
export interface ProjectFilter {
  /** Part of the path, whatever its case. */
  search?: string
  /** Only those that this user may read: its own, internal and public ones. */
  visibleTo?: Viewer
  /** Only those in which this user has at least this level. */
  of?: { viewer: Viewer; level: number }
  /** Only those in these groups. */
  groupIds?: readonly number[]
}

/** Projects, newest first. */
export function listProjectsBy(from: Reader, filter: ProjectFilter, page: Page): Promise<Project[]> {
  return from.db
    .selectFrom('projects')
    .select(projectColumns)
    .where((e) => projectsWhere(e, filter))
    .orderBy('id', 'desc')
    .limit(page.limit)
    .offset(page.offset)
    .execute()
}

/** How many projects the filter lets through. */
export async function countProjectsBy(from: Reader, filter: ProjectFilter): Promise<number> {
  const row = await from.db
    .selectFrom('projects')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where((e) => projectsWhere(e, filter))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

function projectsWhere(e: ExpressionBuilder<Database, 'projects'>, filter: ProjectFilter) {
  const { search, visibleTo, of, groupIds } = filter
  // The user of a project's token is at home in that project only.
  const home = (user: number) => sql`(select project_id from users where users.id = ${user})`
  const visible = (user: number) =>
    sql<boolean>`(visibility = 'public' or (visibility = 'internal' and ${home(user)} is null)
      or projects.id = ${home(user)})`
  return e.and([
    e('deleted_at', 'is', null),
    // Not LIKE: a search for `%` or `_` means just that.
    ...(search === undefined
      ? []
      : [sql<boolean>`replace(lower(full_path), ${search.toLowerCase()}, '') <> lower(full_path)`]),
    ...(visibleTo === undefined
      ? []
      : [e.or([visible(visibleTo.userId), e('projects.id', 'in', projectsOf(visibleTo, levels.guest))])]),
    ...(of === undefined ? [] : [e('projects.id', 'in', projectsOf(of.viewer, of.level))]),
    ...(groupIds === undefined ? [] : [e('group_id', 'in', groupIds)]),
  ])
}

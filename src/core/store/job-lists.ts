/** Lists of jobs for people and scripts, by filter, a page at a time. Nothing here is on a hot path. */
import type { ExpressionBuilder } from 'kysely'
import type { Job, JobKind } from '../job.js'
import type { JobStatus } from '../lifecycle/job-machine.js'
import { jobColumns } from './columns.js'
import { projectsOf, type Viewer } from './member-levels.js'
import type { Page, Sort } from './page.js'
import type { Database } from './schema.js'
import type { Reader } from './write.js'

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

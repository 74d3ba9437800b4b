/**
 * Lists of jobs for people and scripts, by filter, a page at a time. A page costs as much after a million jobs as after
 * a thousand: what may be rare in a history (the jobs of one status, or of one runner) is read status by status, each in
 * the order of an index and no further than the page needs.
 */
import { type ExpressionBuilder, type SelectQueryBuilder, sql } from 'kysely'
import type { Job, JobKind } from '../job.js'
import { type JobStatus, statusSets } from '../lifecycle/job-machine.js'
import { jobColumns } from './columns.js'
import { classOf, isFinishedJob } from './job-classes.js'
import { projectsOf, type Viewer } from './member-levels.js'
import { countedTo, type Page, type Sort, toCount } from './page.js'
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
export async function listJobs(from: Reader, filter: JobFilter, page: Page, sort: Sort = 'desc'): Promise<Job[]> {
  const [first, ...others] = branches(from, filter, sort).map((branch) => {
    const rows = branch
      .select(jobColumns)
      .orderBy('jobs.id', sort)
      .limit(page.offset + page.limit)
    // Engines sort and cut the parts of a union only where each is a query by itself.
    return from.db.selectFrom(rows.as('some')).selectAll()
  })
  if (!first) return []
  const all = others.reduce((union, one) => union.unionAll(one), first)
  return from.db
    .selectFrom(all.as('every'))
    .selectAll()
    .orderBy('id', sort)
    .limit(page.limit)
    .offset(page.offset)
    .execute() as Promise<Job[]>
}

/** How many jobs the filter lets through; undefined: more than `countedTo`. */
export async function countJobs(from: Reader, filter: JobFilter): Promise<number | undefined> {
  const [first, ...others] = branches(from, filter, 'desc').map((branch) => {
    const rows = branch.select(sql<number>`1`.as('one')).limit(countedTo + 1)
    return from.db.selectFrom(rows.as('some')).selectAll()
  })
  if (!first) return 0
  const all = others.reduce((union, one) => union.unionAll(one), first)
  const row = await from.db
    .selectFrom(all.limit(countedTo + 1).as('every'))
    .select((e) => e.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return toCount(row.count)
}

type Branch = SelectQueryBuilder<Database, 'jobs', object>

/** Queries that have the jobs of the filter between them, none twice, each of which an index serves in the order of ids. */
function branches(from: Reader, filter: JobFilter, sort: Sort): Branch[] {
  const { statuses, runnerId, managerId, pipelineId, projectId } = filter
  const all = from.db.selectFrom('jobs').where((e) => narrowed(e, filter, sort))
  if (pipelineId !== undefined) return [withStatuses(all.where('pipeline_id', '=', pipelineId), statuses)]
  if (runnerId !== undefined || managerId !== undefined) return ofRunner(all, filter)
  const ofProject = projectId === undefined ? all : all.where('project_id', '=', projectId)
  if (statuses === undefined) return [ofProject]
  return [...new Set(statuses)].map((status) =>
    ofProject.where(classOf(status)).where(sql<boolean>`jobs.status = ${sql.lit(status)}`),
  )
}

/** What a runner has finished is found by status; the rest is what its open leases name. */
function ofRunner(all: Branch, { runnerId, managerId, statuses }: JobFilter): Branch[] {
  const theirs =
    managerId === undefined ? all.where('runner_id', '=', runnerId!) : all.where('manager_id', '=', managerId)
  const isWanted = (status: JobStatus) => statuses === undefined || statuses.includes(status)
  const finished = statusSets.finished.filter(isWanted).map((status) =>
    theirs
      .where(isFinishedJob)
      .where(managerId === undefined ? 'runner_id' : 'manager_id', 'is not', null)
      .where(sql<boolean>`jobs.status = ${sql.lit(status)}`),
  )
  const leased = theirs
    .where(sql<boolean>`jobs.id in (select job_id from leases where leases.status in ('offered', 'held'))`)
    .where('status', 'not in', statusSets.finished)
  return [...finished, withStatuses(leased, statuses)]
}

function withStatuses(query: Branch, statuses: readonly JobStatus[] | undefined): Branch {
  return statuses === undefined ? query : query.where('status', 'in', statuses)
}

/** What of the filter only leaves rows out. */
function narrowed(e: ExpressionBuilder<Database, 'jobs'>, filter: JobFilter, sort: Sort) {
  const { kinds, retried, after, of, projectId, pipelineId, runnerId } = filter
  const besides = pipelineId !== undefined || runnerId !== undefined
  return e.and([
    ...(besides && projectId !== undefined ? [sql<boolean>`jobs.project_id + 0 = ${projectId}`] : []),
    ...(of === undefined ? [] : [isOf(e, of)]),
    ...(kinds === undefined ? [] : [e('kind', 'in', kinds)]),
    ...(retried === false ? [e('retried', '=', 0)] : []),
    ...(after === undefined ? [] : [e('jobs.id', sort === 'desc' ? '<' : '>', after)]),
  ])
}

function isOf(e: ExpressionBuilder<Database, 'jobs'>, of: Membership) {
  if ('projectId' in of) return e('project_id', '=', of.projectId)
  return e('project_id', 'in', projectsOf(of.viewer, of.level))
}

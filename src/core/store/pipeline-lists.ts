/**
 * Lists of a project's pipelines for people and scripts, by filter, a page at a time.
 *
 * There is an index for each thing that may be asked for, and one for each order, but not for all of them together. So one
 * condition finds the rows, the one that leaves the fewest as a rule, and the others leave out of these. SQLite knows
 * nothing of the rows and might begin with the wrong one: there the others are written so that no index serves them
 * (https://sqlite.org/optoverview.html#disqualifying_where_clause_terms_using_unary_). PostgreSQL keeps statistics.
 */
import { type ExpressionBuilder, type RawBuilder, type SelectQueryBuilder, sql } from 'kysely'
import { type JobStatus, statusSets } from '../lifecycle/job-machine.js'
import type { Pipeline } from '../pipeline.js'
import { pipelineColumns } from './columns.js'
import { countedTo, type Page, type Sort, toCount } from './page.js'
import type { Database } from './schema.js'
import type { Reader } from './write.js'

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
type OrderBy = (typeof pipelineOrders)[number]

/** Pipelines of a project, by one of the columns that may be asked for. */
export async function listPipelines(
  from: Reader,
  filter: PipelineFilter,
  page: Page,
  order: { by: OrderBy; sort: Sort } = { by: 'id', sort: 'desc' },
): Promise<Pipeline[]> {
  const query = await filtered(from, filter, order.by)
  // Those of a schedule are read in the order of the rows that tie them to it.
  const first = order.by !== 'id' ? order.by : filter.scheduleId === undefined ? undefined : 'made.pipeline_id'
  // Times follow ids, but only their own index gives those of a time in order.
  const byTime = order.by === 'id' && drivenBy(filter, order.by) === 'created_at'
  return query
    .select(pipelineColumns)
    .$if(first !== undefined, (q) => q.orderBy(sql.ref(first!), order.sort))
    .$if(byTime, (q) => q.orderBy('pipelines.created_at', order.sort))
    .orderBy('pipelines.id', order.sort)
    .limit(page.limit)
    .offset(page.offset)
    .execute() as Promise<Pipeline[]>
}

/** How many pipelines the filter lets through; undefined: more than `countedTo`. */
export async function countPipelines(from: Reader, filter: PipelineFilter): Promise<number | undefined> {
  const some = (await filtered(from, filter, 'id')).select(sql<number>`1`.as('one')).limit(countedTo + 1)
  const row = await from.db
    .selectFrom(some.as('some'))
    .select((e) => e.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return toCount(row.count)
}

/** What finds the rows, the most telling first. The order of a list comes before what leaves most of them. */
const drivers = [
  ['ids', (f) => f.ids],
  ['iids', (f) => f.iids],
  ['sha', (f) => f.sha],
  ['schedule', (f) => f.scheduleId],
  ['name', (f) => f.name],
  ['newest', (f) => (f.scope === 'branches' || f.scope === 'tags' ? f.scope : undefined)],
  ['order', (_, order) => (order === 'id' ? undefined : order)],
  ['ref', (f) => f.ref],
  ['yaml_errors', (f) => f.yamlErrors || undefined],
  ['user_id', (f) => f.username],
  ['source', (f) => f.source],
  ['status', (f) => statusesOf(f)],
  ['updated_at', (f) => f.updatedAfter ?? f.updatedBefore],
  ['created_at', (f) => f.createdAfter ?? f.createdBefore],
] as const satisfies readonly (readonly [string, (filter: PipelineFilter, order: OrderBy) => unknown])[]
type Driver = (typeof drivers)[number][0]

function drivenBy(filter: PipelineFilter, order: OrderBy): Driver | undefined {
  return drivers.find(([, given]) => given(filter, order) !== undefined)?.[0]
}

const scopeStatuses: Partial<Record<string, readonly JobStatus[]>> = {
  running: ['running'],
  pending: ['pending'],
  finished: statusSets.finished,
}

/** A list of one status by itself is found by it; several are common enough to be met on the way. */
function statusesOf({ status, scope }: PipelineFilter): readonly JobStatus[] | undefined {
  return status !== undefined ? [status] : scope && scopeStatuses[scope]
}

type Query = SelectQueryBuilder<Database, 'pipelines', object>

async function filtered(from: Reader, filter: PipelineFilter, order: OrderBy): Promise<Query> {
  const driver = drivenBy(filter, order)
  const userId = filter.username === undefined ? undefined : await userIdOf(from, filter.username)
  const column = (name: Column, drives = name === driver): RawBuilder<never> => {
    const ref = sql.ref<never>(`pipelines.${name}`)
    return drives || from.engine === 'postgres' ? ref : sql`+${ref}`
  }
  const query: Query = from.db.selectFrom('pipelines').where((e) => wanted(e, filter, driver, { column, userId }))
  if (filter.scheduleId === undefined) return query
  return query
    .innerJoin('schedule_pipelines as made', 'made.pipeline_id', 'pipelines.id')
    .where('made.schedule_id', '=', filter.scheduleId) as unknown as Query
}

/** 0 for a name that nobody has. */
async function userIdOf(from: Reader, username: string): Promise<number> {
  const row = await from.db.selectFrom('users').select('id').where('username', '=', username).executeTakeFirst()
  return row?.id ?? 0
}

type Column = 'project_id' | 'ref' | 'sha' | 'name' | 'source' | 'status' | 'user_id' | 'updated_at' | 'created_at'

function wanted(
  e: ExpressionBuilder<Database, 'pipelines'>,
  filter: PipelineFilter,
  driver: Driver | undefined,
  { column, userId }: { column: (name: Column, drives?: boolean) => RawBuilder<never>; userId: number | undefined },
) {
  const { projectId, ids, iids, child, yamlErrors, scope } = filter
  const equal = [
    ['source', filter.source],
    ['ref', filter.ref],
    ['sha', filter.sha],
    ['name', filter.name],
    ['user_id', userId],
  ] as const
  const bounds = [
    ['updated_at', '<', filter.updatedBefore],
    ['updated_at', '>', filter.updatedAfter],
    ['created_at', '<', filter.createdBefore],
    ['created_at', '>', filter.createdAfter],
  ] as const
  const statuses = statusesOf(filter)
  const foundById = driver === 'ids' || driver === 'schedule' || driver === 'newest'
  return e.and([
    e(column('project_id', !foundById), '=', projectId as never),
    ...(ids === undefined ? [] : [e('pipelines.id', 'in', ids)]),
    ...(iids === undefined ? [] : [e('pipelines.iid', 'in', iids)]),
    ...equal.flatMap(([name, value]) => (value === undefined ? [] : [e(column(name), '=', value as never)])),
    ...bounds.flatMap(([name, operator, value]) =>
      value === undefined ? [] : [e(column(name), operator, value as never)],
    ),
    ...(statuses === undefined
      ? []
      : [e(column('status', driver === 'status' && statuses.length === 1), 'in', statuses as never)]),
    ...(child === false ? [e('pipelines.source', '<>', 'parent_pipeline')] : []),
    ...(yamlErrors === undefined ? [] : [e('pipelines.yaml_errors', yamlErrors ? 'is not' : 'is', null)]),
    ...(scope === 'branches' || scope === 'tags'
      ? [sql<boolean>`pipelines.id in (${newestOfRefs(projectId, scope, child)})`]
      : []),
  ])
}

/** The newest pipeline of each branch or tag: from one to the next in the order of an index, past all the others. */
function newestOfRefs(projectId: number, scope: 'branches' | 'tags', child: false | undefined) {
  const those = sql`pipelines.project_id = ${projectId} and pipelines.tag = ${scope === 'tags' ? 1 : 0}`
  return sql`
    with recursive refs (ref) as (
      select * from (select pipelines.ref from pipelines where ${those} order by pipelines.ref limit 1) as first
      union all
      select (
        select pipelines.ref from pipelines where ${those} and pipelines.ref > refs.ref order by pipelines.ref limit 1
      ) from refs where refs.ref is not null
    )
    select (
      select pipelines.id from pipelines where ${those} and pipelines.ref = refs.ref
        ${child === false ? sql`and pipelines.source <> 'parent_pipeline'` : sql``}
      order by pipelines.id desc limit 1
    ) from refs where refs.ref is not null`
}

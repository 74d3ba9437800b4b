/** Lists of a project's pipelines for people and scripts, by filter, a page at a time. Nothing here is on a hot path. */
import type { ExpressionBuilder } from 'kysely'
import { type JobStatus, statusSets } from '../lifecycle/job-machine.js'
import type { Pipeline } from '../pipeline.js'
import { pipelineColumns } from './columns.js'
import type { Page, Sort } from './page.js'
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

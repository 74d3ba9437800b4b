/** What history is old enough to go: pipelines by their projects' terms, and events that all have read. */
import { sql } from 'kysely'
import type { Pipeline } from '../pipeline.js'
import { pipelineColumns } from './columns.js'
import type { Reader, Tx } from './write.js'

/** Projects whose pipelines go after a time, with that time in milliseconds; `otherwise`: that of the others. */
export function listRetentions(from: Reader, otherwise: number | null): Promise<{ id: number; keptMs: number }[]> {
  return from.db
    .selectFrom('projects')
    .select((e) => [
      'id',
      sql<number>`coalesce(cast(${e.ref('delete_pipelines_s')} as bigint) * 1000, ${otherwise})`.as('keptMs'),
    ])
    .$if(otherwise === null, (q) => q.where('delete_pipelines_s', 'is not', null))
    .where('deleted_at', 'is', null)
    .orderBy('id')
    .execute()
}

/** How far a look at old pipelines has come. */
export interface OldPipeline {
  id: number
  createdAt: number
}

/** Pipelines of the project that were made before `before`, whatever has become of them: the oldest first, after one. */
export function listOldPipelines(
  from: Reader,
  projectId: number,
  before: number,
  after: OldPipeline,
  limit: number,
): Promise<Pipeline[]> {
  return from.db
    .selectFrom('pipelines')
    .select(pipelineColumns)
    .where('project_id', '=', projectId)
    .where('created_at', '<', before)
    .where(sql<boolean>`(created_at, id) > (${after.createdAt}, ${after.id})`)
    .orderBy('created_at')
    .orderBy('id')
    .limit(limit)
    .execute()
}

/** Whether it is the newest successful pipeline of its ref. */
export async function isLatestOfRef(from: Reader | Tx, pipeline: Pipeline): Promise<boolean> {
  if (pipeline.status !== 'success') return false
  const newer = await from.db
    .selectFrom('pipelines')
    .select('id')
    .where('project_id', '=', pipeline.projectId)
    .where('ref', '=', pipeline.ref)
    .where('tag', '=', pipeline.tag)
    .where(sql<boolean>`status || '' = 'success'`)
    .where('id', '>', pipeline.id)
    .limit(1)
    .executeTakeFirst()
  return newer === undefined
}

/** Whether one of its jobs made what an environment that has not been stopped is at. */
export async function isDeployed(from: Reader | Tx, pipelineId: number): Promise<boolean> {
  const { rows } = await sql`
    select 1 from jobs
    join deployments on deployments.job_id = jobs.id
    join environments on environments.id = deployments.environment_id
    where jobs.pipeline_id = ${pipelineId} and deployments.status = 'success' and environments.state <> 'stopped'
      and not exists (
        select 1 from deployments as newer
        where newer.environment_id = environments.id and newer.status = 'success' and newer.id > deployments.id
      )
    limit 1`.execute(from.db)
  return rows.length > 0
}

/** Ids of a pipeline's jobs after one, in order. */
export async function listJobIds(from: Reader, pipelineId: number, after: number, limit: number): Promise<number[]> {
  const rows = await from.db
    .selectFrom('jobs')
    .select('id')
    .where('pipeline_id', '=', pipelineId)
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows.map(({ id }) => id)
}

/** The last event that every exporter and task has read; undefined: there is none who reads. */
export async function lastReadByAll(from: Reader): Promise<number | undefined> {
  const row = await from.db
    .selectFrom('exporter_cursors')
    .select((e) => e.fn.min('event_id').as('id'))
    .executeTakeFirst()
  return row?.id == null ? undefined : Number(row.id)
}

/** The oldest events, in order. */
export function listOldestEvents(from: Reader, limit: number): Promise<{ id: number; at: number }[]> {
  return from.db.selectFrom('events').select(['id', 'at']).orderBy('id').limit(limit).execute()
}

export async function deleteEventsUpTo(tx: Tx, id: number): Promise<void> {
  await tx.db.deleteFrom('events').where('id', '<=', id).execute()
}

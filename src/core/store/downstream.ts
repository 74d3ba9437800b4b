/** Which pipeline made which: trigger jobs and the pipelines downstream of them. */
import type { Pipeline } from '../pipeline.js'
import { pipelineColumns } from './columns.js'
import { isOpenJob } from './job-classes.js'
import { lockPipeline } from './pipelines.js'
import type { Reader, Tx } from './write.js'

/** The pipeline that a trigger job made. */
export function findDownstream(from: Reader | Tx, jobId: number): Promise<Pipeline | undefined> {
  return from.db
    .selectFrom('pipelines')
    .select(pipelineColumns)
    .where('source_job_id', '=', jobId)
    .orderBy('id')
    .limit(1)
    .executeTakeFirst()
}

/** Ids of the pipelines that jobs of this pipeline made in the same project. */
export async function listChildren(from: Reader | Tx, pipelineId: number): Promise<number[]> {
  const rows = await from.db
    .selectFrom('pipelines')
    .innerJoin('jobs', 'jobs.id', 'pipelines.source_job_id')
    .select('pipelines.id')
    .where('jobs.pipeline_id', '=', pipelineId)
    .where('jobs.kind', '=', 'bridge')
    .whereRef('pipelines.project_id', '=', 'jobs.project_id')
    .where('pipelines.source', '=', 'parent_pipeline')
    .orderBy('pipelines.id')
    .execute()
  return rows.map((row) => row.id)
}

/** The pipeline and those upstream of it, nearest first. */
export async function listUpstreams(from: Reader | Tx, pipelineId: number, limit: number): Promise<Pipeline[]> {
  const chain: Pipeline[] = []
  for (let id: number | undefined = pipelineId; id !== undefined && chain.length < limit; ) {
    const pipeline: Pipeline | undefined = await from.db
      .selectFrom('pipelines')
      .select(pipelineColumns)
      .where('id', '=', id)
      .executeTakeFirst()
    if (!pipeline) break
    chain.push(pipeline)
    if (pipeline.sourceJobId === null) break
    const job = await from.db
      .selectFrom('jobs')
      .select('pipeline_id')
      .where('id', '=', pipeline.sourceJobId)
      .executeTakeFirst()
    id = job?.pipeline_id
  }
  return chain
}

/** How many pipelines a pipeline has started, directly or through others, itself counted; no more than `limit`. */
export async function countTree(from: Reader | Tx, rootId: number, limit: number): Promise<number> {
  let level = [rootId]
  let count = 1
  while (level.length > 0 && count < limit) {
    const rows = await from.db
      .selectFrom('pipelines')
      .innerJoin('jobs', 'jobs.id', 'pipelines.source_job_id')
      .select('pipelines.id')
      .where('jobs.pipeline_id', 'in', level)
      .limit(limit)
      .execute()
    level = rows.map((row) => row.id)
    count += level.length
  }
  return Math.min(count, limit)
}

/** The trigger job shows the status of this pipeline from now on. */
export async function insertMirror(tx: Tx, jobId: number, pipelineId: number): Promise<void> {
  await lockPipeline(tx, pipelineId)
  await tx.db.updateTable('pipelines').set({ followed: 1 }).where('id', '=', pipelineId).execute()
  await tx.db
    .insertInto('pipeline_mirrors')
    .values({ job_id: jobId, pipeline_id: pipelineId })
    .onConflict((c) => c.column('job_id').doNothing())
    .execute()
}

/** The pipeline whose status a trigger job shows. */
export function findMirrored(from: Reader | Tx, jobId: number): Promise<Pipeline | undefined> {
  return from.db
    .selectFrom('pipeline_mirrors')
    .innerJoin('pipelines', 'pipelines.id', 'pipeline_mirrors.pipeline_id')
    .select(pipelineColumns)
    .where('pipeline_mirrors.job_id', '=', jobId)
    .executeTakeFirst()
}

/** Whether a pipeline waits for another by mirroring it, directly or through those that it mirrors; `limit` are looked at. */
export async function doesMirror(
  from: Reader | Tx,
  pipelineId: number,
  other: number,
  limit: number,
): Promise<boolean> {
  const seen = new Set([pipelineId])
  for (let level = [pipelineId]; level.length > 0 && seen.size <= limit; ) {
    const rows = await from.db
      .selectFrom('pipeline_mirrors')
      .innerJoin('jobs', 'jobs.id', 'pipeline_mirrors.job_id')
      .select('pipeline_mirrors.pipeline_id as id')
      .where('jobs.pipeline_id', 'in', level)
      .execute()
    level = rows.map((row) => row.id).filter((id) => !seen.has(id))
    for (const id of level) seen.add(id)
  }
  return seen.has(other)
}

/** Ids of the trigger jobs that show the status of a pipeline. */
export async function listMirrorsOf(from: Reader | Tx, pipelineId: number): Promise<number[]> {
  const rows = await from.db
    .selectFrom('pipeline_mirrors')
    .select('job_id as id')
    .where('pipeline_id', '=', pipelineId)
    .orderBy('job_id')
    .execute()
  return rows.map((row) => row.id)
}

/** Trigger jobs whose pipeline is still to be made, or whose end they have not taken in, and those that mirror another. */
export async function listUnsettledBridges(
  from: Reader,
): Promise<{ waiting: number[]; behind: number[]; mirrors: number[] }> {
  const rows = await from.db
    .selectFrom('jobs')
    .leftJoin('pipelines', 'pipelines.source_job_id', 'jobs.id')
    .leftJoin('pipeline_mirrors', 'pipeline_mirrors.job_id', 'jobs.id')
    .leftJoin('pipelines as upstream', 'upstream.id', 'pipeline_mirrors.pipeline_id')
    .select([
      'jobs.id',
      'jobs.status',
      'jobs.started_at as startedAt',
      'pipelines.status as downstream',
      'upstream.id as mirrored',
      'upstream.status as upstream',
    ])
    .where('jobs.kind', '=', 'bridge')
    .where(isOpenJob)
    .where('jobs.status', 'in', ['pending', 'running', 'canceling'])
    .orderBy('jobs.id')
    .execute()
  const ended = ['success', 'failed', 'canceled', 'skipped']
  const own = rows.filter((row) => row.mirrored === null)
  // One that has started is pending again while its pipeline runs once more.
  const waits = (row: (typeof rows)[number]) => row.status === 'pending' && row.startedAt === null
  return {
    waiting: own.filter(waits).map((row) => row.id),
    behind: own
      .filter((row) => !waits(row) && (row.downstream === null || ended.includes(row.downstream)))
      .map((row) => row.id),
    mirrors: rows
      .filter((row) => row.upstream !== null && (row.status === 'pending' || ended.includes(row.upstream)))
      .map((row) => row.id),
  }
}

/** Rows of outside checks: jobs of the kind `external`, and what is told of them besides. */
import { sql } from 'kysely'
import type { Job } from '../job.js'
import { jobColumns } from './columns.js'
import { insertStage } from './pipelines.js'
import type { Reader, Tx } from './write.js'

/** The newest pipeline of a commit; `ref` and `id` narrow it down. */
export async function findPipelineOf(
  from: Reader | Tx,
  commit: { projectId: number; sha: string; ref?: string | undefined; id?: number | undefined },
): Promise<number | undefined> {
  const row = await from.db
    .selectFrom('pipelines')
    .select('id')
    .where('project_id', '=', commit.projectId)
    .where('sha', '=', commit.sha)
    .$if(commit.ref !== undefined, (q) => q.where('ref', '=', commit.ref!))
    .$if(commit.id !== undefined, (q) => q.where('id', '=', commit.id!))
    .where('source', '<>', 'parent_pipeline')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row?.id
}

/** The check of that name that has not ended. */
export async function findExternalJob(tx: Tx, pipelineId: number, name: string): Promise<number | undefined> {
  const row = await tx.db
    .selectFrom('jobs')
    .select('id')
    .where('pipeline_id', '=', pipelineId)
    .where('kind', '=', 'external')
    .where('name', '=', name)
    .where('retried', '=', 0)
    .where('status', 'in', ['created', 'pending', 'running'])
    .executeTakeFirst()
  return row?.id
}

/** Earlier checks of that name do not count any more. */
export async function markRetried(tx: Tx, pipelineId: number, name: string): Promise<void> {
  await tx.db
    .updateTable('jobs')
    .set({ retried: 1 })
    .where('pipeline_id', '=', pipelineId)
    .where('kind', '=', 'external')
    .where('name', '=', name)
    .execute()
}

/** Returns the id of the stage that outside checks of the pipeline are in, made if it is not there. */
export async function externalStage(tx: Tx, pipelineId: number, position: number): Promise<number> {
  const row = await tx.db
    .selectFrom('stages')
    .select('id')
    .where('pipeline_id', '=', pipelineId)
    .where('position', '=', position)
    .executeTakeFirst()
  return row?.id ?? insertStage(tx, { pipelineId, name: 'external', position })
}

/** Keeps what an outside check tells of itself; what is absent stays as it was. */
export async function saveExternalStatus(
  tx: Tx,
  jobId: number,
  told: { targetUrl?: string; description?: string },
): Promise<void> {
  const set = {
    ...(told.targetUrl === undefined ? {} : { target_url: told.targetUrl }),
    ...(told.description === undefined ? {} : { description: told.description }),
  }
  const query = tx.db
    .insertInto('external_statuses')
    .values({ job_id: jobId, target_url: null, description: null, ...set })
  await (Object.keys(set).length === 0
    ? query.onConflict((c) => c.column('job_id').doNothing())
    : query.onConflict((c) => c.column('job_id').doUpdateSet(set))
  ).execute()
}

/** A job as a status of its commit. */
export interface CommitStatus extends Job {
  ref: string
  sha: string
  targetUrl: string | null
  description: string | null
}

/** Statuses of a commit, newest first: of its checks and of its jobs. */
export function listCommitStatuses(
  from: Reader,
  filter: {
    projectId: number
    sha: string
    ref?: string
    name?: string
    stage?: string
    all?: boolean
    jobId?: number
  },
  page: { limit: number; offset: number },
): Promise<CommitStatus[]> {
  return from.db
    .selectFrom('jobs')
    .innerJoin('pipelines', 'pipelines.id', 'jobs.pipeline_id')
    .innerJoin('stages', 'stages.id', 'jobs.stage_id')
    .leftJoin('external_statuses', 'external_statuses.job_id', 'jobs.id')
    .select(jobColumns)
    .select([
      'pipelines.ref',
      'pipelines.sha',
      'external_statuses.target_url as targetUrl',
      'external_statuses.description',
    ])
    .where('pipelines.project_id', '=', filter.projectId)
    .where('pipelines.sha', '=', filter.sha)
    .$if(!filter.all, (q) => q.where('jobs.retried', '=', 0))
    .$if(filter.ref !== undefined, (q) => q.where('pipelines.ref', '=', filter.ref!))
    .$if(filter.name !== undefined, (q) => q.where('jobs.name', '=', filter.name!))
    .$if(filter.stage !== undefined, (q) => q.where('stages.name', '=', filter.stage!))
    .$if(filter.jobId !== undefined, (q) => q.where('jobs.id', '=', filter.jobId!))
    .orderBy(sql`jobs.id`, 'desc')
    .limit(page.limit)
    .offset(page.offset)
    .execute() as Promise<CommitStatus[]>
}

/** Rows of artifacts, and which of them a job downloads. */
import { sql } from 'kysely'
import type { Artifact } from '../artifact.js'
import type { JobPlan } from '../ci-config/plan.js'
import type { Job } from '../job.js'
import type { Reader, Tx } from './write.js'

export function findArtifact(from: Reader | Tx, jobId: number, type: string): Promise<Artifact | undefined> {
  return from.db
    .selectFrom('artifacts')
    .select(columns)
    .where('job_id', '=', jobId)
    .where('type', '=', type)
    .executeTakeFirst()
}

export function listArtifacts(from: Reader | Tx, jobIds: readonly number[]): Promise<Artifact[]> {
  if (jobIds.length === 0) return Promise.resolve([])
  return from.db.selectFrom('artifacts').select(columns).where('job_id', 'in', jobIds).orderBy('id').execute()
}

export async function insertArtifact(tx: Tx, artifact: Omit<Artifact, 'id' | 'createdAt'>): Promise<Artifact> {
  const { id } = await tx.db
    .insertInto('artifacts')
    .values({
      job_id: artifact.jobId,
      project_id: artifact.projectId,
      type: artifact.type,
      format: artifact.format,
      filename: artifact.filename,
      size_bytes: artifact.sizeBytes,
      sha256: artifact.sha256,
      location: artifact.location,
      expires_at: artifact.expiresAt,
      created_at: tx.now,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return { ...artifact, id, createdAt: tx.now }
}

/** Artifacts past their expiry, oldest first. */
export function listExpiredArtifacts(from: Reader | Tx, now: number, limit: number): Promise<Artifact[]> {
  return from.db
    .selectFrom('artifacts')
    .select(columns)
    .where('expires_at', '<=', now)
    .orderBy('expires_at')
    .limit(limit)
    .execute()
}

export async function deleteArtifacts(tx: Tx, ids: readonly number[]): Promise<void> {
  if (ids.length > 0) await tx.db.deleteFrom('artifacts').where('id', 'in', ids).execute()
}

/** Takes the expiry from what a job has; gives whether it has anything that is not expired. */
export async function keepArtifacts(tx: Tx, jobId: number): Promise<boolean> {
  const rows = await tx.db
    .updateTable('artifacts')
    .set({ expires_at: null })
    .where('job_id', '=', jobId)
    .where((e) => e.or([e('expires_at', 'is', null), e('expires_at', '>', tx.now)]))
    .returning('id')
    .execute()
  return rows.length > 0
}

export async function expireArtifactsOf(tx: Tx, projectId: number): Promise<void> {
  await tx.db
    .updateTable('artifacts')
    .set({ expires_at: tx.now })
    .where('project_id', '=', projectId)
    .where((e) => e.or([e('expires_at', 'is', null), e('expires_at', '>', tx.now)]))
    .execute()
}

/** The job of this name in a pipeline that succeeded and has an archive to give. */
export async function findJobWithArchive(
  from: Reader,
  pipelineId: number,
  name: string,
  now: number,
): Promise<number | undefined> {
  const row = await from.db
    .selectFrom('jobs')
    .innerJoin('artifacts', 'artifacts.job_id', 'jobs.id')
    .select('jobs.id')
    .where('jobs.pipeline_id', '=', pipelineId)
    .where('jobs.name', '=', name)
    .where('jobs.retried', '=', 0)
    .where('jobs.status', '=', 'success')
    .where('artifacts.type', '=', 'archive')
    .where((e) => e.or([e('artifacts.expires_at', 'is', null), e('artifacts.expires_at', '>', now)]))
    .orderBy('jobs.id', 'desc')
    .executeTakeFirst()
  return row?.id
}

/** Every location that a row names. */
export async function listLocations(from: Reader): Promise<Set<string>> {
  const rows = await from.db.selectFrom('artifacts').select('location').execute()
  return new Set(rows.map((row) => row.location))
}

/**
 * The archives that a job downloads: of the jobs it needs with `artifacts: true`, or of all jobs of earlier stages;
 * narrowed to `dependencies` where given. Rule: gitlab app/models/ci/build_dependencies.rb.
 */
export async function listDownloads(
  tx: Tx,
  job: Job,
  plan: JobPlan,
): Promise<{ id: number; name: string; filename: string; sizeBytes: number }[]> {
  const before = jobsBefore(tx, job, plan)
  if (!before) return []
  return before
    .innerJoin('artifacts', (join) =>
      join.onRef('artifacts.job_id', '=', 'jobs.id').on('artifacts.type', '=', 'archive'),
    )
    .select(['jobs.id', 'jobs.name', 'artifacts.filename', 'artifacts.size_bytes as sizeBytes'])
    .where(sql<boolean>`(artifacts.expires_at is null or artifacts.expires_at > ${tx.now})`)
    .orderBy('jobs.id')
    .execute()
}

/**
 * What these jobs have given to the job as variables, sealed as each has given them, in the order of the jobs. They stay
 * when the reports that they came in have expired.
 */
export async function listDotenvVariables(tx: Tx, job: Job, plan: JobPlan): Promise<Uint8Array[]> {
  const before = jobsBefore(tx, job, plan)
  if (!before) return []
  const rows = await before
    .innerJoin('dotenv_variables', 'dotenv_variables.job_id', 'jobs.id')
    .select('dotenv_variables.body')
    .orderBy('jobs.id')
    .execute()
  return rows.map((row) => row.body)
}

/** The jobs whose artifacts a job downloads, as a query; undefined if there can be none. */
function jobsBefore(tx: Tx, job: Job, plan: JobPlan) {
  const wanted = wantedNames(plan)
  if (wanted?.length === 0 || (plan.needs === undefined && job.stagePosition === 0)) return undefined
  return tx.db
    .selectFrom('jobs')
    .where('jobs.pipeline_id', '=', job.pipelineId)
    .where('jobs.retried', '=', 0)
    .where('jobs.id', '<>', job.id)
    .$if(plan.needs === undefined, (q) => q.where('jobs.stage_position', '<', job.stagePosition))
    .$if(wanted !== undefined, (q) => q.where('jobs.name', 'in', wanted!))
}

function wantedNames(plan: JobPlan): string[] | undefined {
  const needed = plan.needs?.filter((need) => need.artifacts).map((need) => need.job)
  if (plan.dependencies === undefined) return needed
  return needed === undefined ? plan.dependencies : needed.filter((name) => plan.dependencies!.includes(name))
}

const columns = [
  'id',
  'job_id as jobId',
  'project_id as projectId',
  'type',
  'format',
  'filename',
  'size_bytes as sizeBytes',
  'sha256',
  'location',
  'expires_at as expiresAt',
  'created_at as createdAt',
] as const

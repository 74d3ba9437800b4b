/** Rows of artifacts, and which of them a job downloads. */
import { sql } from 'kysely'
import type { Artifact } from '../artifact.js'
import type { JobPlan } from '../ci-config/job-definition.js'
import type { Job } from '../job.js'
import { hotQuery } from './hot-query.js'
import type { Reader, Tx } from './write.js'

/** Returns the job's artifact of a type (`archive`, or that of a report); undefined: it has none. */
export function findArtifact(from: Reader | Tx, jobId: number, type: string): Promise<Artifact | undefined> {
  return from.db
    .selectFrom('artifacts')
    .select(columns)
    .where('job_id', '=', jobId)
    .where('type', '=', type)
    .executeTakeFirst()
}

/** Returns all artifacts of these jobs, in the order in which they came. */
export function listArtifacts(from: Reader | Tx, jobIds: readonly number[]): Promise<Artifact[]> {
  if (jobIds.length === 0) return Promise.resolve([])
  return from.db.selectFrom('artifacts').select(columns).where('job_id', 'in', jobIds).orderBy('id').execute()
}

/** Its bytes are elsewhere now. */
export async function moveArtifact(tx: Tx, id: number, location: string): Promise<void> {
  await tx.db.updateTable('artifacts').set({ location }).where('id', '=', id).execute()
}

/** Inserts the row that makes uploaded bytes count. The bytes are durable by then. */
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
    .where('expires_at', 'is not', null)
    .where('expires_at', '<=', now)
    .orderBy('expires_at')
    .limit(limit)
    .execute()
}

/** Deletes the rows alone: the bytes are the caller's to remove after the commit. */
export async function deleteArtifacts(tx: Tx, ids: readonly number[]): Promise<void> {
  if (ids.length > 0) await tx.db.deleteFrom('artifacts').where('id', 'in', ids).execute()
}

/** Notes on their jobs that archives are gone, for jobs that come after them. */
export async function noteExpired(tx: Tx, artifacts: readonly Artifact[]): Promise<void> {
  const jobs = artifacts.filter((artifact) => artifact.type === 'archive').map((artifact) => artifact.jobId)
  if (jobs.length === 0) return
  await tx.db.updateTable('jobs').set({ artifacts_expired_at: tx.now }).where('id', 'in', jobs).execute()
}

/** Takes the expiry from what a job has; gives whether it has anything that is not expired. */
export async function keepArtifacts(tx: Tx, jobId: number): Promise<boolean> {
  const rows = await tx.db
    .updateTable('artifacts')
    .set({ expires_at: null })
    .where('job_id', '=', jobId)
    .where('type', '<>', 'trace')
    .where((e) => e.or([e('expires_at', 'is', null), e('expires_at', '>', tx.now)]))
    .returning('id')
    .execute()
  return rows.length > 0
}

/** What the project's jobs have kept expires now; their logs stay. */
export async function expireArtifactsOf(tx: Tx, projectId: number): Promise<void> {
  await tx.db
    .updateTable('artifacts')
    .set({ expires_at: tx.now })
    .where('project_id', '=', projectId)
    .where(sql<boolean>`type <> 'trace'`)
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

/** What one of the jobs before it gives a job. */
export interface Given {
  id: number
  name: string
  /** Its archive, if it has one that has not expired. */
  archive: { filename: string; sizeBytes: number } | null
  /** It has had one, which was erased or has expired. */
  gone: boolean
  /** Its dotenv variables, sealed; they stay when the report that they came in has expired. */
  dotenv: Uint8Array | null
}

/**
 * The current jobs of a pipeline that have, or have had, something to give, in the order of their ids. It looks at every
 * job of the pipeline: a pass that queues many jobs reads it once.
 */
export function listGivers(tx: Tx, pipelineId: number): Promise<Giver[]> {
  return tx.all(givers, { pipelineId })
}

/**
 * What a job takes over, in the order of the jobs: from those it needs with `artifacts: true`, or from all of earlier
 * stages; narrowed to `dependencies` where given. Rule: gitlab app/models/ci/build_dependencies.rb.
 * `known`: the givers of its pipeline, read before in the same transaction.
 */
export async function listGiven(tx: Tx, job: Job, plan: JobPlan, known?: () => Promise<Giver[]>): Promise<Given[]> {
  const wanted = wantedNames(plan)
  const byStage = plan.needs === undefined
  if (wanted?.length === 0 || (byStage && job.stagePosition === 0)) return []
  const all = await (known?.() ?? listGivers(tx, job.pipelineId))
  if (all.length === 0) return []
  const names = wanted && new Set(wanted)
  return all
    .filter((row) => row.id !== job.id && (!byStage || row.stagePosition < job.stagePosition))
    .filter((row) => names?.has(row.name) ?? true)
    .map(({ id, name, filename, sizeBytes, dotenv, erasedAt, expiresAt, artifactsExpiredAt }) => {
      const expired = artifactsExpiredAt !== null || (expiresAt !== null && expiresAt <= tx.now)
      const archive = filename === null || sizeBytes === null || expired ? null : { filename, sizeBytes }
      return { id, name, archive, dotenv, gone: erasedAt !== null || expired }
    })
}

/** A job that others take artifacts from, and what it has to give. */
export interface Giver {
  id: number
  name: string
  stagePosition: number
  filename: string | null
  sizeBytes: number | null
  expiresAt: number | null
  erasedAt: number | null
  artifactsExpiredAt: number | null
  dotenv: Uint8Array | null
}

const givers = hotQuery<Giver, 'pipelineId'>((db, p) =>
  db
    .selectFrom('jobs')
    .leftJoin('artifacts', (join) =>
      join.onRef('artifacts.job_id', '=', 'jobs.id').on('artifacts.type', '=', 'archive'),
    )
    .leftJoin('dotenv_variables', 'dotenv_variables.job_id', 'jobs.id')
    .select([
      'jobs.id',
      'jobs.name',
      'jobs.stage_position as stagePosition',
      'artifacts.filename',
      'artifacts.size_bytes as sizeBytes',
      'artifacts.expires_at as expiresAt',
      'jobs.erased_at as erasedAt',
      'jobs.artifacts_expired_at as artifactsExpiredAt',
      'dotenv_variables.body as dotenv',
    ])
    .where('jobs.pipeline_id', '=', p('pipelineId'))
    .where('jobs.retried', '=', 0)
    .where((e) =>
      e.or([
        e('artifacts.id', 'is not', null),
        e('dotenv_variables.job_id', 'is not', null),
        e('jobs.erased_at', 'is not', null),
        e('jobs.artifacts_expired_at', 'is not', null),
      ]),
    )
    .orderBy('jobs.id'),
)

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

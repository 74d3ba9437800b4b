/** Rows of pipelines and stages. */
import { sql } from 'kysely'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import { is, type JobStatus, statusSets } from '../lifecycle/job-machine.js'
import { nextPipelineStatus } from '../lifecycle/pipeline-status.js'
import type { Pipeline, Stage } from '../pipeline.js'
import { pipelineColumns } from './columns.js'
import { CurrentJobs } from './current-jobs.js'
import { hotQuery } from './hot-query.js'
import { manyRows } from './insert-many.js'
import type { Reader, Tx } from './write.js'

/** Returns the pipeline of this id; undefined: there is none, or it was deleted. */
export async function findPipeline(from: Reader | Tx, id: number): Promise<Pipeline | undefined> {
  const known = from.known?.pipelines.get(id)
  if (known) return known
  const pipeline = await from.first(pipelineById, { id })
  if (pipeline) from.known?.pipelines.set(id, pipeline)
  return pipeline
}

/** The pipeline; throws `not_found`. */
export async function getPipeline(from: Reader | Tx, id: number): Promise<Pipeline> {
  const pipeline = await findPipeline(from, id)
  if (!pipeline) throw new SignalboxError('not_found', `no pipeline ${id}`)
  return pipeline
}

/** The variables that were fixed when the pipeline was made, sealed; null: it is gone, or has none. */
export async function findPipelineVariables(from: Reader | Tx, id: number): Promise<Uint8Array | null> {
  const row = await from.db.selectFrom('pipelines').select('variables').where('id', '=', id).executeTakeFirst()
  return row?.variables ?? null
}

/** Holds the pipeline until the end of the transaction: whoever folds over its jobs or changes one comes after us. */
export async function lockPipeline(tx: Tx, id: number): Promise<void> {
  if (tx.engine !== 'postgres' || heldBy(tx).has(id)) return
  heldBy(tx).add(id)
  // What was read before we had it may have changed since.
  tx.known.clear()
  const pipeline = await tx.first(heldPipeline, { id })
  if (pipeline) tx.known.pipelines.set(id, pipeline)
}

/** The same with the pipeline of a job. `also` is asked behind it, in the same exchange. */
export async function lockPipelineOf(tx: Tx, jobId: number, also: readonly (() => Promise<unknown>)[]): Promise<void> {
  const { known } = tx
  known.clear()
  const hold = async () => {
    const pipeline = await tx.first(heldPipelineOfJob, { jobId })
    if (!pipeline) return
    heldBy(tx).add(pipeline.id)
    known.pipelines.set(pipeline.id, pipeline)
  }
  await tx.together([hold, ...also])
}

/** Whether the transaction holds the pipeline already. */
export function isHeld(tx: Tx, id: number): boolean {
  return heldBy(tx).has(id)
}

function heldBy(tx: Tx): Set<number> {
  return tx.once('pipelines that are ours', () => new Set())
}

/** What is said of a pipeline as it is made; `variables` are sealed. */
export type NewPipeline = Omit<
  Pipeline,
  'id' | 'status' | 'rootId' | 'autoCanceledBy' | 'createdAt' | 'updatedAt' | 'startedAt' | 'finishedAt' | 'durationMs'
> & { variables: Uint8Array; rootId?: number | null }

/** Inserts a pipeline as it begins. `ended`: it has no jobs and is over at once, with this status. */
export async function insertPipeline(tx: Tx, pipeline: NewPipeline, ended?: 'failed' | 'skipped'): Promise<Pipeline> {
  const status = ended === undefined ? 'created' : nextPipelineStatus('created', ended)
  const finishedAt = ended === undefined ? null : tx.now
  const [id] = await tx.newIds('pipelines', 1)
  const made: Pipeline = {
    id: id!,
    projectId: pipeline.projectId,
    iid: pipeline.iid,
    ref: pipeline.ref,
    tag: pipeline.tag,
    protected: pipeline.protected,
    sha: pipeline.sha,
    beforeSha: pipeline.beforeSha,
    source: pipeline.source,
    status,
    userId: pipeline.userId,
    name: pipeline.name,
    yamlErrors: pipeline.yamlErrors,
    onNewCommit: pipeline.onNewCommit,
    onJobFailure: pipeline.onJobFailure,
    autoCanceledBy: null,
    sourceJobId: pipeline.sourceJobId,
    rootId: pipeline.rootId ?? null,
    followed: pipeline.followed,
    createdAt: tx.now,
    updatedAt: tx.now,
    startedAt: null,
    finishedAt,
    durationMs: null,
  }
  tx.unwritten.put('pipelines', newPipelines, made.id, { ...made, variables: pipeline.variables })
  tx.known.pipelines.set(made.id, made)
  tx.known.stages.set(made.id, [])
  tx.known.currentJobs.set(made.id, new CurrentJobs([]))
  // Nobody else sees it yet.
  heldBy(tx).add(made.id)
  return made
}

/** Inserts a stage. Returns its id. */
export async function insertStage(
  tx: Tx,
  stage: { pipelineId: number; name: string; position: number },
): Promise<number> {
  const [id] = await tx.newIds('stages', 1)
  const { pipelineId, position } = stage
  const made: Stage = { id: id!, pipelineId, name: stage.name, position, status: 'created' }
  tx.unwritten.put('stages', newStages, made.id, { ...made })
  tx.known.stages.change(pipelineId, (known) => [...known, made].sort((a, b) => a.position - b.position))
  return made.id
}

/**
 * Whether the job's pipeline and stage are `running`; if it has ended, also whether another current job of its stage is
 * pending or running, and no created job of the pipeline is ordered by needs.
 */
export async function isRunningOn(tx: Tx, job: Job): Promise<boolean> {
  const { id, pipelineId, stageId, stagePosition } = job
  const pipeline = tx.known.pipelines.get(pipelineId)
  const stage = tx.known.stages.get(pipelineId)?.find((one) => one.id === stageId)
  if (pipeline && stage && !(pipeline.status === 'running' && stage.status === 'running')) return false
  if (job.status === 'running' && pipeline && stage) return true
  const jobs = tx.known.currentJobs.get(pipelineId)
  if (pipeline && stage && jobs) return jobs.isQuietWithout(job)
  if (job.status === 'running') return (await tx.first(runningTogether, { pipelineId, stageId })) !== undefined
  return (await tx.first(runningWithout, { id, pipelineId, stageId, stagePosition })) !== undefined
}

/**
 * Writes the pipeline's new status and what goes with it, on condition that the row still has the status `from`. Throws
 * `conflict` otherwise.
 */
export async function savePipelineStatus(tx: Tx, pipeline: Pipeline, from: JobStatus): Promise<void> {
  const { id, status, updatedAt, startedAt, finishedAt, durationMs } = pipeline
  const written = { status, updatedAt, startedAt, finishedAt, durationMs }
  if (!tx.unwritten.change('pipelines', id, written)) {
    const moved = () => new SignalboxError('conflict', `pipeline ${id} is not ${from} any more`)
    await tx.later(writePipeline, { id, from, ...written }, moved)
  }
  tx.known.pipelines.change(id, (row) => ({ ...row, ...written }))
  if (is('finished', status)) tx.known.currentJobs.forget(id)
}

/** Notes which newer pipeline made this one redundant. */
export async function setAutoCanceledBy(tx: Tx, id: number, by: number): Promise<void> {
  await tx.db.updateTable('pipelines').set({ auto_canceled_by: by }).where('id', '=', id).execute()
}

/** Gives the pipeline a name, or takes it away. */
export async function setPipelineName(tx: Tx, id: number, name: string | null): Promise<void> {
  await tx.db.updateTable('pipelines').set({ name, updated_at: tx.now }).where('id', '=', id).execute()
}

/** Returns the stages of a pipeline with their statuses, in order. */
export async function listStages(from: Reader | Tx, pipelineId: number): Promise<readonly Stage[]> {
  const known = from.known?.stages.get(pipelineId)
  if (known) return known
  const stages = await from.all(stagesOfPipeline, { pipelineId })
  from.known?.stages.set(pipelineId, stages)
  return stages
}

/** The same of the pipeline of a job. */
export async function listStagesAround(tx: Tx, jobId: number): Promise<readonly Stage[]> {
  const pipelineId = tx.known.jobs.get(jobId)?.pipelineId
  if (pipelineId !== undefined) return listStages(tx, pipelineId)
  const stages = await tx.all(stagesAroundJob, { jobId })
  if (stages[0]) tx.known.stages.set(stages[0].pipelineId, stages)
  return stages
}

/** Writes the stage's new status, on condition that the row still has that of `stage`. Throws `conflict` otherwise. */
export async function saveStageStatus(tx: Tx, stage: Stage, status: JobStatus): Promise<void> {
  const { id, status: from } = stage
  if (!tx.unwritten.change('stages', id, { status })) {
    const moved = () => new SignalboxError('conflict', `stage ${id} is not ${from} any more`)
    await tx.later(writeStage, { id, from, status }, moved)
  }
  tx.known.stages.change(stage.pipelineId, (known) =>
    known.map((one) => (one.id === stage.id ? { ...one, status } : one)),
  )
}

/** Older pipelines of the same ref, at other commits, that have something left to cancel: newest first. */
export function listRedundantPipelines(
  from: Reader,
  newer: Pick<Pipeline, 'id' | 'projectId' | 'ref' | 'sha'>,
  { since, limit }: { since: number; limit: number },
): Promise<{ id: number; source: string }[]> {
  return from.db
    .selectFrom('pipelines')
    .select(['id', 'source'])
    .where('project_id', '=', newer.projectId)
    .where('ref', '=', newer.ref)
    .where('id', '<', newer.id)
    .where(isLiving)
    .where('sha', '<>', newer.sha)
    .where('created_at', '>', since)
    .orderBy('id', 'desc')
    .limit(limit)
    .execute()
}

// The list is that of the partial index, which serves a query only if it is repeated.
const isLiving = sql<boolean>`status not in ('success', 'failed', 'canceled', 'skipped')`

/** Ids of the pipelines that have not been processed yet. */
export async function listNewPipelines(from: Reader): Promise<number[]> {
  const rows = await from.db
    .selectFrom('pipelines')
    .select('id')
    .where(sql<boolean>`status = 'created'`)
    .orderBy('id')
    .execute()
  return rows.map((row) => row.id)
}

/** Pipelines that have not come to a stop. */
export function listLivingPipelines(from: Reader): Promise<{ id: number; sha: string; projectId: number }[]> {
  return from.db
    .selectFrom('pipelines')
    .select(['id', 'sha', 'project_id as projectId'])
    .where(isLiving)
    .where('status', 'not in', statusSets.stopped)
    .execute()
}

/** When each current job that has run ran, for the pipeline's duration. */
export async function runIntervals(
  tx: Tx,
  pipelineId: number,
): Promise<{ startedAt: number; finishedAt: number | null }[]> {
  const known = tx.known.currentJobs.get(pipelineId)
  if (!known) return tx.all(intervals, { pipelineId })
  return known.list().flatMap(({ startedAt, finishedAt }) => (startedAt === null ? [] : [{ startedAt, finishedAt }]))
}

const pipelineById = hotQuery<Pipeline, 'id'>((db, p) =>
  db.selectFrom('pipelines').select(pipelineColumns).where('id', '=', p('id')),
)

const heldPipeline = hotQuery<Pipeline, 'id'>((db, p) =>
  db.selectFrom('pipelines').select(pipelineColumns).where('id', '=', p('id')).forUpdate(),
)

const heldPipelineOfJob = hotQuery<Pipeline, 'jobId'>((db, p) =>
  db
    .selectFrom('pipelines')
    .select(pipelineColumns)
    .where('id', '=', (q) => q.selectFrom('jobs').select('jobs.pipeline_id').where('jobs.id', '=', p('jobId')))
    .forUpdate(),
)

const writePipeline = hotQuery<
  never,
  'id' | 'from' | 'status' | 'updatedAt' | 'startedAt' | 'finishedAt' | 'durationMs'
>(
  (db, p) =>
    db
      .updateTable('pipelines')
      .set({
        status: p('status'),
        updated_at: p('updatedAt'),
        started_at: p('startedAt'),
        finished_at: p('finishedAt'),
        duration_ms: p('durationMs'),
      })
      .where('id', '=', p('id'))
      .where('status', '=', p('from')),
  { keepsKnown: true },
)

const bothRunning = (p: (name: 'pipelineId' | 'stageId') => unknown) => sql`
  select 1 as yes from pipelines join stages on stages.pipeline_id = pipelines.id
  where pipelines.id = ${p('pipelineId')} and stages.id = ${p('stageId')}
    and pipelines.status = 'running' and stages.status = 'running'`

const runningTogether = hotQuery<{ yes: 1 }, 'pipelineId' | 'stageId'>((db, p) => ({
  compile: () => bothRunning(p).compile(db),
}))

// From the last job backwards: those that are still alive are found there, behind all that have ended.
const runningWithout = hotQuery<{ yes: 1 }, 'id' | 'pipelineId' | 'stageId' | 'stagePosition'>((db, p) => ({
  compile: () =>
    sql`${bothRunning(p)}
      and (
        select id from jobs where pipeline_id = ${p('pipelineId')} and retried = 0 and stage_position = ${p('stagePosition')}
          and id <> ${p('id')} and status in ('pending', 'running')
        order by id desc limit 1
      ) is not null
      and not exists (
        select 1 from jobs where pipeline_id = ${p('pipelineId')} and status = 'created' and scheduling = 'dag' and retried = 0
      )`.compile(db),
}))

const stagesOfPipeline = hotQuery<Stage, 'pipelineId'>((db, p) =>
  db
    .selectFrom('stages')
    .select(['id', 'pipeline_id as pipelineId', 'name', 'position', 'status'])
    .where('pipeline_id', '=', p('pipelineId'))
    .orderBy('position'),
)

const stagesAroundJob = hotQuery<Stage, 'jobId'>((db, p) =>
  db
    .selectFrom('stages')
    .select(['id', 'pipeline_id as pipelineId', 'name', 'position', 'status'])
    .where('pipeline_id', '=', (q) => q.selectFrom('jobs').select('jobs.pipeline_id').where('jobs.id', '=', p('jobId')))
    .orderBy('position'),
)

const writeStage = hotQuery<never, 'id' | 'from' | 'status'>(
  (db, p) =>
    db
      .updateTable('stages')
      .set({ status: p('status') })
      .where('id', '=', p('id'))
      .where('status', '=', p('from')),
  { keepsKnown: true },
)

const intervals = hotQuery<{ startedAt: number; finishedAt: number | null }, 'pipelineId'>((db, p) =>
  db
    .selectFrom('jobs')
    .select(['started_at as startedAt', 'finished_at as finishedAt'])
    .where('pipeline_id', '=', p('pipelineId'))
    .where('retried', '=', 0)
    .where('started_at', 'is not', null),
)

const newPipelines = manyRows((db, p, rows) =>
  db.insertInto('pipelines').values(
    rows.map((row) => ({
      id: p('id', row),
      project_id: p('projectId', row),
      iid: p('iid', row),
      ref: p('ref', row),
      tag: p('tag', row),
      protected: p('protected', row),
      sha: p('sha', row),
      before_sha: p('beforeSha', row),
      source: p('source', row),
      status: p('status', row),
      user_id: p('userId', row),
      name: p('name', row),
      yaml_errors: p('yamlErrors', row),
      variables: p('variables', row),
      on_new_commit: p('onNewCommit', row),
      on_job_failure: p('onJobFailure', row),
      source_job_id: p('sourceJobId', row),
      root_id: p('rootId', row),
      followed: p('followed', row),
      created_at: p('createdAt', row),
      updated_at: p('updatedAt', row),
      started_at: p('startedAt', row),
      finished_at: p('finishedAt', row),
      duration_ms: p('durationMs', row),
    })),
  ),
)

const newStages = manyRows((db, p, rows) =>
  db.insertInto('stages').values(
    rows.map((row) => ({
      id: p('id', row),
      pipeline_id: p('pipelineId', row),
      name: p('name', row),
      position: p('position', row),
      status: p('status', row),
    })),
  ),
)

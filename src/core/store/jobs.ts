/** Rows of jobs, their definitions and needs. */
import { sql } from 'kysely'
import type { JobPlan } from '../ci-config/job-definition.js'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import { is } from '../lifecycle/job-machine.js'
import { jobColumns } from './columns.js'
import { CurrentJobs, type CurrentRun } from './current-jobs.js'
import { type HotQuery, hotQuery, type Value } from './hot-query.js'
import { manyRows, type Row } from './insert-many.js'
import { isHeld, lockPipelineOf } from './pipelines.js'
import type { Reader, Tx } from './write.js'

/** The job, or undefined. */
export async function findJob(from: Reader | Tx, id: number): Promise<Job | undefined> {
  const known = from.known?.jobs.get(id)
  if (known) {
    const job = { ...known }
    if ('once' in from) storedIn(from).set(job, known)
    return job
  }
  const job = await from.first(jobById, { id })
  if (job) noteStored(from, job, { ...job })
  return job
}

/** The job; throws `not_found`. */
export async function getJob(from: Reader | Tx, id: number): Promise<Job> {
  const job = await findJob(from, id)
  if (!job) throw new SignalboxError('not_found', `no job ${id}`)
  return job
}

/**
 * The job as it is now, with its pipeline locked until the end of the transaction: every change to a job, its leases or
 * its pipeline's status goes through here, so that two of them never decide on the same old state. `also` is what the caller
 * is going to look at besides: asked in the same exchange, and known then.
 */
export async function lockJob(
  tx: Tx,
  id: number,
  also: readonly (() => Promise<unknown>)[] = [],
): Promise<Job | undefined> {
  const known = tx.known.jobs.get(id)
  const isLocked = tx.engine === 'sqlite' || (known && isHeld(tx, known.pipelineId))
  if (!isLocked) await lockPipelineOf(tx, id, [() => findJob(tx, id), ...also])
  return findJob(tx, id)
}

/** Asks for all current jobs of the job's pipeline if they are few: then the pipeline can be processed without asking again. */
export async function lookAround(tx: Tx, jobId: number): Promise<void> {
  const jobs = await tx.all(fewAround, { jobId })
  if (jobs.length > 0 && jobs.length < few) CurrentJobs.keep(tx.known.currentJobs, jobs[0]!.pipelineId, jobs)
}

/** In a larger pipeline one look tells that nothing follows, and reading all would cost more. */
const few = 8

/**
 * Writes what has changed in a job since it was read or written; its object must be one that this transaction has read or
 * made. The pipeline must be locked (`lockJob`). A column that is written costs its indexes too, so what stands is left
 * alone. A new status is written on condition that the row still has the old one. Throws `conflict` otherwise.
 */
export async function saveJob(tx: Tx, job: Job): Promise<void> {
  const before = storedIn(tx).get(job)
  if (!before) throw new Error(`job ${job.id} was not read in this transaction`)
  const changed: MutableField[] = []
  const written: Partial<Record<MutableField, Value>> = {}
  for (const field of mutableFields) {
    if (job[field] === before[field]) continue
    changed.push(field)
    written[field] = job[field]
  }
  if (changed.length === 0) return
  if (!tx.unwritten.change('jobs', job.id, written as Row)) {
    const from = before.status === job.status ? null : before.status
    const moved = () => new SignalboxError('conflict', `job ${job.id} is not ${from} any more`)
    const query = writeJob(changed, from !== null)
    await tx.later(query, { ...written, id: job.id, from } as JobRow, from === null ? undefined : moved)
  }
  noteStored(tx, job, { ...before, ...(written as Partial<Job>) })
}

type JobRow = Readonly<Record<MutableField | 'id' | 'from', Value>>

/** Inserts a job. Returns it with its id; later writes of the same object save only what has changed. */
export async function insertJob(tx: Tx, fields: Omit<Job, 'id'>): Promise<Job> {
  return (await insertJobs(tx, [fields]))[0]!
}

/** Inserts jobs, and returns them in their order; their ids rise in it. */
export async function insertJobs(tx: Tx, list: readonly Omit<Job, 'id'>[]): Promise<Job[]> {
  const ids = await tx.newIds('jobs', list.length)
  return list.map((fields, i) => {
    const job: Job = { ...fields, id: ids[i]! }
    tx.unwritten.put('jobs', newJobs, job.id, { ...job } as object as Row)
    noteStored(tx, job, { ...job })
    return job
  })
}

/** Each job object of the transaction as its row was when it was last read or written. */
function storedIn(tx: Tx): Map<Job, Readonly<Job>> {
  return tx.once('jobs as they are stored', () => new Map())
}

function noteStored(from: Reader | Tx, job: Job, row: Readonly<Job>): void {
  if ('once' in from) storedIn(from).set(job, row)
  from.known?.currentJobs.change(row.pipelineId, (jobs) => jobs.noting(row))
  if (is('finished', row.status)) from.known?.jobs.forget(row.id)
  else from.known?.jobs.set(row.id, row)
}

/** Keeps what a job does. Returns its id, which retries of the job share. */
export async function insertDefinition(tx: Tx, plan: JobPlan): Promise<number> {
  return (await insertDefinitions(tx, [plan]))[0]!
}

/** Returns the ids in the order of the plans. */
export async function insertDefinitions(tx: Tx, plans: readonly JobPlan[]): Promise<number[]> {
  const ids = await tx.newIds('job_definitions', plans.length)
  for (const [i, id] of ids.entries()) {
    tx.unwritten.put('job_definitions', newDefinitions, id, { id, body: JSON.stringify(plans[i]) })
  }
  return ids
}

/** What a job does. */
export async function getDefinition(from: Reader | Tx, definitionId: number): Promise<JobPlan> {
  const row = await from.first(definitionById, { id: definitionId })
  if (!row)
    throw new SignalboxError('internal', 'internal error', { cause: new Error(`no definition ${definitionId}`) })
  return JSON.parse(row.body)
}

/** The timeouts that the job's file and its project set, in seconds. */
export async function timeoutsOf(tx: Tx, job: Job): Promise<{ job: number | null; project: number }> {
  const row = await tx.first(timeoutsOfJob, { definitionId: job.definitionId, projectId: job.projectId })
  return row!
}

/** Ids of delayed jobs whose time has come, the longest due first. */
export async function listDueJobs(from: Reader, now: number, limit: number): Promise<number[]> {
  const rows = await from.db
    .selectFrom('jobs')
    .select('id')
    .where(sql<boolean>`status = 'scheduled'`)
    .where('scheduled_at', '<=', now)
    .orderBy('scheduled_at')
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows.map((row) => row.id)
}

/** Ids of jobs that wait for what the server prepares. */
export async function listPreparing(from: Reader): Promise<number[]> {
  const rows = await from.db
    .selectFrom('jobs')
    .select('id')
    .where(sql<boolean>`status = 'preparing'`)
    .orderBy('id')
    .execute()
  return rows.map((row) => row.id)
}

/** What each current job of a pipeline does. */
export async function listDefinitions(from: Reader, pipelineId: number): Promise<JobPlan[]> {
  const rows = await from.db
    .selectFrom('jobs')
    .innerJoin('job_definitions', 'job_definitions.id', 'jobs.definition_id')
    .select('job_definitions.body')
    .where('jobs.pipeline_id', '=', pipelineId)
    .where('jobs.retried', '=', 0)
    .orderBy('jobs.id')
    .execute()
  return rows.map((row) => JSON.parse(row.body))
}

/** Keeps what a person gave a job on playing it, sealed. */
export async function saveJobVariables(tx: Tx, jobId: number, body: Uint8Array): Promise<void> {
  await tx.db
    .insertInto('job_variables')
    .values({ job_id: jobId, body })
    .onConflict((c) => c.column('job_id').doUpdateSet({ body }))
    .execute()
}

/** Returns the sealed variables that a person gave to this job alone; undefined: none. */
export async function findJobVariables(from: Reader | Tx, jobId: number): Promise<Uint8Array | undefined> {
  const row = await from.db.selectFrom('job_variables').select('body').where('job_id', '=', jobId).executeTakeFirst()
  return row?.body
}

/** Jobs that have ended and for which something is still to be done. */
export async function listFinishWork(from: Reader, after: number, limit: number): Promise<number[]> {
  const rows = await from.db
    .selectFrom('jobs')
    .select('id')
    .where(sql<boolean>`finish_work = 1`)
    .where('status', 'in', ['success', 'failed', 'canceled'])
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows.map((row) => row.id)
}

/** Notes that the work after a job's end is done, and what it found. */
export async function saveFinishWork(tx: Tx, id: number, found: { coverage: number | null }): Promise<void> {
  await tx.all(doneFinishWork, { id, coverage: found.coverage })
  tx.known.jobs.forget(id)
}

/** The mean coverage of a pipeline's current jobs, in percent; null: none has one. */
export async function pipelineCoverage(from: Reader, pipelineId: number): Promise<number | null> {
  const row = await from.db
    .selectFrom('jobs')
    .select((e) => e.fn.avg<number | string | null>('coverage').as('mean'))
    .where('pipeline_id', '=', pipelineId)
    .where('retried', '=', 0)
    .where('coverage', 'is not', null)
    .executeTakeFirst()
  return row?.mean == null ? null : Number(row.mean)
}

/** A job of the same pipeline that another one waits for; flags are 0 or 1. */
export interface Need {
  name: string
  artifacts: number
  optional: number
}

/** Keeps what a job needs, in the order of the configuration. */
export async function insertNeeds(tx: Tx, jobId: number, needs: readonly Need[]): Promise<void> {
  for (const [position, { name, artifacts, optional }] of needs.entries()) {
    tx.unwritten.put('job_needs', newNeeds, `${jobId} ${position}`, { jobId, position, name, artifacts, optional })
  }
}

/** Returns what a job needs, in the order of the configuration. */
export function listNeeds(from: Reader | Tx, jobId: number): Promise<Need[]> {
  return from.all(needsOfJob, { jobId })
}

/** Returns the jobs that count for the pipeline, in stage order: of those that were retried the newest. */
export async function listCurrentJobs(from: Reader | Tx, pipelineId: number): Promise<CurrentRun[]> {
  const known = from.known?.currentJobs.get(pipelineId)
  if (known) return known.list().map((job) => ({ ...job }))
  const jobs = await from.all(currentJobs, { pipelineId })
  if (from.known) CurrentJobs.keep(from.known.currentJobs, pipelineId, jobs)
  return jobs
}

/** The needs of every current job of a pipeline that is ordered by them. */
export function listPipelineNeeds(from: Reader | Tx, pipelineId: number): Promise<(Need & { jobId: number })[]> {
  return from.all(pipelineNeeds, { pipelineId })
}

/** How often the job has been tried before in this pipeline, under its name. */
export async function countRetries(tx: Tx, pipelineId: number, name: string): Promise<number> {
  const row = await tx.db
    .selectFrom('jobs')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where('pipeline_id', '=', pipelineId)
    .where('name', '=', name)
    .where('retried', '=', 1)
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** The jobs of this name in the pipeline that came before this one, the newest first. */
export async function listAttempts(from: Reader, { id, pipelineId, name }: Job, limit: number): Promise<Job[]> {
  return from.db
    .selectFrom('jobs')
    .select(jobColumns)
    .where('pipeline_id', '=', pipelineId)
    .where('name', '=', name)
    .where('retried', '=', 1)
    .where('id', '<', id)
    .orderBy('id', 'desc')
    .limit(limit)
    .execute()
}

const mutable = {
  status: 'status',
  allowFailure: 'allow_failure',
  retried: 'retried',
  enqueueAtOnce: 'enqueue_at_once',
  priority: 'priority',
  laneId: 'lane_id',
  inQueue: 'in_queue',
  fence: 'fence',
  voidOffers: 'void_offers',
  runnerId: 'runner_id',
  managerId: 'manager_id',
  userId: 'user_id',
  timeoutS: 'timeout_s',
  timeoutSource: 'timeout_source',
  exitCode: 'exit_code',
  failureReason: 'failure_reason',
  failureClass: 'failure_class',
  failureMessage: 'failure_message',
  tokenIssuedAt: 'token_issued_at',
  tokenExpiresAt: 'token_expires_at',
  updatedAt: 'updated_at',
  queuedAt: 'queued_at',
  scheduledAt: 'scheduled_at',
  startedAt: 'started_at',
  finishedAt: 'finished_at',
  erasedAt: 'erased_at',
  coverage: 'coverage',
  payloadKept: 'payload_kept',
} as const satisfies Partial<Record<keyof Job, string>>

type MutableField = keyof typeof mutable

const mutableFields = Object.keys(mutable) as MutableField[]

const fixed = {
  pipelineId: 'pipeline_id',
  projectId: 'project_id',
  stageId: 'stage_id',
  stagePosition: 'stage_position',
  definitionId: 'definition_id',
  name: 'name',
  kind: 'kind',
  runWhen: 'run_when',
  scheduling: 'scheduling',
  retryOf: 'retry_of',
  createdAt: 'created_at',
  resourceKey: 'resource_key',
  environment: 'environment',
  finishWork: 'finish_work',
  idTokens: 'id_tokens',
} as const satisfies Partial<Record<keyof Job, string>>

/** Column → placeholder, for each field of a table of fields. */
function placeholders(fields: Record<string, string>, p: (name: never) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([field, column]) => [column, p(field as never)]))
}

const jobById = hotQuery<Job, 'id'>((db, p) => db.selectFrom('jobs').select(jobColumns).where('id', '=', p('id')))

const writes = new Map<string, HotQuery<never, MutableField | 'id' | 'from'>>()

/**
 * The statement for one set of fields; with `guarded`, on condition of the status `from`. Few sets ever change together:
 * one or two for each event of the machine.
 */
function writeJob(fields: readonly MutableField[], guarded: boolean): HotQuery<never, MutableField | 'id' | 'from'> {
  const key = `${guarded} ${fields.join()}`
  let query = writes.get(key)
  if (!query) {
    const columns = Object.fromEntries(fields.map((field) => [field, mutable[field]]))
    query = hotQuery(
      (db, p) => {
        const update = db.updateTable('jobs').set(placeholders(columns, p)).where('id', '=', p('id'))
        return guarded ? update.where('status', '=', p('from')) : update
      },
      { keepsKnown: true },
    ) as HotQuery<never, MutableField | 'id' | 'from'>
    writes.set(key, query)
  }
  return query
}

const newJobs = manyRows((db, p, rows) =>
  db
    .insertInto('jobs')
    .values(rows.map((row) => placeholders({ id: 'id', ...fixed, ...mutable }, (name) => p(name, row))) as never),
)

const doneFinishWork = hotQuery<never, 'id' | 'coverage'>(
  (db, p) =>
    db
      .updateTable('jobs')
      .set({
        finish_work: 0,
        coverage: sql<number | null>`coalesce(cast(${p('coverage')} as double precision), coverage)`,
      })
      .where('id', '=', p('id')),
  { keepsKnown: true },
)

const newDefinitions = manyRows((db, p, rows) =>
  db.insertInto('job_definitions').values(rows.map((row) => ({ id: p('id', row), body: p('body', row) }))),
)

const definitionById = hotQuery<{ body: string }, 'id'>((db, p) =>
  db.selectFrom('job_definitions').select('body').where('id', '=', p('id')),
)

const timeoutsOfJob = hotQuery<{ job: number | null; project: number }, 'definitionId' | 'projectId'>(
  (db, p, engine) => ({
    compile: () =>
      sql`
      select projects.timeout_s as project, ${
        engine === 'postgres'
          ? sql`(job_definitions.body::json ->> 'timeoutSeconds')::integer`
          : sql`json_extract(job_definitions.body, '$.timeoutSeconds')`
      } as job
      from projects, job_definitions
      where projects.id = ${p('projectId')} and job_definitions.id = ${p('definitionId')}`.compile(db),
  }),
)

const newNeeds = manyRows((db, p, rows) =>
  db.insertInto('job_needs').values(
    rows.map((row) => ({
      job_id: p('jobId', row),
      position: p('position', row),
      name: p('name', row),
      artifacts: p('artifacts', row),
      optional: p('optional', row),
    })),
  ),
)

const needsOfJob = hotQuery<Need, 'jobId'>((db, p) =>
  db
    .selectFrom('job_needs')
    .select(['name', 'artifacts', 'optional'])
    .where('job_id', '=', p('jobId'))
    .orderBy('position'),
)

const currentColumns = [
  'id',
  'name',
  'status',
  'allow_failure as allowFailure',
  'stage_id as stageId',
  'stage_position as stagePosition',
  'scheduling',
  'run_when as runWhen',
  'enqueue_at_once as enqueueAtOnce',
  'started_at as startedAt',
  'finished_at as finishedAt',
] as const

const fewAround = hotQuery<CurrentRun & { pipelineId: number }, 'jobId'>((db, p) =>
  db
    .selectFrom('jobs')
    .select([...currentColumns, 'pipeline_id as pipelineId'])
    .where('pipeline_id', '=', (q) =>
      q.selectFrom('jobs as one').select('one.pipeline_id').where('one.id', '=', p('jobId')),
    )
    .where('retried', '=', 0)
    .orderBy('stage_position')
    .orderBy('id')
    .limit(few),
)

const currentJobs = hotQuery<CurrentRun, 'pipelineId'>((db, p) =>
  db
    .selectFrom('jobs')
    .select(currentColumns)
    .where('pipeline_id', '=', p('pipelineId'))
    .where('retried', '=', 0)
    .orderBy('stage_position')
    .orderBy('id'),
)

const pipelineNeeds = hotQuery<Need & { jobId: number }, 'pipelineId'>((db, p) =>
  db
    .selectFrom('job_needs')
    .innerJoin('jobs', 'jobs.id', 'job_needs.job_id')
    .select(['job_needs.job_id as jobId', 'job_needs.name', 'job_needs.artifacts', 'job_needs.optional'])
    .where('jobs.pipeline_id', '=', p('pipelineId'))
    .where('jobs.retried', '=', 0),
)

/** Rows of events: committed facts in order. */
import type { EventKind, NewEvent } from '../events.js'
import { hotQuery } from './hot-query.js'
import { manyRows } from './insert-many.js'
import type { Reader, Tx } from './write.js'

/** A committed fact, with the ids of what it is about. */
export interface StoredEvent {
  id: number
  at: number
  kind: string
  projectId: number | null
  pipelineId: number | null
  jobId: number | null
  runnerId: number | null
  /** JSON. */
  data: string
}

/** Writes an event. The events of a body are written together at its end, in their order. */
export function insertEvent(tx: Tx, event: NewEvent): void {
  const unwritten = tx.once('events', () => {
    const events: NewEvent[] = []
    tx.atEnd(() => writeEvents(tx, events))
    return events
  })
  unwritten.push(event)
}

function writeEvents(tx: Tx, events: readonly NewEvent[]): Promise<void> {
  const rows = events.map((event) => ({
    at: tx.now,
    kind: event.kind,
    projectId: event.projectId ?? null,
    pipelineId: event.pipelineId ?? null,
    jobId: event.jobId ?? null,
    runnerId: event.runnerId ?? null,
    data: event.data ? JSON.stringify(event.data) : '{}',
  }))
  return tx.insert(newEvents, rows)
}

/** Whether an event of this kind has been written for the job. One that this body is about to write does not count. */
export async function hasJobEvent(from: Reader | Tx, jobId: number, kind: string): Promise<boolean> {
  return (await from.first(eventOfJob, { jobId, kind })) !== undefined
}

/** The newest event of this kind of the job. */
export function lastJobEvent(from: Reader | Tx, jobId: number, kind: EventKind): Promise<StoredEvent | undefined> {
  return from.db
    .selectFrom('events')
    .select(columns)
    .where('job_id', '=', jobId)
    .where('kind', '=', kind)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
}

/** Returns all facts about a job, oldest first. */
export function listJobEvents(from: Reader, jobId: number): Promise<StoredEvent[]> {
  return from.db.selectFrom('events').select(columns).where('job_id', '=', jobId).orderBy('id').execute()
}

/** Returns the id of the newest event, 0 when there is none yet. */
export async function lastEventId(from: Reader): Promise<number> {
  const row = await from.db.selectFrom('events').select('id').orderBy('id', 'desc').limit(1).executeTakeFirst()
  return row?.id ?? 0
}

/** The last event that an exporter has handled; the newest one for an exporter that is new. */
export async function readCursor(from: Reader, name: string): Promise<number | undefined> {
  const row = await from.db
    .selectFrom('exporter_cursors')
    .select('event_id')
    .where('name', '=', name)
    .executeTakeFirst()
  return row?.event_id
}

/** Keeps how far an exporter has come: the id of the last event that it has taken in. */
export async function saveCursor(tx: Tx, name: string, eventId: number): Promise<void> {
  await tx.db
    .insertInto('exporter_cursors')
    .values({ name, event_id: eventId })
    .onConflict((c) => c.column('name').doUpdateSet({ event_id: eventId }))
    .execute()
}

const columns = [
  'id',
  'at',
  'kind',
  'project_id as projectId',
  'pipeline_id as pipelineId',
  'job_id as jobId',
  'runner_id as runnerId',
  'data',
] as const

const newEvents = manyRows((db, p, rows) =>
  db.insertInto('events').values(
    rows.map((row) => ({
      at: p('at', row),
      kind: p('kind', row),
      project_id: p('projectId', row),
      pipeline_id: p('pipelineId', row),
      job_id: p('jobId', row),
      runner_id: p('runnerId', row),
      data: p('data', row),
    })),
  ),
)

const eventOfJob = hotQuery<{ id: number }, 'jobId' | 'kind'>((db, p) =>
  db.selectFrom('events').select('id').where('job_id', '=', p('jobId')).where('kind', '=', p('kind')).limit(1),
)

/** Rows of events: committed facts in order. */
import { sql } from 'kysely'
import type { NewEvent } from '../events.js'
import { hotQuery } from './hot-query.js'
import type { Reader, Tx } from './write.js'

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

export async function insertEvent(tx: Tx, event: NewEvent): Promise<void> {
  await tx.all(newEvent, {
    at: tx.now,
    kind: event.kind,
    projectId: event.projectId ?? null,
    pipelineId: event.pipelineId ?? null,
    jobId: event.jobId ?? null,
    runnerId: event.runnerId ?? null,
    data: event.data ? JSON.stringify(event.data) : '{}',
  })
}

/**
 * Events after `id`, oldest first. On PostgreSQL it stops at the oldest transaction still open: an event with a lower id
 * may yet be committed by it, and a reader that went past would never see it.
 */
export function listEventsAfter(from: Reader, id: number, limit: number): Promise<StoredEvent[]> {
  return from.all(eventsAfter, { id, limit })
}

export function listJobEvents(from: Reader, jobId: number): Promise<StoredEvent[]> {
  return from.db.selectFrom('events').select(columns).where('job_id', '=', jobId).orderBy('id').execute()
}

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

const newEvent = hotQuery<never, 'at' | 'kind' | 'projectId' | 'pipelineId' | 'jobId' | 'runnerId' | 'data'>((db, p) =>
  db.insertInto('events').values({
    at: p('at'),
    kind: p('kind'),
    project_id: p('projectId'),
    pipeline_id: p('pipelineId'),
    job_id: p('jobId'),
    runner_id: p('runnerId'),
    data: p('data'),
  }),
)

const eventsAfter = hotQuery<StoredEvent, 'id' | 'limit'>((db, p, engine) => {
  const query = db.selectFrom('events').select(columns).where('id', '>', p('id')).orderBy('id').limit(p('limit'))
  return engine === 'postgres' ? query.where(sql<boolean>`xid < pg_snapshot_xmin(pg_current_snapshot())`) : query
})

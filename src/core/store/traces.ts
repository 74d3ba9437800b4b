/** Rows of traces: how many bytes of each log count. The bytes are files, or rows of `trace-pieces.ts`. */
import { sql } from 'kysely'
import type { Door } from '../lease.js'
import type { TraceRow } from '../trace.js'
import { hotQuery } from './hot-query.js'
import { addToTrace, type TraceAddition } from './trace-pieces.js'
import type { Reader, Tx } from './write.js'

/** Returns the row; undefined: the job has never run. */
export async function findTrace(from: Reader | Tx, jobId: number): Promise<TraceRow | undefined> {
  const known = from.known?.traces.get(jobId)
  if (known) return known
  const trace = await from.first(traceByJob, { jobId })
  if (trace) from.known?.traces.set(jobId, trace)
  return trace
}

/** The same, once no other transaction is about to change it. */
export async function lockTrace(tx: Tx, jobId: number): Promise<TraceRow | undefined> {
  if (tx.engine === 'postgres') {
    await tx.db.selectFrom('traces').select('job_id').where('job_id', '=', jobId).forUpdate().execute()
    tx.known.traces.forget(jobId)
  }
  return findTrace(tx, jobId)
}

/** Makes the row, once, when the job is first written about. */
export async function ensureTrace(tx: Tx, jobId: number, node: string): Promise<void> {
  const row = { jobId, node, now: tx.now }
  // Where this body alone would know of it, nobody waits for the answer.
  if (tx.engine === 'postgres') return tx.later(newTrace, row)
  if ((await tx.change(newTrace, row)) === 0) return
  const empty = { length: 0, crc32: 0, incomplete: 0, mismatch: 0, debug: 0 }
  tx.known.traces.set(jobId, { jobId, node, ...empty, updatedAt: tx.now })
}

/** A lease that is still held, for what a write under it does next. */
export interface WritingLease {
  id: number
  door: Door
  termMs: number
  report: string | null
}

/** How far a log is to be, and what is added to it where its bytes are rows. */
export interface TraceGrowth {
  jobId: number
  fence: number
  length: number
  crc32: number
  added?: TraceAddition
}

/**
 * Moves the committed length on, if the lease is still held. Returns the lease; undefined if it is over; the length that the
 * log has if another node has written to it. In these two cases nothing has changed.
 */
export async function growTrace(tx: Tx, to: TraceGrowth): Promise<WritingLease | number | undefined> {
  const lease = await tx.first(heldLease, { jobId: to.jobId, fence: to.fence })
  if (!lease) return undefined
  const { jobId, length, crc32 } = to
  if (to.added) {
    const { from } = to.added
    if ((await tx.change(grownFrom, { jobId, length, crc32, now: tx.now, from })) === 0) {
      return (await tx.first(traceByJob, { jobId }))?.length ?? 0
    }
    await addToTrace(tx, jobId, to.added)
  } else await tx.all(grownTrace, { jobId, length, crc32, now: tx.now })
  tx.known.traces.change(jobId, (row) => ({ ...row, length, crc32, updatedAt: tx.now }))
  return lease
}

/** Sets what is given: more bytes were promised, the checksum differs, or the job ran with debug output. */
export async function flagTrace(
  tx: Tx,
  jobId: number,
  flags: { incomplete?: 0 | 1; mismatch?: 0 | 1; debug?: 1 },
): Promise<void> {
  await tx.db.updateTable('traces').set(flags).where('job_id', '=', jobId).execute()
}

/** The log is empty from now on. */
export async function forgetTrace(tx: Tx, jobId: number): Promise<void> {
  await tx.db.deleteFrom('traces').where('job_id', '=', jobId).execute()
}

/** How long the logs of these jobs are. */
export async function traceLengths(from: Reader, jobIds: readonly number[]): Promise<Map<number, number>> {
  if (jobIds.length === 0) return new Map()
  const rows = await from.db.selectFrom('traces').select(['job_id', 'length']).where('job_id', 'in', jobIds).execute()
  return new Map(rows.map((row) => [row.job_id, row.length]))
}

/** Of these jobs, those whose log is not an artifact yet. */
export function listUnarchivedTraces(
  from: Reader,
  jobIds: readonly number[],
): Promise<{ jobId: number; length: number }[]> {
  if (jobIds.length === 0) return Promise.resolve([])
  return from.db
    .selectFrom('traces')
    .leftJoin('artifacts', (join) =>
      join.onRef('artifacts.job_id', '=', 'traces.job_id').on('artifacts.type', '=', 'trace'),
    )
    .select(['traces.job_id as jobId', 'traces.length'])
    .where('traces.job_id', 'in', jobIds)
    .where('traces.length', '>', 0)
    .where('artifacts.id', 'is', null)
    .orderBy('traces.job_id')
    .execute()
}

const traceByJob = hotQuery<TraceRow, 'jobId'>((db, p) =>
  db
    .selectFrom('traces')
    .select([
      'job_id as jobId',
      'length',
      'crc32',
      'node',
      'incomplete',
      'mismatch',
      'debug',
      'updated_at as updatedAt',
    ])
    .where('job_id', '=', p('jobId')),
)

const newTrace = hotQuery<never, 'jobId' | 'node' | 'now'>(
  (db, p) =>
    db
      .insertInto('traces')
      .values({
        job_id: p('jobId'),
        length: 0,
        crc32: 0,
        node: p('node'),
        incomplete: 0,
        mismatch: 0,
        debug: 0,
        updated_at: p('now'),
      })
      .onConflict((c) => c.column('job_id').doNothing()),
  { keepsKnown: true },
)

const grownTrace = hotQuery<never, 'jobId' | 'length' | 'crc32' | 'now'>(
  (db, p) =>
    db
      .updateTable('traces')
      .set({ length: p('length'), crc32: p('crc32'), updated_at: p('now') })
      .where('job_id', '=', p('jobId')),
  { keepsKnown: true },
)

const grownFrom = hotQuery<never, 'jobId' | 'length' | 'crc32' | 'now' | 'from'>(
  (db, p) =>
    db
      .updateTable('traces')
      .set({ length: p('length'), crc32: p('crc32'), updated_at: p('now') })
      .where('job_id', '=', p('jobId'))
      .where('length', '=', p('from')),
  { keepsKnown: true },
)

/** On PostgreSQL the row is held until the commit, so that the lease cannot end between the look and the write. */
const heldLease = hotQuery<{ id: number; door: Door; termMs: number; report: string | null }, 'jobId' | 'fence'>(
  (db, p, engine) =>
    db
      .selectFrom('leases')
      .select(['id', 'door', 'term_ms as termMs', 'report'])
      .where('job_id', '=', p('jobId'))
      .where('fence', '=', p('fence'))
      .where(sql<boolean>`status = 'held'`)
      .$if(engine === 'postgres', (q) => q.forShare()),
)

/** Rows of traces: how many bytes of each log count. The bytes are files. */
import { sql } from 'kysely'
import type { Door } from '../lease.js'
import { hotQuery } from './hot-query.js'
import type { Reader, Tx } from './write.js'

/** What counts of a job's log. Flags are 0 or 1. */
export interface TraceRow {
  jobId: number
  /** Committed length in bytes: what lies beyond in the file was never acknowledged. */
  length: number
  /** CRC-32 of those bytes as received. */
  crc32: number
  node: string
  /** The job was finished before all of its log had come. */
  incomplete: number
  /** The runner's length or CRC-32 was another. */
  mismatch: number
  /** The runner has said that it holds what a debugging shell prints, secrets included. */
  debug: number
  updatedAt: number
}

/** Returns the row; undefined: the job has never run. */
export function findTrace(from: Reader | Tx, jobId: number): Promise<TraceRow | undefined> {
  return from.first(traceByJob, { jobId })
}

/** The same, once no other transaction is about to change it. */
export async function lockTrace(tx: Tx, jobId: number): Promise<TraceRow | undefined> {
  if (tx.engine === 'postgres') {
    await tx.db.selectFrom('traces').select('job_id').where('job_id', '=', jobId).forUpdate().execute()
  }
  return findTrace(tx, jobId)
}

/** Makes the row, once, when the job is first written about. */
export async function ensureTrace(tx: Tx, jobId: number, node: string): Promise<void> {
  await tx.all(newTrace, { jobId, node, now: tx.now })
}

/**
 * Moves the committed length on, if the lease is still held. Returns the lease, or undefined if it is over: then nothing
 * has changed.
 */
export async function growTrace(
  tx: Tx,
  to: { jobId: number; fence: number; length: number; crc32: number },
): Promise<{ id: number; door: Door; termMs: number; report: string | null } | undefined> {
  const lease = await tx.first(heldLease, { jobId: to.jobId, fence: to.fence })
  if (lease) await tx.all(grownTrace, { jobId: to.jobId, length: to.length, crc32: to.crc32, now: tx.now })
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

const newTrace = hotQuery<never, 'jobId' | 'node' | 'now'>((db, p) =>
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
)

const grownTrace = hotQuery<never, 'jobId' | 'length' | 'crc32' | 'now'>((db, p) =>
  db
    .updateTable('traces')
    .set({ length: p('length'), crc32: p('crc32'), updated_at: p('now') })
    .where('job_id', '=', p('jobId')),
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

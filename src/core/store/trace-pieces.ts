/**
 * Bytes of traces as rows, on PostgreSQL: committed with the length that counts them, so that any node can read what any
 * other has acknowledged. A row is what one commit has brought; positions count from the log's beginning.
 */
import { sql } from 'kysely'
import { hotQuery } from './hot-query.js'
import type { Reader, Tx } from './write.js'

/** What a commit brings to a log. */
export interface TracePiece {
  /** Where it begins; before the committed length where a secret reaches back into what was written. */
  at: number
  bytes: Buffer
  /** So many bytes at the end may be the beginning of a secret. */
  hidden: number
}

/** What a commit brings to a log behind its first `from` bytes; these come with it if they have been in a file so far. */
export interface TraceAddition {
  from: number
  before?: Buffer
  piece: TracePiece
}

/** Writes it. */
export async function addToTrace(tx: Tx, jobId: number, { from, before, piece }: TraceAddition): Promise<void> {
  if (before) await addPiece(tx, jobId, 0, { at: 0, bytes: before, hidden: 0 })
  await addPiece(tx, jobId, from, piece)
}

/** Adds a piece behind `length` bytes, of which it covers the last ones where it begins before. */
async function addPiece(tx: Tx, jobId: number, length: number, piece: TracePiece): Promise<void> {
  const covers = length - piece.at
  if (covers > 0) await cover(tx, jobId, piece.at, piece.bytes.subarray(0, covers))
  const bytes = covers > 0 ? piece.bytes.subarray(covers) : piece.bytes
  await tx.later(newPiece, { jobId, position: length, bytes, hidden: piece.hidden })
}

/** Overwrites bytes that are there. */
async function cover(tx: Tx, jobId: number, at: number, bytes: Buffer): Promise<void> {
  for (const row of await tx.all(piecesBetween, { jobId, from: at, to: at + bytes.length })) {
    const from = Math.max(at, row.position)
    const to = Math.min(at + bytes.length, row.position + row.bytes.length)
    const covered = Buffer.from(row.bytes)
    bytes.copy(covered, from - row.position, from - at, to - at)
    await tx.db
      .updateTable('trace_pieces')
      .set({ bytes: covered })
      .where('job_id', '=', jobId)
      .where('position', '=', row.position)
      .execute()
  }
}

/** Bytes `from` to `to`, as far as there are rows; undefined: the log has none. */
export async function readTracePieces(
  reader: Reader | Tx,
  jobId: number,
  from: number,
  to: number,
): Promise<Buffer | undefined> {
  const rows = await reader.all(piecesBetween, { jobId, from, to })
  const first = rows[0]
  if (!first || first.position > from) return undefined
  const start = from - first.position
  return Buffer.concat(rows.map(({ bytes }) => bytes)).subarray(start, start + to - from)
}

/** How many bytes at the end of a log may be the beginning of a secret. */
export async function hiddenBytes(from: Reader, jobId: number): Promise<number> {
  const row = await from.db
    .selectFrom('trace_pieces')
    .select('hidden')
    .where('job_id', '=', jobId)
    .orderBy('position', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row?.hidden ?? 0
}

/** Whether the log has rows. */
export async function hasTracePieces(from: Reader | Tx, jobId: number): Promise<boolean> {
  const query = from.db.selectFrom('trace_pieces').select('position').where('job_id', '=', jobId).limit(1)
  return (await query.executeTakeFirst()) !== undefined
}

/** The bytes of a log are elsewhere, or wanted no more. */
export async function deleteTracePieces(tx: Tx, jobId: number): Promise<void> {
  await tx.db.deleteFrom('trace_pieces').where('job_id', '=', jobId).execute()
}

const newPiece = hotQuery<never, 'jobId' | 'position' | 'bytes' | 'hidden'>(
  (db, p) =>
    db
      .insertInto('trace_pieces')
      .values({ job_id: p('jobId'), position: p('position'), bytes: p('bytes'), hidden: p('hidden') }),
  { keepsKnown: true },
)

const piecesBetween = hotQuery<{ position: number; bytes: Buffer }, 'jobId' | 'from' | 'to'>((db, p) =>
  db
    .selectFrom('trace_pieces')
    .select(['position', 'bytes'])
    .where('job_id', '=', p('jobId'))
    .where('position', '<', p('to'))
    .where(
      'position',
      '>=',
      (e) =>
        sql<number>`coalesce((${e
          .selectFrom('trace_pieces as before')
          .select('before.position')
          .where('before.job_id', '=', p('jobId'))
          .where('before.position', '<=', p('from'))
          .orderBy('before.position', 'desc')
          .limit(1)}), 0)`,
    )
    .orderBy('position'),
)

/**
 * Who hands events on from a place in them. One node at a time holds a cursor, for a term that it renews; each holder has a
 * number of its own (`fence`), without which nobody moves the place: one that was away too long and does not know it yet
 * changes nothing. Time is the database's, so that nodes need not agree on theirs. SQLite has one process, and no terms.
 */
import { sql } from 'kysely'
import { databaseNow } from './database-time.js'
import type { Tx } from './write.js'

/** A cursor that is held, and the last event that was handled. */
export interface HeldCursor {
  eventId: number
  fence: number
}

/** Who asks, and for how many milliseconds. */
export interface CursorTerm {
  name: string
  holder: string
  termMs: number
  /** The node has just started: what its last run held is its own. */
  anew: boolean
}

/** Takes the cursor if nobody else holds it; a new one is at the newest event. Undefined: another has it. */
export async function holdCursor(tx: Tx, term: CursorTerm & { newest: number }): Promise<HeldCursor | undefined> {
  const { name, holder, newest, anew } = term
  await tx.db
    .insertInto('exporter_cursors')
    .values({ name, event_id: newest })
    .onConflict((c) => c.column('name').doNothing())
    .execute()
  const free =
    tx.engine === 'sqlite' && anew
      ? sql<boolean>`1 = 1`
      : sql<boolean>`(holder is null or held_until <= ${databaseNow(tx)} or (holder = ${holder} and ${anew ? 1 : 0} = 1))`
  const row = await tx.db
    .updateTable('exporter_cursors')
    .set({ holder, fence: sql`fence + 1`, held_until: untilOf(tx, term.termMs) })
    .where('name', '=', name)
    .where(free)
    .returning(['event_id', 'fence'])
    .executeTakeFirst()
  return row && { eventId: row.event_id, fence: row.fence }
}

/** Begins the term anew. False: it is another's by now. */
export async function renewCursor(tx: Tx, name: string, fence: number, termMs: number): Promise<boolean> {
  const changed = await tx.db
    .updateTable('exporter_cursors')
    .set({ held_until: untilOf(tx, termMs) })
    .where('name', '=', name)
    .where('fence', '=', fence)
    .returning('name')
    .execute()
  return changed.length > 0
}

/** Writes how far its holder has come. False: it is another's by now, and nothing was written. */
export async function moveHeldCursor(tx: Tx, name: string, fence: number, eventId: number): Promise<boolean> {
  const changed = await tx.db
    .updateTable('exporter_cursors')
    .set({ event_id: eventId })
    .where('name', '=', name)
    .where('fence', '=', fence)
    .returning('name')
    .execute()
  return changed.length > 0
}

/** Lets it go, so that another need not wait for the end of the term. */
export async function releaseCursor(tx: Tx, name: string, fence: number): Promise<void> {
  await tx.db
    .updateTable('exporter_cursors')
    .set({ holder: null, held_until: 0 })
    .where('name', '=', name)
    .where('fence', '=', fence)
    .execute()
}

/** Of SQLite there is one process: what it holds does not run out. */
function untilOf(tx: Tx, termMs: number) {
  return tx.engine === 'sqlite' ? sql<number>`${Number.MAX_SAFE_INTEGER}` : sql<number>`${databaseNow(tx)} + ${termMs}`
}

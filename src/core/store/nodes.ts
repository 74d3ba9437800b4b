/** Rows of nodes: the processes of the coordinator, each as it last started and was last seen. */
import { sql } from 'kysely'
import { goneAfterMs, type Node } from '../node.js'
import { databaseNow } from './database-time.js'
import type { Reader, Tx } from './write.js'

/** Writes that the node has started now, in the place of what its last run wrote. It is not drained any more. */
export async function saveNode(
  tx: Tx,
  { id, httpUrl, version }: Pick<Node, 'id' | 'httpUrl' | 'version'>,
): Promise<void> {
  const now = databaseNow(tx)
  const run = { started_at: now, seen_at: now, http_url: httpUrl, version, draining_at: null }
  await tx.db
    .insertInto('nodes')
    .values({ id, ...run })
    .onConflict((c) => c.column('id').doUpdateSet(run))
    .execute()
}

/** Notes that the node is there. Returns since when it is drained; undefined: its row was removed. */
export async function touchNode(tx: Tx, id: string): Promise<{ drainingAt: number | null } | undefined> {
  return tx.db
    .updateTable('nodes')
    .set({ seen_at: databaseNow(tx) })
    .where('id', '=', id)
    .returning('draining_at as drainingAt')
    .executeTakeFirst()
}

/** The node is not there any more, by its own word: others need not wait until it counts as gone. */
export async function leaveNode(tx: Tx, id: string): Promise<void> {
  await tx.db.updateTable('nodes').set({ seen_at: 0 }).where('id', '=', id).execute()
}

/** All nodes, by name. */
export async function listNodes(from: Reader | Tx): Promise<Node[]> {
  const rows = await from.db
    .selectFrom('nodes')
    .select(['id', 'http_url as httpUrl', 'version', 'started_at as startedAt', 'seen_at as seenAt'])
    .select(['draining_at as drainingAt', isAlive(from).as('alive')])
    .orderBy('id')
    .execute()
  return rows.map((row) => ({ ...row, alive: Boolean(row.alive) }))
}

/** Of SQLite there is one process, and whoever asks is it. */
function isAlive(from: Reader | Tx) {
  return from.engine === 'sqlite'
    ? sql<boolean>`1`
    : sql<boolean>`seen_at > ${databaseNow(from)} - ${sql.lit(goneAfterMs)}`
}

/** Sets whether the node is drained. Returns false if there is none of this name. */
export async function saveDraining(tx: Tx, id: string, draining: boolean): Promise<boolean> {
  const rows = await tx.db
    .updateTable('nodes')
    .set({ draining_at: draining ? sql<number>`coalesce(draining_at, ${databaseNow(tx)})` : null })
    .where('id', '=', id)
    .returning('id')
    .execute()
  return rows.length > 0
}

/** Forgets a node. */
export async function deleteNode(tx: Tx, id: string): Promise<void> {
  await tx.db.deleteFrom('nodes').where('id', '=', id).execute()
}

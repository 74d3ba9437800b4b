/** Rows of nodes: the processes of the coordinator, each as it last started. */
import type { Tx } from './write.js'

/** Writes that the node has started now, in the place of what its last run wrote. */
export async function saveNode(tx: Tx, { id, httpUrl }: { id: string; httpUrl: string }): Promise<void> {
  const run = { started_at: tx.now, seen_at: tx.now, http_url: httpUrl }
  await tx.db
    .insertInto('nodes')
    .values({ id, ...run })
    .onConflict((c) => c.column('id').doUpdateSet(run))
    .execute()
}

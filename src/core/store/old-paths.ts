/** Rows of paths that projects had before; in lower case, since paths are found whatever their case. */
import type { Reader, Tx } from './write.js'

/** Returns the project that had this path, if nothing else has it now. */
export async function findMovedProject(from: Reader | Tx, path: string): Promise<number | undefined> {
  const row = await from.db
    .selectFrom('old_paths')
    .select('project_id as id')
    .where('path', '=', path.toLowerCase())
    .executeTakeFirst()
  return row?.id
}

/** Keeps the path that each of these projects has now: it is about to get another. */
export async function keepOldPaths(tx: Tx, projectIds: readonly number[]): Promise<void> {
  if (projectIds.length === 0) return
  const rows = await tx.db.selectFrom('projects').select(['id', 'full_path']).where('id', 'in', projectIds).execute()
  for (const row of rows) {
    await tx.db
      .insertInto('old_paths')
      .values({ path: row.full_path.toLowerCase(), project_id: row.id, created_at: tx.now })
      .onConflict((c) => c.column('path').doUpdateSet({ project_id: row.id, created_at: tx.now }))
      .execute()
  }
}

/** What takes a path from now on is found by it. */
export async function forgetOldPath(tx: Tx, path: string): Promise<void> {
  await tx.db.deleteFrom('old_paths').where('path', '=', path.toLowerCase()).execute()
}

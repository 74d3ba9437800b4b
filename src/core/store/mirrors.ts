/** Rows of the repositories that projects mirror; the source is sealed by the caller. */
import type { Reader, Tx } from './write.js'

/** A mirrored repository: its sealed address and credentials, and how the last fetch went. */
export interface MirrorRow {
  source: Uint8Array
  fetchedAt: number | null
  error: string | null
}

/** Returns what the project mirrors; undefined: nothing. */
export function findMirror(from: Reader | Tx, projectId: number): Promise<MirrorRow | undefined> {
  return from.db
    .selectFrom('project_mirrors')
    .select(['source', 'fetched_at as fetchedAt', 'error'])
    .where('project_id', '=', projectId)
    .executeTakeFirst()
}

/** Sets what the project mirrors, or with null that it mirrors nothing any more. */
export async function saveMirror(tx: Tx, projectId: number, source: Uint8Array | null): Promise<void> {
  await tx.db
    .updateTable('projects')
    .set({ mirrored: source === null ? 0 : 1, updated_at: tx.now })
    .where('id', '=', projectId)
    .execute()
  await tx.db.deleteFrom('project_mirrors').where('project_id', '=', projectId).execute()
  if (source === null) return
  await tx.db
    .insertInto('project_mirrors')
    .values({ project_id: projectId, source, fetched_at: null, error: null })
    .execute()
}

/** Notes how a fetch has ended; `error` null: well. */
export async function saveFetch(tx: Tx, projectId: number, error: string | null): Promise<void> {
  await tx.db
    .updateTable('project_mirrors')
    .set(error === null ? { fetched_at: tx.now, error } : { error })
    .where('project_id', '=', projectId)
    .execute()
}

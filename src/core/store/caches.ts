/** Rows of caches. */
import { sql } from 'kysely'
import type { Cache } from '../cache.js'
import type { Reader, Tx } from './write.js'

/** Returns the cache that the project has under this key; undefined: there is none. */
export function findCache(from: Reader | Tx, projectId: number, key: string): Promise<Cache | undefined> {
  return from.db
    .selectFrom('caches')
    .select(columns)
    .where('project_id', '=', projectId)
    .where('key', '=', key)
    .executeTakeFirst()
}

/** Puts a cache under its key, in place of the one that was there. */
export async function saveCache(
  tx: Tx,
  cache: Pick<Cache, 'projectId' | 'key' | 'sizeBytes' | 'sha256' | 'location'>,
): Promise<void> {
  const bytes = { size_bytes: cache.sizeBytes, sha256: cache.sha256, location: cache.location }
  const values = { ...bytes, created_at: tx.now, used_at: tx.now }
  await tx.db
    .insertInto('caches')
    .values({ project_id: cache.projectId, key: cache.key, ...values })
    .onConflict((c) => c.columns(['project_id', 'key']).doUpdateSet(values))
    .execute()
}

/** Notes that the cache was used now: those unused for longest are evicted first. */
export async function touchCache(tx: Tx, id: number): Promise<void> {
  await tx.db.updateTable('caches').set({ used_at: tx.now }).where('id', '=', id).execute()
}

/** Caches that nobody has used since `before`, at most `limit`. */
export function listStaleCaches(from: Reader | Tx, before: number, limit: number): Promise<Cache[]> {
  return from.db.selectFrom('caches').select(columns).where('used_at', '<', before).limit(limit).execute()
}

/** Those of one project, the least recently used first. */
export function listCaches(from: Reader | Tx, projectId: number): Promise<Cache[]> {
  return from.db
    .selectFrom('caches')
    .select(columns)
    .where('project_id', '=', projectId)
    .orderBy('used_at')
    .orderBy('id')
    .execute()
}

/** What a project's caches come to, in bytes. */
export async function sumCaches(from: Reader | Tx, projectId: number): Promise<number> {
  const row = await from.db
    .selectFrom('caches')
    .select(sql<number | string>`coalesce(sum(size_bytes), 0)`.as('bytes'))
    .where('project_id', '=', projectId)
    .executeTakeFirstOrThrow()
  return Number(row.bytes)
}

/** Deletes the rows alone: the bytes are the caller's to remove after the commit. */
export async function deleteCaches(tx: Tx, ids: readonly number[]): Promise<void> {
  if (ids.length > 0) await tx.db.deleteFrom('caches').where('id', 'in', ids).execute()
}

const columns = [
  'id',
  'project_id as projectId',
  'key',
  'size_bytes as sizeBytes',
  'sha256',
  'location',
  'created_at as createdAt',
  'used_at as usedAt',
] as const

/** A runner restores a cache of its job. */
import type { Cache } from '../cache.js'
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import { findCache, touchCache } from '../store/caches.js'
import { allowedKey } from './store-cache.js'

/** Returns the cache of the key, and notes that it was used. Throws `invalid` for a key that is none, `forbidden` for a protected one. */
export async function useCache(core: Core, job: Job, key: string): Promise<Cache | undefined> {
  const cache = await findCache(core.store.read, job.projectId, await allowedKey(core, job, key))
  if (!cache || !(await core.caches.exists(cache.location))) return undefined
  await core.store.write((tx) => touchCache(tx, cache.id))
  return cache
}

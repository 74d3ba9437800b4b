/** A runner saves a cache of its job: the bytes are safe before the row that names them is committed. */
import type { Readable } from 'node:stream'
import { keepBlob } from '../blobs/blob-store.js'
import { checkCacheKey, isProtectedKey } from '../cache.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import { writeUnderLease } from '../steps/write-under-lease.js'
import { findCache, saveCache, touchCache } from '../store/caches.js'
import { getPipeline } from '../store/pipelines.js'
import { lockProject } from '../store/projects.js'
import { evictProjectCaches, forgetBytes } from './evict-caches.js'

/** A stream of bytes, and the key that they are found by. */
export interface StoreCacheInput {
  job: Job
  fence: number
  key: string
  body: Readable
}

/**
 * Keeps the archive under its key, in place of an older one; what the project has too much of goes, least recently used
 * first. Throws `fenced` when the lease is not open; `too_large`; `invalid` for a key that is none; `forbidden` for a
 * protected one.
 */
export async function storeCache(core: Core, input: StoreCacheInput): Promise<void> {
  const { job, fence } = input
  const key = await allowedKey(core, job, input.key)
  const blob = await core.caches.store(input.body, core.settings.caches.entryBytes)
  const before = await findCache(core.store.read, job.projectId, key)
  // What a disk or a bucket has lost is never restored, and saved again by whoever missed it.
  const isLost = before?.sha256 === blob.sha256 && !(await core.caches.exists(before.location))
  await keepBlob(core.caches, blob, () =>
    core.store.write(async (tx) => {
      await writeUnderLease(core, tx, { jobId: job.id, fence })
      await lockProject(tx, job.projectId)
      const known = await findCache(tx, job.projectId, key)
      if (known?.sha256 === blob.sha256 && !(isLost && known.location === before?.location)) {
        await touchCache(tx, known.id)
        return known
      }
      await saveCache(tx, { projectId: job.projectId, key, ...blob })
      if (known) await forgetBytes(core, tx, [known])
      return blob
    }),
  )
  await evictProjectCaches(core, job.projectId)
}

/** The key, if the job may use it. Throws `invalid`, `forbidden`. */
export async function allowedKey(core: Core, job: Job, key: string): Promise<string> {
  checkCacheKey(key)
  if (isProtectedKey(key) && (await getPipeline(core.store.read, job.pipelineId)).protected === 0) {
    throw new SignalboxError('forbidden', 'this cache is for jobs of protected branches and tags')
  }
  return key
}

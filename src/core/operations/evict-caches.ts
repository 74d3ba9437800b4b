/** Caches go when nobody has used them for long, when their project has too much, or when somebody clears them. */
import type { Cache } from '../cache.js'
import type { Core } from '../core.js'
import type { Project } from '../project.js'
import { record } from '../steps/record.js'
import { removeLater } from '../steps/remove-later.js'
import { deleteCaches, listCaches, listStaleCaches, sumCaches } from '../store/caches.js'
import { getProject, lockProject, raiseCacheIndex } from '../store/projects.js'
import { insertRemovals } from '../store/removals.js'
import type { Tx } from '../store/write.js'

const batch = 100

/** The sweep. Returns how many were deleted. */
export async function evictCaches(core: Core): Promise<number> {
  let deleted = 0
  for (;;) {
    const stale = await core.store.write(async (tx) => {
      const found = await listStaleCaches(tx, tx.now - core.settings.caches.keepMs, batch)
      await remove(core, tx, found)
      return found
    })
    deleted += stale.length
    if (stale.length < batch) return deleted
  }
}

/** Deletes the least recently used caches of a project until the rest is within its limit. */
export async function evictProjectCaches(core: Core, projectId: number): Promise<void> {
  const { projectBytes } = core.settings.caches
  if ((await sumCaches(core.store.read, projectId)) <= projectBytes) return
  await core.store.write(async (tx) => {
    await lockProject(tx, projectId)
    const all = await listCaches(tx, projectId)
    let left = all.reduce((sum, one) => sum + one.sizeBytes, 0)
    const tooMuch = all.filter(({ sizeBytes }) => {
      if (left <= projectBytes) return false
      left -= sizeBytes
      return true
    })
    await remove(core, tx, tooMuch)
  })
}

/**
 * Clears the caches of a project, also those that GitLab Runners keep for themselves: the number in every key moves on.
 * Returns the project, and how many were deleted here. Throws `not_found`.
 */
export function clearCaches(core: Core, projectId: number): Promise<{ project: Project; deleted: number }> {
  return core.store.write(async (tx) => {
    await raiseCacheIndex(tx, projectId)
    const all = await listCaches(tx, projectId)
    await remove(core, tx, all)
    await record(core, tx, { kind: 'project.caches_cleared', projectId, data: { deleted: all.length } })
    return { project: await getProject(tx, projectId), deleted: all.length }
  })
}

async function remove(core: Core, tx: Tx, caches: readonly Cache[]): Promise<void> {
  await deleteCaches(
    tx,
    caches.map(({ id }) => id),
  )
  await forgetBytes(core, tx, caches)
}

/** Step: no row names the bytes of these any more. */
export async function forgetBytes(core: Core, tx: Tx, caches: readonly Cache[]): Promise<void> {
  const locations = caches.map(({ location }) => location)
  removeLater(core, tx, await insertRemovals(tx, 'cache', locations))
}

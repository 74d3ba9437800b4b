/**
 * Blobs that no row names are taken away: a kill between the bytes and their row leaves them, and so does a write of which
 * nobody knew what became.
 */
import type { BlobStore } from '../blobs/blob-store.js'
import type { Core } from '../core.js'
import { type LocatedTable, listLocated } from '../store/locations.js'

const batch = 500

/** The sweep. Returns how many of each were removed. Throws `unavailable` when the store or a bucket is away. */
export async function removeOrphans(core: Core): Promise<Record<LocatedTable, number>> {
  return {
    artifacts: await sweep(core, core.artifacts, 'artifacts'),
    caches: await sweep(core, core.caches, 'caches'),
  }
}

async function sweep(core: Core, blobs: BlobStore, table: LocatedTable): Promise<number> {
  let removed = 0
  const check = async (locations: string[]) => {
    const named = new Set(await listLocated(core.store.read, table, locations))
    for (const location of locations) {
      if (named.has(location)) continue
      await blobs.remove(location)
      removed++
    }
  }
  let found: string[] = []
  for await (const location of blobs.settled()) {
    if (found.push(location) < batch) continue
    await check(found)
    found = []
  }
  if (found.length > 0) await check(found)
  return removed
}

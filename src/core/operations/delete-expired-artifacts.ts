/** The sweep over artifacts past their expiry: the row goes first, then the bytes. */
import type { Core } from '../core.js'
import { deleteArtifacts, listExpiredArtifacts, noteExpired } from '../store/artifacts.js'
import { insertRemovals } from '../store/removals.js'
import { carryOut } from './remove-deleted.js'

const batch = 100

/** Returns how many were deleted. */
export async function deleteExpiredArtifacts(core: Core): Promise<number> {
  let deleted = 0
  for (;;) {
    const expired = await listExpiredArtifacts(core.store.read, core.clock.now(), batch)
    if (expired.length === 0) return deleted
    const removals = await core.store.write(async (tx) => {
      await deleteArtifacts(
        tx,
        expired.map((artifact) => artifact.id),
      )
      await noteExpired(tx, expired)
      return insertRemovals(
        tx,
        'artifact',
        expired.map((artifact) => artifact.location),
      )
    })
    await carryOut(core, removals)
    deleted += expired.length
  }
}

/** The sweep over artifacts past their expiry: the row goes first, then the bytes. */
import type { Core } from '../core.js'
import { deleteArtifacts, listExpiredArtifacts } from '../store/artifacts.js'

const batch = 100

/** Gives how many were deleted. */
export async function deleteExpiredArtifacts(core: Core): Promise<number> {
  let deleted = 0
  for (;;) {
    const expired = await listExpiredArtifacts(core.store.read, core.clock.now(), batch)
    if (expired.length === 0) return deleted
    await core.store.write((tx) =>
      deleteArtifacts(
        tx,
        expired.map((artifact) => artifact.id),
      ),
    )
    for (const artifact of expired) await core.artifacts.remove(artifact.location)
    deleted += expired.length
  }
}

/** Step: what a deletion leaves (bytes, rows of a whole project) is taken away after the commit. */
import type { Core } from '../core.js'
import type { Removal } from '../store/removals.js'
import type { Tx } from '../store/write.js'

/** Has these removals carried out after the commit. Their rows see to it after a crash. */
export function removeLater(core: Core, tx: Tx, removals: readonly Removal[]): void {
  if (removals.length === 0) return
  tx.afterCommit(() => core.followUps.soon('remove_deleted', { removals }))
}

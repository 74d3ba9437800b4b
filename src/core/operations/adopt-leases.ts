/** A manager has come to this node from another: what is to be told of its leases is told here from now on. */
import type { Core } from '../core.js'
import { moveLeases } from '../store/leases.js'

/** Takes over its open leases. On SQLite, where a node is alone, there is nothing to take over. */
export async function adoptLeases(core: Core, managerId: number): Promise<void> {
  if (core.store.engine === 'postgres') await core.store.write((tx) => moveLeases(tx, managerId, core.node))
}

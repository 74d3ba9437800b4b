/** Writes an event with the change that it tells of, and tells this process after the commit. */
import type { Core } from '../core.js'
import type { NewEvent } from '../events.js'
import { insertEvent } from '../store/events.js'
import type { Tx } from '../store/write.js'

/** Inserts an event, and publishes it in this process once it is committed. */
export async function record(core: Core, tx: Tx, event: NewEvent): Promise<void> {
  insertEvent(tx, event)
  tx.afterCommit(() => core.events.publish({ ...event, at: tx.now }))
}

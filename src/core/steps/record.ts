/** Writes an event with the change that it tells of, in the audit log too if people have to answer for it, and tells this process after the commit. */
import { isAudited } from '../audit.js'
import type { Core } from '../core.js'
import type { NewEvent } from '../events.js'
import { insertEvent } from '../store/events.js'
import type { Tx } from '../store/write.js'
import { audit } from './audit.js'

/** Inserts an event, and publishes it in this process once it is committed. */
export async function record(core: Core, tx: Tx, event: NewEvent): Promise<void> {
  insertEvent(tx, event)
  if (isAudited(event, core.by?.id)) audit(core, tx, event)
  tx.afterCommit(() => core.events.publish({ ...event, at: tx.now }))
}

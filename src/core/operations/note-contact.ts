/** A manager that works on a job may not poll for hours: what it writes about the job is its sign of life too. */
import type { Core } from '../core.js'
import { findManagerById, saveContact } from '../store/runners.js'
import type { Tx } from '../store/write.js'
import { contactEveryMs } from './contact-runner.js'

/** Step: notes the contact if the last one on record is old. */
export async function noteContact(tx: Tx, lease: { managerId: number; runnerId: number }): Promise<void> {
  const manager = await findManagerById(tx, lease.managerId)
  if (manager && tx.now - manager.contactedAt >= contactEveryMs) await saveContact(tx, lease.runnerId, manager.id)
}

/** Notes the contact of every manager with an open connection, which may have nothing to say for days. Returns their number. */
export async function noteAttached(core: Core): Promise<number> {
  const ids = core.leaseSignals.managerIds()
  for (const id of ids) {
    await core.store.write(async (tx) => {
      const manager = await findManagerById(tx, id)
      if (manager) await saveContact(tx, manager.runnerId, id)
    })
  }
  return ids.length
}

const lookEveryMs = 10 * 60_000

/**
 * The same for a path that is too hot to look each time: now and then, in a transaction of its own that nobody waits for.
 */
export function noteContactSoon(core: Core, lease: { managerId: number; runnerId: number }): void {
  const { contactLooks } = core.memory
  const now = core.clock.now()
  if (now - (contactLooks.get(lease.managerId) ?? 0) < lookEveryMs) return
  contactLooks.set(lease.managerId, now)
  core.store
    .write((tx) => noteContact(tx, lease))
    .catch((error) => {
      contactLooks.delete(lease.managerId)
      core.log.warn({ err: error }, 'a contact was not noted')
    })
}

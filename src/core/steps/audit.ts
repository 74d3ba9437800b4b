/** Appends to the audit log in the transaction of what it tells of. */
import { type AuditEntry, digestOf, keyNameOf } from '../audit.js'
import type { Core } from '../core.js'
import type { NewEvent } from '../events.js'
import { appendAuditEntries, lockAuditHead } from '../store/audit.js'
import { findUser } from '../store/users.js'
import type { Tx } from '../store/write.js'

/** Entries of a body are written together at its end: until it has ended nobody else can append. */
export function audit(core: Core, tx: Tx, event: NewEvent): void {
  const unwritten = tx.once('audit', () => {
    const events: NewEvent[] = []
    tx.atEnd(() => append(core, tx, events))
    return events
  })
  unwritten.push(event)
}

async function append(core: Core, tx: Tx, events: readonly NewEvent[]): Promise<void> {
  let before = await lockAuditHead(tx)
  const entries: AuditEntry[] = []
  for (const event of events) {
    const actorId = core.by?.id ?? (typeof event.data?.by === 'number' ? event.data.by : null)
    const actor = core.by ?? (actorId === null ? undefined : await findUser(tx, actorId))
    const { by: _, ...data } = event.data ?? {}
    const entry = {
      id: before.id + 1,
      at: tx.now,
      kind: event.kind,
      actorId,
      actorName: actor?.username ?? null,
      projectId: event.projectId ?? null,
      runnerId: event.runnerId ?? null,
      data: JSON.stringify(data),
      keyName: keyNameOf(core.keys),
    }
    const digest = digestOf(core.keys, entry, before.digest)
    entries.push({ ...entry, digest })
    before = { id: entry.id, digest }
  }
  await appendAuditEntries(tx, entries)
}

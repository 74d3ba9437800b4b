/** What leases are to become: a cancel is a desired state with a revision, which the runner acknowledges. */
import { sql } from 'kysely'
import type { Lease } from '../lease.js'
import { leaseColumns } from './columns.js'
import { hotQuery } from './hot-query.js'
import type { Reader, Tx } from './write.js'

/** Sets a lease's desired state: canceled, gently or by force. */
export async function saveCancel(tx: Tx, id: number, revision: number, mode: 'graceful' | 'force'): Promise<void> {
  await tx.all(canceledLease, { id, revision, mode, now: tx.now })
}

/** Notes that the runner has received the cancel of this revision. */
export async function saveCancelAck(
  tx: Tx,
  lease: { jobId: number; fence: number; managerId: number },
  revision: number,
): Promise<void> {
  await tx.db
    .updateTable('leases')
    .set({ cancel_acked: revision })
    .where('job_id', '=', lease.jobId)
    .where('fence', '=', lease.fence)
    .where('manager_id', '=', lease.managerId)
    .where('cancel_acked', '<', revision)
    .where('cancel_revision', '>=', revision)
    .execute()
}

/** Leases of streams whose cancel has not been acknowledged since before `canceledBefore`. */
export function listUnackedCancels(from: Reader | Tx, canceledBefore: number): Promise<Lease[]> {
  return from.db
    .selectFrom('leases')
    .select(leaseColumns)
    .where(sql<boolean>`status = 'held' and cancel_mode is not null and door in ('grpc', 'websocket')`)
    .where('cancel_at', '<=', canceledBefore)
    .whereRef('cancel_acked', '<', 'cancel_revision')
    .execute() as Promise<Lease[]>
}

const canceledLease = hotQuery<never, 'id' | 'revision' | 'mode' | 'now'>((db, p) =>
  db
    .updateTable('leases')
    .set({ cancel_revision: p('revision'), cancel_mode: p('mode'), cancel_at: p('now') })
    .where('id', '=', p('id')),
)

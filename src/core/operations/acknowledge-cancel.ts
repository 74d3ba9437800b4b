/** A runner has received the cancel of its job: it need not be sent again. */
import type { Core } from '../core.js'
import { saveCancelAck } from '../store/lease-cancels.js'

/** An acknowledgement of a lease that is not this manager's, or of a revision that was never sent, changes nothing. */
export function acknowledgeCancel(
  core: Core,
  ack: { jobId: number; fence: number; managerId: number; revision: number },
): Promise<void> {
  return core.store.write((tx) => saveCancelAck(tx, ack, ack.revision))
}

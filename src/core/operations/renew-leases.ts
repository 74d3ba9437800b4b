/** A stream's sign of life for all its leases: each gets a full term from now. */
import type { Core } from '../core.js'
import { renewLeases as renewRows } from '../store/lease-terms.js'

/** A lease that was renewed, and until when it holds. */
export interface Renewal {
  jobId: number
  fence: number
  /** Rest of the lease in milliseconds; null: it is not open, or not this manager's. */
  expiresInMs: number | null
}

/** Renews; gives one line for each lease asked about, in order. */
export function renewLeases(
  core: Core,
  managerId: number,
  leases: readonly { jobId: number; fence: number }[],
): Promise<Renewal[]> {
  return core.store.write(async (tx) => {
    const renewed = new Map((await renewRows(tx, managerId, leases)).map((row) => [`${row.jobId}.${row.fence}`, row]))
    return leases.map(({ jobId, fence }) => {
      const row = renewed.get(`${jobId}.${fence}`)
      return { jobId, fence, expiresInMs: row ? row.expiresAt - tx.now : null }
    })
  })
}

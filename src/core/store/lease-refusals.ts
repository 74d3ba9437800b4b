/** Offers that came to nothing: why, and whom the job is not offered to for a while. */
import type { Reader, Tx } from './write.js'

/** Returns why the job's last offer that came to nothing did so. */
export async function findLastRefusal(
  from: Reader,
  jobId: number,
): Promise<{ at: number; reason: string; runnerId: number } | undefined> {
  const row = await from.db
    .selectFrom('leases')
    .select(['ended_at as at', 'end_reason as reason', 'runner_id as runnerId'])
    .where('job_id', '=', jobId)
    .where('status', 'in', ['refused', 'expired'])
    .where('accepted_at', 'is', null)
    .orderBy('fence', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row && { at: row.at ?? 0, reason: row.reason ?? '', runnerId: row.runnerId }
}

/** Returns the managers that are passed over for the job, since an offer of it to them came to nothing lately. */
export async function excludedManagers(from: Reader | Tx, jobId: number, now: number): Promise<Set<number>> {
  const rows = await from.db
    .selectFrom('leases')
    .select('manager_id')
    .where('job_id', '=', jobId)
    .where('excluded_until', '>', now)
    .execute()
  return new Set(rows.map((row) => row.manager_id))
}

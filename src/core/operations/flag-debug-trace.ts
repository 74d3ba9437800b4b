/** A runner says that what it is about to write comes from a debugging shell, which prints secrets. */
import type { Core } from '../core.js'
import { fenced } from '../steps/accept-offer.js'
import { lockJob } from '../store/jobs.js'
import { findLease } from '../store/leases.js'
import { ensureTrace, findTrace, flagTrace } from '../store/traces.js'

/** From now on the job's log is shown only to who may operate its project. Throws `fenced` when the lease is not open. */
export async function flagDebugTrace(core: Core, lease: { jobId: number; fence: number }): Promise<void> {
  if ((await findTrace(core.store.read, lease.jobId))?.debug === 1) return
  await core.store.write(async (tx) => {
    const job = await lockJob(tx, lease.jobId)
    const open = job && (await findLease(tx, lease.jobId, lease.fence))
    if (open?.status !== 'held' && open?.status !== 'offered') throw fenced(job)
    await ensureTrace(tx, lease.jobId, core.node)
    await flagTrace(tx, lease.jobId, { debug: 1 })
  })
}

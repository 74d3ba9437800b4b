/** What a runner does about the job that it has: report, upload, download. The log is appended in `append.ts`. */
import { SignalboxError } from '../../core/errors.js'
import { finishJob } from '../../core/operations/finish-job.js'
import { touchLease } from '../../core/operations/touch-lease.js'
import type { Call, Reply, Route } from '../../http/call.js'
import { wrongParameter } from '../../http/params.js'
import { updateIntervalS } from '../append.js'
import { idOf, tokenRoute } from '../call.js'
import { fromJobUpdate } from '../convert/job-update.js'

export const runningJobRoutes: readonly Route[] = [tokenRoute('put', '/jobs/:id', update)]

async function update(call: Call): Promise<Reply> {
  const { core, access, req, params } = call
  const jobId = idOf(call, 'id', 'Job')
  const token = params.text('token')
  if (!token && !req.headers['job-token']) throw wrongParameter('token', 'is missing')
  const said = fromJobUpdate(params)
  if ('report' in said) {
    const { fence } = await leaseOf(() => access.job(req, token, jobId))
    const { jobStatus, outcome } = await finishJob(core, { jobId, fence, report: said.report })
    return outcome === 'waiting' ? accepted(jobStatus) : updated(call, jobId, jobStatus)
  }
  const { lease } = await access.job(req, token, jobId)
  const { jobStatus } = await touchLease(core, { jobId, fence: lease.fence, phase: said.state })
  return updated(call, jobId, jobStatus)
}

/**
 * The lease that a final report belongs to, also one that is over: a runner whose first report was answered by a lost 200
 * says the same again, and `finishJob` knows it.
 */
async function leaseOf(authenticate: () => Promise<{ lease: { fence: number } }>): Promise<{ fence: number }> {
  try {
    return (await authenticate()).lease
  } catch (error) {
    const lease = error instanceof SignalboxError && error.code === 'fenced' ? error.details.lease : undefined
    if (lease !== undefined) return lease as { fence: number }
    throw error
  }
}

/** The log is not durable yet: the runner is to report once more, soon. */
function accepted(jobStatus: string): Reply {
  return { status: 202, text: '202', headers: { 'Job-Status': jobStatus, 'X-GitLab-Trace-Update-Interval': 1 } }
}

function updated({ core }: Call, jobId: number, jobStatus: string): Reply {
  return {
    status: 200,
    text: '200',
    headers: { 'Job-Status': jobStatus, 'X-GitLab-Trace-Update-Interval': updateIntervalS(core, jobId) },
  }
}

/** `PATCH /jobs/:id/trace`: a runner appends to its job's log. Answered on the raw request, in front of Express. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import { appendTrace } from '../core/operations/append-trace.js'
import { flagDebugTrace } from '../core/operations/flag-debug-trace.js'
import { noteContactSoon } from '../core/operations/note-contact.js'
import { findJob } from '../core/store/jobs.js'
import type { Access } from '../http/access.js'
import { readBody } from '../http/body.js'
import { idFrom } from '../http/call.js'
import { foldPairs, readPairs } from '../http/form.js'
import { Params } from '../http/params.js'
import { queryOf } from '../http/read-params.js'
import { fromContentRange } from './convert/content-range.js'
import { notFound } from './errors.js'

const partLimits = { bytes: 2 * 1024 * 1024 }

/** How often a runner is asked to send: often while somebody watches the log. */
export function updateIntervalS(core: Core, jobId: number): number {
  return core.traces.isWatched(jobId) ? 3 : 30
}

/**
 * Answers an append. Throws `not_found` for an id that is none, `invalid` for a `Content-Range` that is none,
 * `forbidden` or `fenced` for a token that may not write, `range_mismatch`, `too_large`; nothing has been answered then.
 */
export async function answerAppend(
  core: Core,
  access: Access,
  req: IncomingMessage,
  res: ServerResponse,
  requestId: string,
  id: string,
): Promise<void> {
  const jobId = idFrom(id)
  if (jobId === undefined) throw notFound()
  const query = queryOf(req.url ?? '')
  const params = query === '' || query === 'debug_trace=false' ? undefined : new Params(foldPairs(readPairs(query)))
  const token = params?.text('token')
  const offset = fromContentRange(req.headers['content-range'])
  const { lease } = await access.job(req, token, jobId)
  const data = await readBody(req, res, core.clock, partLimits)
  if (params?.boolean('debug_trace') === true) await flagDebugTrace(core, lease)
  const { length } = await append(core, { jobId, fence: lease.fence, offset, data })
  noteContactSoon(core, lease)
  const job = await findJob(core.store.read, jobId)
  res.writeHead(202, {
    'Job-Status': job?.status ?? '',
    Range: `0-${length}`,
    'X-GitLab-Trace-Update-Interval': updateIntervalS(core, jobId),
    'X-Request-Id': requestId,
    'Content-Length': 0,
  })
  res.end()
}

/** A log that is full ends its job: the runner is told so with 403, since it would send the same part again after 413. */
async function append(core: Core, part: { jobId: number; fence: number; offset: number; data: Buffer }) {
  try {
    return await appendTrace(core, { ...part, overlap: 'refuse' })
  } catch (thrown) {
    const error = SignalboxError.from(thrown)
    if (!['too_large', 'range_mismatch', 'fenced'].includes(error.code)) throw thrown
    const jobStatus = error.details.jobStatus ?? (await findJob(core.store.read, part.jobId))?.status ?? null
    const code = error.code === 'too_large' ? 'fenced' : error.code
    throw new SignalboxError(code, error.message, { details: { ...error.details, jobStatus } })
  }
}

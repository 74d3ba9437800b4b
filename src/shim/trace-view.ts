/** A job's log, for whoever reads it while it grows or later. */
import type { Core } from '../core/core.js'
import type { Job } from '../core/job.js'
import { is } from '../core/lifecycle/job-machine.js'
import { visibleLength } from '../core/operations/read-log.js'
import type { Call } from '../http/call.js'
import { writePiece } from '../http/write-piece.js'

const pieceBytes = 256 * 1024

/** Sends the log as far as it may be shown now; an unfinished secret at its end is held back. */
export async function sendTrace(
  { core, req, res, requestId }: Pick<Call, 'core' | 'req' | 'res' | 'requestId'>,
  job: Job,
): Promise<void> {
  const length = await visibleLength(core, job)
  if (is('executing', job.status)) noteViewer(core, job.id)
  res.writeHead(200, {
    'Content-Disposition': `attachment; filename="job-${job.id}.log"`,
    'Content-Length': length,
    'Content-Security-Policy': "sandbox; default-src 'none'",
    'Content-Type': 'text/plain; charset=utf-8',
    'X-Content-Type-Options': 'nosniff',
    'X-Request-Id': requestId,
  })
  if (req.method !== 'HEAD') {
    for (let at = 0; at < length && !res.destroyed; ) {
      const piece = await core.traces.read(job.id, at, Math.min(length, at + pieceBytes))
      if (piece.length === 0) {
        res.destroy()
        return
      }
      at += piece.length
      await writePiece(res, piece)
    }
  }
  res.end()
}

/** So long after somebody has read a log its runner is asked to send often. */
const viewedMs = 10_000

function noteViewer(core: Core, jobId: number): void {
  const views = core.memory.logViewers
  views.get(jobId)?.()
  const unwatch = core.traces.watch(jobId, () => undefined)
  const stopClock = core.clock.after(viewedMs, () => end())
  const end = () => {
    stopClock()
    unwatch()
    views.delete(jobId)
  }
  views.set(jobId, end)
}

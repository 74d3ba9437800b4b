/** A job's log as it grows. */
import type { ServerResponse } from 'node:http'
import type { Core } from '../core/core.js'
import { is } from '../core/lifecycle/job-machine.js'
import { visiblePart } from '../core/operations/read-log.js'
import { getJob } from '../core/store/jobs.js'
import { writePiece } from '../http/write-piece.js'
import { Changes } from './changes.js'

const pieceBytes = 256 * 1024

export interface LogOptions {
  offset: number
  /** The byte behind the last one that is wanted; absent: there is no such limit. */
  end?: number
  follow: boolean
  /** Whether who reads may see what a debugging shell prints: a log may become one while it is followed. */
  debug: boolean
  requestId: string
}

/** Sends the log as far as it may be shown, and with `follow` what is added until the job ends. */
export async function sendLog(core: Core, jobId: number, res: ServerResponse, options: LogOptions): Promise<void> {
  res.writeHead(200, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Disposition': `attachment; filename="job-${jobId}.log"`,
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': "sandbox; default-src 'none'",
    'Cache-Control': 'no-store',
    'X-Request-Id': options.requestId,
  })
  // The answer begins at once, however long the job is silent.
  res.flushHeaders()
  const changes = new Changes(res)
  const stops = options.follow
    ? [
        core.traces.watch(jobId, () => changes.signal()),
        core.events.listen((event) => event.jobId === jobId && changes.signal()),
      ]
    : []
  try {
    for (let sent = options.offset; !changes.gone; ) {
      // The status first: a job that has ended has no more to say than what is read after.
      const job = await getJob(core.store.read, jobId)
      const part = await visiblePart(core, job)
      if (part.debug && !options.debug) break
      const length = Math.min(part.length, options.end ?? Number.MAX_SAFE_INTEGER)
      while (sent < length && !changes.gone) {
        const piece = await core.traces.read(jobId, sent, Math.min(length, sent + pieceBytes))
        // The file is shorter than its row says: there is no more to be had, however often it is asked for.
        if (piece.length === 0) break
        sent += piece.length
        await writePiece(res, piece)
      }
      if (!options.follow || is('completed', job.status)) break
      await changes.next()
    }
  } finally {
    for (const stop of stops) stop()
    res.end()
  }
}

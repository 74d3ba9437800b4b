/**
 * Logs of jobs that have ended become artifacts of the type `trace`, and are read from there as before.
 * Rule: gitlab app/workers/ci/archive_trace_worker.rb.
 */
import { keepBlob, type StoredBlob } from '../blobs/blob-store.js'
import type { Core } from '../core.js'
import { is } from '../lifecycle/job-machine.js'
import { insertArtifact } from '../store/artifacts.js'
import { type StoredEvent, saveCursor } from '../store/events.js'
import { getJob, lockJob } from '../store/jobs.js'
import { findTrace, listUnarchivedTraces } from '../store/traces.js'
import { eventsFor } from './follow-events.js'

const cursor = 'task.archive_traces'

/** Archives the logs of jobs that ended a while ago. Returns their number. */
export async function archiveTraces(core: Core): Promise<number> {
  let archived = 0
  for await (const events of eventsFor(core, cursor, core.clock.now() - core.settings.archiveTracesAfterMs)) {
    const ended = events.flatMap((event) =>
      event.kind === 'job.finished' && event.jobId !== null ? [event.jobId] : [],
    )
    for (const trace of await listUnarchivedTraces(core.store.read, ended)) {
      if (!(await archive(core, trace))) continue
      archived++
      core.counts.trace('finalized')
    }
    await core.store.write((tx) => saveCursor(tx, cursor, (events.at(-1) as StoredEvent).id))
  }
  return archived
}

/** A log whose file is not as its row says stays where it is. Throws when the bytes cannot be stored. */
async function archive(core: Core, trace: { jobId: number; length: number }): Promise<boolean> {
  const { jobId, length } = trace
  let blob: StoredBlob
  try {
    blob = await core.artifacts.store(core.traces.stream(jobId, length), length)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return refuse(core, jobId, error)
  }
  if (blob.sizeBytes < length) {
    await core.artifacts.remove(blob.location)
    return refuse(core, jobId, new Error(`the file has ${blob.sizeBytes} bytes, not ${length}`))
  }
  const kept = await keepBlob(core.artifacts, blob, () =>
    core.store.write(async (tx) => {
      const job = await lockJob(tx, jobId)
      // It may have been erased meanwhile.
      if (!job || !is('finished', job.status) || !(await findTrace(tx, jobId))) return nothing
      return insertArtifact(tx, {
        ...blob,
        jobId,
        projectId: job.projectId,
        type: 'trace',
        format: 'raw',
        filename: 'job.log',
        expiresAt: null,
      })
    }),
  )
  if (kept === nothing) return false
  await core.traces.remove(jobId, (await getJob(core.store.read, jobId)).fence)
  return true
}

const nothing = { location: '' }

function refuse(core: Core, jobId: number, error: unknown): false {
  core.log.error({ err: error, job: jobId }, 'a log could not be archived')
  return false
}

/** Step: a trigger job takes over the status of another pipeline; what follows for its own pipeline is the caller's to do. */
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import { bridgeMirrors, is, type JobStatus } from '../lifecycle/job-machine.js'
import type { Tx } from '../store/write.js'
import { afterFinish } from './after-finish.js'
import { changeStatus } from './change-status.js'

/** From any status to one of `bridgeMirrors`. `data` goes with the fact; `failure` is the sentence of a job that failed. */
export async function copyStatus(
  core: Core,
  tx: Tx,
  job: Job,
  to: JobStatus,
  { data, failure: message }: { data: Record<string, number>; failure: string },
): Promise<void> {
  if (!(bridgeMirrors as readonly JobStatus[]).includes(to))
    throw new Error(`a trigger job cannot become ${to} by itself`)
  const finishedAt = is('finished', to) ? tx.now : null
  const set = { finishedAt, failureReason: null, failureClass: null, failureMessage: null }
  const failure = { reason: 'unknown_failure', class: 'unknown', message } as const
  await changeStatus(core, tx, job, { event: 'mirror', to, set, failure, data })
  if (to === 'failed') await afterFinish(core, tx, job)
}

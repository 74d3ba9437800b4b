/** An administrator lets a job go before others, or after them: our extension of the order of the queue. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { is } from '../lifecycle/job-machine.js'
import { record } from '../steps/record.js'
import { lockJob, saveJob } from '../store/jobs.js'
import { renewHead } from '../store/queue.js'

const most = 1000

/**
 * Among the jobs that a runner could take, one of a higher priority goes first; 0 is what jobs begin with. Instance runners
 * still share themselves fairly among projects before they look at it. A retry keeps it. Throws `not_found`; `invalid` for
 * a priority that is not from -1000 to 1000, or a job that has a runner or has ended.
 */
export function prioritizeJob(
  core: Core,
  input: { jobId: number; priority: number; userId: number | null },
): Promise<void> {
  const { jobId, priority, userId } = input
  if (!Number.isSafeInteger(priority) || Math.abs(priority) > most) {
    throw new SignalboxError('invalid', `priority needs to be a whole number from -${most} to ${most}`)
  }
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, jobId)
    if (!job) throw new SignalboxError('not_found', `no job ${jobId}`)
    if (is('completed', job.status) || is('executing', job.status))
      throw new SignalboxError('invalid', `job ${jobId} is ${job.status}`)
    job.priority = priority
    await saveJob(tx, job)
    if (job.inQueue === 1) await renewHead(tx, job.laneId!)
    await record(core, tx, {
      kind: 'job.changed',
      projectId: job.projectId,
      pipelineId: job.pipelineId,
      jobId,
      data: {
        event: 'prioritize',
        from: job.status,
        to: job.status,
        priority,
        ...(userId === null ? {} : { by: userId }),
      },
    })
  })
}

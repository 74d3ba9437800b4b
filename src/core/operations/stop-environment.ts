/** An environment is stopped: by a person, or because its time is over. */
import type { Core } from '../core.js'
import { eachSafely } from '../each-safely.js'
import type { Environment } from '../environment.js'
import { SignalboxError } from '../errors.js'
import { findEnvironment, findLastDeployment, listExpiredEnvironments, saveEnvironment } from '../store/environments.js'
import { findJob, listCurrentJobs } from '../store/jobs.js'
import { isPlayable, playJob } from './play-job.js'

/**
 * Plays the job that the last deployment names for it; the environment is `stopping` until that job has succeeded. Without
 * such a job, or with `force`, it is stopped at once. Throws `not_found`.
 */
export async function stopEnvironment(
  core: Core,
  input: { environmentId: number; userId: number | null; force?: boolean },
): Promise<Environment> {
  const { read } = core.store
  const environment = await findEnvironment(read, input.environmentId)
  if (!environment) throw new SignalboxError('not_found', `no environment ${input.environmentId}`)
  const jobId = input.force ? undefined : await stopJobOf(core, environment.id)
  // Played first: an environment whose job cannot start must not look as if it were about to stop.
  if (jobId !== undefined) await playJob(core, { jobId, userId: input.userId })
  return core.store.write(async (tx) => {
    const now = (await findEnvironment(tx, environment.id))!
    // The job may have ended already, and stopped it.
    if (now.state !== 'stopped') {
      await saveEnvironment(tx, now.id, { state: jobId === undefined ? 'stopped' : 'stopping', autoStopAt: null })
    }
    return (await findEnvironment(tx, now.id))!
  })
}

/** Stops environments whose time is over, as the users who deployed there last. Returns their number. */
export async function stopExpiredEnvironments(core: Core): Promise<number> {
  const ids = await listExpiredEnvironments(core.store.read, core.clock.now())
  return eachSafely(core.log, 'stopping an environment', ids, async (environmentId) => {
    const last = await findLastDeployment(core.store.read, environmentId, 'success')
    await stopEnvironment(core, { environmentId, userId: last?.userId ?? null })
  })
}

async function stopJobOf(core: Core, environmentId: number): Promise<number | undefined> {
  const { read } = core.store
  const last = await findLastDeployment(read, environmentId, 'success')
  const deployer = last?.onStop == null ? undefined : await findJob(read, last.jobId)
  if (!last || !deployer) return undefined
  const jobs = await listCurrentJobs(read, deployer.pipelineId)
  const stopper = jobs.find((job) => job.name === last.onStop)
  const job = stopper && (await findJob(read, stopper.id))
  return job && isPlayable(job) ? job.id : undefined
}

/** How a job that was stopped is reported. */
import { formatDuration } from './duration.js'
import type { JobPayload } from './payload.js'
import type { Failure, JobReport } from './report.js'
import type { JobSettings } from './settings.js'
import type { StopCause } from './stop.js'

/** What a job that was ended before its time is reported as. */
export function stopFailure(cause: StopCause, timeoutMs: number): Failure {
  switch (cause) {
    case 'canceled':
      return { reason: 'job_canceled', message: 'canceled' }
    case 'timeout':
      return {
        reason: 'job_execution_timeout',
        message: `execution took longer than ${formatDuration(timeoutMs)} seconds`,
      }
    case 'interrupted':
      return { reason: 'runner_interrupted', message: 'aborted: the runner was stopped' }
    case 'lease_lost':
      return {
        reason: 'runner_system_failure',
        message: 'the lease on this job could not be renewed in time, so the job was stopped',
      }
    case 'abandoned':
      return { reason: 'runner_system_failure', message: 'the job was given up' }
  }
}

/** Why this runner cannot run a job at all; nothing if it can. */
export function refusal(
  payload: JobPayload,
  settings: JobSettings,
  builds: string,
  hasFolder: boolean,
): Failure | undefined {
  const refuse = (message: string): Failure => ({ reason: 'runner_configuration_error', message })
  if (payload.hasRunSteps) return refuse('`run:` steps are not supported by this runner')
  if (payload.inputs > 0) return refuse('job inputs are not supported by this runner')
  if (payload.secrets.length > 0) {
    return refuse(`secrets from a provider are not supported by this runner: ${payload.secrets.join(', ')}`)
  }
  if (!hasFolder) return refuse(`the GIT_CLONE_PATH=${JSON.stringify(settings.clonePath)} has to be within ${builds}`)
  if (settings.checkout && payload.git.sha.length < 8) return refuse('the commit id of the job is missing')
  return undefined
}

export function toReport(failure: Failure | undefined): JobReport {
  if (failure === undefined) return { state: 'success', failureReason: '', message: '' }
  const exitCode = failure.exitCode === undefined ? {} : { exitCode: failure.exitCode }
  return { state: 'failed', failureReason: failure.reason, message: failure.message, ...exitCode }
}

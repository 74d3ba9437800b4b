/** How a job ended, as the coordinator is told. */
export interface JobReport {
  state: 'success' | 'failed'
  /** Of the script that failed; 128 + n if signal n ended it. */
  exitCode?: number
  /** Under GitLab's names; empty for a success. */
  failureReason: FailureReason | ''
  /** One sentence for people. */
  message: string
}

/** The reasons that a runner may give. Source: GitLab Runner, `common/network.go`. */
export type FailureReason =
  | 'script_failure'
  | 'runner_system_failure'
  | 'image_pull_failure'
  | 'job_execution_timeout'
  | 'runner_configuration_error'
  | 'runner_interrupted'
  | 'job_canceled'

/** Why a stage of a job did not succeed: an ordinary value, never thrown. */
export interface Failure {
  reason: FailureReason
  message: string
  exitCode?: number
}

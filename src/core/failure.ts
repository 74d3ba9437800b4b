/**
 * Why a job failed, as data. The names are GitLab's, since runners send them and scripts read them; the sentences are for
 * people. Source of the list: gitlab app/models/concerns/enums/ci/commit_status.rb; `runner_provisioning_timeout` is ours.
 */
import type { FailureClass } from './evidence.js'

interface ReasonFacts {
  /** One sentence for people. */
  sentence: string
  /** How often a job is retried by itself when its configuration says nothing, or never whatever it says (0). */
  autoRetry?: 0 | 2
  /** A runner may report it. */
  fromRunner?: true
}

export const failureReasons = {
  unknown_failure: { sentence: 'The job failed for a reason that was not given or not recognised.', fromRunner: true },
  script_failure: { sentence: 'A command of the job’s script ended with an error.', fromRunner: true },
  api_failure: { sentence: 'The job was set to failed through the API.' },
  stuck_or_timeout_failure: { sentence: 'The job was waiting or silent for too long.' },
  runner_system_failure: { sentence: 'The runner, or the environment it prepared, had a fault.', fromRunner: true },
  missing_dependency_failure: { sentence: 'Artifacts that the job needs are gone.', autoRetry: 0 },
  runner_unsupported: { sentence: 'The runner lacks a feature that the job needs.' },
  stale_schedule: { sentence: 'The delayed job could not start in time.' },
  job_execution_timeout: { sentence: 'The job ran longer than its timeout.', fromRunner: true },
  archived_failure: { sentence: 'The job is archived and cannot run.' },
  unmet_prerequisites: { sentence: 'What the job needs before it can be queued could not be prepared.' },
  scheduler_failure: { sentence: 'The job could not be handed to a runner.', autoRetry: 2 },
  data_integrity_failure: { sentence: 'The job’s data is not consistent.' },
  forward_deployment_failure: { sentence: 'A newer deployment exists already.', autoRetry: 0 },
  user_blocked: { sentence: 'The user who owns the job is blocked.' },
  project_deleted: { sentence: 'The project is being deleted.' },
  ci_quota_exceeded: { sentence: 'No compute minutes are left.', autoRetry: 0 },
  pipeline_loop_detected: { sentence: 'The trigger would start pipelines in a circle.' },
  no_matching_runner: { sentence: 'No runner can ever take this job.', autoRetry: 0 },
  trace_size_exceeded: { sentence: 'The job’s log grew over the limit.' },
  builds_disabled: { sentence: 'CI/CD is switched off in the project.' },
  environment_creation_failure: { sentence: 'The job’s environment could not be created.', autoRetry: 0 },
  deployment_rejected: { sentence: 'The deployment was not approved.' },
  failed_outdated_deployment_job: { sentence: 'A newer deployment of this environment exists.' },
  job_execution_server_timeout: { sentence: 'The job ran longer than its timeout and its runner did not end it.' },
  stuck_pending_with_matching_runners: { sentence: 'The job waited a day although runners could take it.' },
  stuck_pending_no_matching_runners: { sentence: 'The job waited an hour and no runner could take it.' },
  no_updates_running: { sentence: 'The running job sent no sign of life for too long.' },
  no_updates_canceling: { sentence: 'The job that was being canceled sent no sign of life for too long.' },
  server_timeout_running: { sentence: 'The job ran past its timeout and its runner did not end it.' },
  server_timeout_canceling: { sentence: 'The job ran past its timeout while it was being canceled.' },
  runner_configuration_error: { sentence: 'The job’s configuration or the runner’s is not right.', fromRunner: true },
  runner_external_dependency_failure: {
    sentence: 'Something outside that the runner needs, such as a registry, was not available.',
    fromRunner: true,
  },
  runner_interrupted: { sentence: 'The runner was stopped while the job ran.', fromRunner: true },
  protected_environment_failure: { sentence: 'The user may not deploy to this environment.' },
  insufficient_bridge_permissions: { sentence: 'The user may not create the downstream pipeline.' },
  downstream_bridge_project_not_found: { sentence: 'The downstream project does not exist or cannot be read.' },
  invalid_bridge_trigger: { sentence: 'The trigger points at its own project.' },
  upstream_bridge_project_not_found: { sentence: 'The upstream project does not exist or cannot be read.' },
  insufficient_upstream_permissions: { sentence: 'The upstream project may not be read.' },
  bridge_pipeline_is_child_pipeline: { sentence: 'A child pipeline may not trigger this pipeline.' },
  downstream_pipeline_creation_failed: { sentence: 'The downstream pipeline could not be created.' },
  secrets_provider_not_found: { sentence: 'No provider for the job’s secrets is configured.' },
  reached_max_descendant_pipelines_depth: { sentence: 'Child pipelines are nested too deep.' },
  ip_restriction_failure: { sentence: 'The group does not allow this address.' },
  reached_max_pipeline_hierarchy_size: { sentence: 'The tree of downstream pipelines is too large.' },
  reached_downstream_pipeline_trigger_rate_limit: { sentence: 'Downstream pipelines were triggered too often.' },
  duo_workflow_not_allowed: { sentence: 'This kind of workflow is not allowed here.' },
  job_router_failure: { sentence: 'The job router had a fault.' },
  job_token_expired: { sentence: 'The job’s token expired before the job ended.' },
  id_token_burned_project_path: { sentence: 'The project’s path was used by another project before.' },
  downstream_project_trigger_resolved_to_empty: { sentence: 'The downstream project’s name came out empty.' },
  runner_provisioning_timeout: { sentence: 'Five runners in a row did not accept the job.' },
} as const satisfies Record<string, ReasonFacts>

/** Of a job whose payload, or a variable that goes into it, cannot be opened (`SealError`). */
export const unreadable = {
  reason: 'data_integrity_failure',
  class: 'internal',
  message:
    'What the coordinator keeps for this job cannot be read: it is damaged, or was sealed with another key file. Retry the job once that is mended.',
} as const satisfies { reason: FailureReason; class: FailureClass; message: string }

export type FailureReason = keyof typeof failureReasons

/** Everything known about a reason. */
export function factsOf(reason: FailureReason): ReasonFacts {
  return failureReasons[reason]
}

/**
 * The reason that a runner's word means; what is not a runner's to say, or not known, is `unknown_failure`.
 * An empty word is `script_failure` only if the runner gave an exit code.
 */
export function fromRunnerReason(word: string | undefined, exitCode: number | null): FailureReason {
  if (!word) return exitCode === null || exitCode === 0 ? 'unknown_failure' : 'script_failure'
  return Object.hasOwn(failureReasons, word) && factsOf(word as FailureReason).fromRunner
    ? (word as FailureReason)
    : 'unknown_failure'
}

/** Reasons that runners are told the server understands, in the payload's `features.failure_reasons`. */
export const reasonsForRunners: string[] = [
  ...Object.keys(failureReasons).filter((reason) => factsOf(reason as FailureReason).fromRunner),
  'job_canceled',
]

/** Names that one word in `retry:when` also stands for. */
const retryAliases: Readonly<Record<string, readonly FailureReason[]>> = {
  stuck_or_timeout_failure: [
    'stuck_pending_with_matching_runners',
    'stuck_pending_no_matching_runners',
    'no_updates_running',
    'no_updates_canceling',
  ],
  job_execution_timeout: ['server_timeout_running', 'server_timeout_canceling'],
}

export interface RetryPolicy {
  max: number
  when: readonly string[]
  exitCodes?: readonly number[]
}

/**
 * Whether a failed job is tried again by itself. `retries` counts the job's earlier attempts in the pipeline, by hand or not.
 * Rule: gitlab lib/gitlab/ci/build/auto_retry.rb.
 */
export function retriesByItself(
  policy: RetryPolicy | undefined,
  failure: { reason: FailureReason; exitCode: number | null },
  retries: number,
): boolean {
  const facts = factsOf(failure.reason)
  if (facts.autoRetry === 0) return false
  const configured = policy && matches(policy, failure) ? policy.max : undefined
  const max = policy?.max === 0 ? 0 : (configured ?? facts.autoRetry ?? 0)
  return max > retries
}

function matches(policy: RetryPolicy, failure: { reason: FailureReason; exitCode: number | null }): boolean {
  if (failure.exitCode !== null && policy.exitCodes?.includes(failure.exitCode)) return true
  return policy.when.some(
    (word) => word === 'always' || word === failure.reason || retryAliases[word]?.includes(failure.reason),
  )
}

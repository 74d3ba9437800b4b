/** What this runner says that it can do. */
import type { Executor } from '../plugins/sdk.js'
import { program } from './identity.js'

// Under GitLab's names: GitLab Runner, `common/network.go` (FeaturesInfo). All are always listed.
const known = {
  variables: false,
  image: false,
  services: false,
  artifacts: true,
  cache: true,
  fallback_cache_keys: true,
  shared: false,
  upload_multiple_artifacts: true,
  upload_raw_artifacts: true,
  session: false,
  terminal: false,
  refspecs: true,
  masking: true,
  proxy: false,
  raw_variables: true,
  artifacts_exclude: true,
  multi_build_steps: true,
  trace_reset: true,
  trace_checksum: true,
  trace_size: true,
  vault_secrets: false,
  cancelable: true,
  return_exit_code: true,
  service_variables: false,
  service_multiple_aliases: false,
  image_executor_opts: false,
  service_executor_opts: false,
  cancel_gracefully: true,
  native_steps_integration: false,
  two_phase_job_commit: true,
  job_inputs: false,
} as const

/** What this runner can do with this executor: every known feature, and what the executor adds. */
export async function runnerFeatures(executor: { name: string; executor: Executor }): Promise<Record<string, boolean>> {
  const own = Object.entries(known).flatMap(([name, on]) => (on ? [name] : []))
  const all = await executor.executor.capabilities({
    executor: executor.name,
    platform: program.platform,
    architecture: program.architecture,
    features: own,
  })
  return { ...known, ...Object.fromEntries(all.map((name) => [name, true])) }
}

/** What a job asks of a runner, as the matcher looks at it. */
import type { JobPlan } from '../ci-config/job-definition.js'
import type { Demand } from './match.js'

/**
 * What a job asks of a runner. Features as gitlab app/models/ci/build.rb requires them; with `matchImages` also the executor that
 * its `image` and `services` need, under the names that GitLab Runner reports (gitlab-runner common/network.go, FeaturesInfo).
 */
export function demandOf(plan: JobPlan, isProtected: boolean, { matchImages }: { matchImages: boolean }): Demand {
  const features = new Set<string>()
  if (plan.artifacts?.some((artifact) => artifact.type !== 'archive')) features.add('upload_multiple_artifacts')
  if (plan.artifacts?.some((artifact) => artifact.exclude?.length)) features.add('artifacts_exclude')
  if (plan.release) features.add('multi_build_steps')
  if (plan.allowFailureExitCodes?.length || plan.retry?.exitCodes?.length) features.add('return_exit_code')
  if (plan.caches?.some((cache) => cache.fallbackKeys?.length)) features.add('fallback_cache_keys')
  if (matchImages && plan.image) features.add('image')
  if (matchImages && plan.services?.length) features.add('services')
  if (plan.secrets) features.add('vault_secrets')
  return { tags: [...plan.tags].sort(), protected: isProtected, features: [...features].sort() }
}

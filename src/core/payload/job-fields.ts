/** Parts of a job's definition as a runner gets them. Shape: gitlab-runner common/spec/spec.go. */
import type { JobPlan, PlanArtifact, PlanImage, PlanInput, PlanService } from '../ci-config/job-definition.js'
import { isOfFork } from '../forge.js'
import type { Slots } from './marks.js'
import type { PayloadFacts } from './payload.js'
import { releaseScript } from './release-step.js'
import { variableFor } from './variable-text.js'

export function stepsOf(plan: JobPlan, slots: Slots): object[] {
  if (plan.run) return []
  const steps: object[] = [
    { name: 'script', script: plan.script, timeout: slots.timeout, when: 'on_success', allow_failure: false },
  ]
  if (plan.release) {
    steps.push({
      name: 'release',
      script: releaseScript(plan.release),
      timeout: slots.timeout,
      when: 'on_success',
      allow_failure: false,
    })
  }
  if (plan.afterScript?.length) {
    steps.push({
      name: 'after_script',
      script: plan.afterScript,
      timeout: slots.timeout,
      when: 'always',
      allow_failure: true,
    })
  }
  return steps
}

/** Every key carries how often the caches were cleared, and whose they are: gitlab app/models/ci/build.rb, `cache`. */
export function cachesOf({ plan, pipeline, project }: PayloadFacts): object[] {
  const index = project.cacheIndex > 0 ? `-${project.cacheIndex}` : ''
  return (plan.caches ?? []).map((cache) => {
    const shared = pipeline.protected === 1 && !cache.unprotect ? '-protected' : '-non_protected'
    // What a stranger's job leaves in a cache reaches no other job.
    const suffix = isOfFork(pipeline) ? `-fork-${pipeline.ref.split('/')[2]}` : shared
    const full = (key: string) => `${key}${index}${suffix}`
    return {
      key: full(typeof cache.key === 'string' ? cache.key : 'default'),
      untracked: cache.untracked ?? false,
      policy: cache.policy,
      paths: cache.paths,
      when: cache.when,
      ...(cache.fallbackKeys ? { fallback_keys: cache.fallbackKeys.map(full) } : {}),
    }
  })
}

export function imageOf(from: PlanImage): object {
  return {
    name: from.name,
    ...(from.entrypoint ? { entrypoint: from.entrypoint } : {}),
    ...(from.pullPolicy ? { pull_policy: from.pullPolicy } : {}),
    ...(from.executorOpts ? { executor_opts: from.executorOpts } : {}),
  }
}

export function serviceOf(service: PlanService): object {
  return {
    ...imageOf(service),
    alias: service.alias ?? null,
    command: service.command ?? null,
    variables: (service.variables ?? []).map((one) => variableFor(one, true)),
  }
}

export function artifactOf(artifact: PlanArtifact): object {
  return {
    ...(artifact.name === undefined ? {} : { name: artifact.name }),
    untracked: artifact.untracked ?? false,
    paths: artifact.paths,
    ...(artifact.exclude ? { exclude: artifact.exclude } : {}),
    when: artifact.when,
    ...(artifact.expireIn === undefined ? {} : { expire_in: artifact.expireIn }),
    artifact_type: artifact.type,
    artifact_format: artifact.format,
  }
}

export function inputOf({ key, value }: PlanInput): object {
  return { key, value: { ...value, sensitive: false } }
}

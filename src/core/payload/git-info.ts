/** What a runner fetches of the repository, and at which depth. Shape: gitlab-runner common/spec/spec.go, `GitInfo`. */
import type { PlanVariable } from '../ci-config/variables.js'
import type { Slots } from './marks.js'
import type { PayloadFacts } from './payload.js'
import { repositoryUrl } from './predefined-variables.js'

export function gitInfo(facts: PayloadFacts, slots: Slots, variables: readonly PlanVariable[]): object {
  const { project, pipeline, externalUrl } = facts
  const wanted = variables.findLast((one) => one.key === 'GIT_DEPTH')?.value
  const depth = wanted !== undefined && /^\d{1,9}$/.test(wanted) ? Number(wanted) : facts.gitDepth
  const pinned = `+refs/pipelines/${pipeline.id}:refs/pipelines/${pipeline.id}`
  const own =
    pipeline.tag === 1
      ? `+refs/tags/${pipeline.ref}:refs/tags/${pipeline.ref}`
      : `+refs/heads/${pipeline.ref}:refs/remotes/origin/${pipeline.ref}`
  return {
    repo_url: repositoryUrl(externalUrl, project.fullPath, slots.token),
    repo_object_format: pipeline.sha.length === 64 ? 'sha256' : 'sha1',
    ref: pipeline.ref,
    ref_type: pipeline.tag === 1 ? 'tag' : 'branch',
    sha: pipeline.sha,
    before_sha: pipeline.beforeSha,
    refspecs: pipeline.ref.startsWith('refs/')
      ? [pinned]
      : depth > 0
        ? [pinned, own]
        : [pinned, '+refs/heads/*:refs/remotes/origin/*', '+refs/tags/*:refs/tags/*'],
    depth,
    protected: pipeline.protected === 1,
  }
}

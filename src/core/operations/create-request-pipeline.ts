/**
 * A pipeline of a merge request: of its source branch as it is (detached), or, where the project says so and the branches
 * do not conflict, of what merging it would give; not of a protected branch with one that is not.
 * Rules: https://docs.gitlab.com/ci/pipelines/merge_request_pipelines/, https://docs.gitlab.com/ci/pipelines/merged_results_pipelines/
 */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { type MergeRequest, mergeMessage, requestRef, requestVariables } from '../merge-request.js'
import type { Pipeline } from '../pipeline.js'
import type { Project } from '../project.js'
import { isProtected, mayRunMerged } from '../protection.js'
import type { User } from '../store/users.js'
import { type CreatePipelineInput, createPipeline } from './create-pipeline.js'
import { fetchMirror } from './fetch-mirror.js'

/**
 * Throws what `createPipeline` throws, and `invalid` for a request that is closed or whose branches are gone. Undefined only
 * with `keep`.
 */
export async function createRequestPipeline(
  core: Core,
  given: Project,
  request: MergeRequest,
  { user, onInvalid, alongside }: Pick<CreatePipelineInput, 'onInvalid' | 'alongside'> & { user: User },
): Promise<Pipeline | undefined> {
  if (request.state !== 'opened') throw refusal(`The merge request is ${request.state}`)
  const project = await fetchMirror(core, given)
  const [source, target] = await Promise.all(
    [request.sourceBranch, request.targetBranch].map((branch) =>
      core.repositories.resolve(project, `refs/heads/${branch}`),
    ),
  )
  if (!source || !target) throw refusal(`${source ? request.targetBranch : request.sourceBranch} is no branch any more`)
  const base = await core.repositories.mergeBase(project, target.sha, source.sha)
  const merges = project.mergedResults === 1 && mayRunMerged(project, request.sourceBranch, request.targetBranch)
  const merged = merges ? await merge(core, project, request, source.sha, target.sha) : undefined
  const kind = merged === undefined ? 'detached' : 'merged_result'
  const guarded = (branch: string) => isProtected(project, { name: branch, tag: false })
  return createPipeline(core, {
    projectId: project.id,
    ref: `refs/heads/${request.sourceBranch}`,
    requestRef: requestRef(request, kind),
    sha: merged ?? source.sha,
    source: 'merge_request_event',
    user,
    predefined: requestVariables({
      request,
      project,
      externalUrl: core.externalUrl(),
      kind,
      source: { sha: source.sha, protected: guarded(request.sourceBranch) },
      target: { sha: target.sha, protected: guarded(request.targetBranch) },
      base,
    }),
    changesSince: target.sha,
    onInvalid,
    ...(alongside ? { alongside } : {}),
  })
}

function merge(
  core: Core,
  project: Project,
  request: MergeRequest,
  source: string,
  target: string,
): Promise<string | undefined> {
  return core.repositories.merge(project, { target, source, message: mergeMessage(request), at: core.clock.now() })
}

function refusal(message: string): SignalboxError {
  return new SignalboxError('invalid', message, { details: { errors: [message] } })
}

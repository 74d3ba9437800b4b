/**
 * A branch was pushed to: its open merge requests get a pipeline each.
 * Rules: https://docs.gitlab.com/ci/pipelines/merge_request_pipelines/
 */
import type { Core } from '../core.js'
import type { Pipeline } from '../pipeline.js'
import type { Project } from '../project.js'
import { listMergeRequests } from '../store/merge-requests.js'
import type { User } from '../store/users.js'
import { createRequestPipeline } from './create-request-pipeline.js'

/** Requests of one branch that a push makes pipelines for. */
const most = 4

/**
 * Newest first, four at most; one that gets none is logged. The store is not asked for a project that has never had a
 * request.
 */
export async function followRequestPush(
  core: Core,
  project: Project,
  sourceBranch: string,
  user: User,
): Promise<Pipeline[]> {
  if (project.lastRequestIid === 0) return []
  const filter = { projectId: project.id, state: 'opened' as const, sourceBranch }
  const requests = await listMergeRequests(core.store.read, filter, { limit: most, offset: 0 })
  const made: Pipeline[] = []
  for (const request of requests) {
    try {
      const pipeline = await createRequestPipeline(core, project, request, { user, onInvalid: 'keep' })
      if (pipeline) made.push(pipeline)
    } catch (error) {
      core.log.info({ err: error, project: project.id, request: request.iid }, 'a merge request made no pipeline')
    }
  }
  return made
}

/**
 * A branch was pushed to: its open merge requests get a pipeline each.
 * Rules: https://docs.gitlab.com/ci/pipelines/merge_request_pipelines/
 */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Pipeline } from '../pipeline.js'
import type { Project } from '../project.js'
import { listMergeRequests } from '../store/merge-requests.js'
import type { User } from '../store/users.js'
import type { Tx } from '../store/write.js'
import { createRequestPipeline } from './create-request-pipeline.js'

/** Requests of one branch that a push makes pipelines for. */
const most = 4

/** Who pushed, and what else is to happen in the transactions of the pipelines. */
export interface FollowOptions {
  /** Requests that have their pipeline already. */
  done?: readonly number[]
  /** Done in the transaction that makes the pipeline of a request. */
  alongside?: (tx: Tx, requestId: number) => Promise<void>
}

/**
 * Newest first, four at most; one that gets none is logged. The store is not asked for a project that has never had a
 * request. Throws `unavailable` when the others are to be made later.
 */
export async function followRequestPush(
  core: Core,
  project: Project,
  sourceBranch: string,
  user: User,
  { done = [], alongside }: FollowOptions = {},
): Promise<Pipeline[]> {
  if (project.lastRequestIid === 0) return []
  const filter = { projectId: project.id, state: 'opened' as const, sourceBranch }
  const requests = await listMergeRequests(core.store.read, filter, { limit: most, offset: 0 })
  const made: Pipeline[] = []
  for (const request of requests.filter(({ id }) => !done.includes(id))) {
    try {
      const pipeline = await createRequestPipeline(core, project, request, {
        user,
        onInvalid: 'keep',
        ...(alongside ? { alongside: (tx) => alongside(tx, request.id) } : {}),
      })
      if (pipeline) made.push(pipeline)
    } catch (error) {
      if (SignalboxError.from(error).code === 'unavailable') throw error
      core.log.info({ err: error, project: project.id, request: request.iid }, 'a merge request made no pipeline')
    }
  }
  return made
}

/** The paths that the event behind a pipeline has changed, which its rules ask about. */
import { SignalboxError } from '../errors.js'
import { noSha, type PipelineSource } from '../pipeline.js'
import type { Project, Repositories, ResolvedRef } from '../project.js'

interface ChangeInput {
  source: PipelineSource
  /** Where the branch was before a push. */
  beforeSha?: string
  /** Changes are those since the commit parted from this one: what a request to merge it would show. */
  changesSince?: string
}

/** What the event changed: known only for a push to a branch that was there before, from a commit that still is. */
export async function changesOf(
  repositories: Repositories,
  project: Project,
  resolved: ResolvedRef,
  input: ChangeInput,
): Promise<string[] | undefined> {
  const { beforeSha, changesSince } = input
  if (changesSince !== undefined) {
    return unlessGone(repositories.changedSince(project, changesSince, resolved.sha))
  }
  // A child pipeline looks at what its parent's push has changed.
  const pushed = input.source === 'push' || input.source === 'parent_pipeline'
  if (!pushed || resolved.tag || beforeSha === undefined || beforeSha === noSha) return undefined
  return unlessGone(repositories.changedPaths(project, beforeSha, resolved.sha))
}

/** Undefined where a commit is not there any more. */
async function unlessGone(paths: Promise<string[]>): Promise<string[] | undefined> {
  try {
    return await paths
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'not_found') return undefined
    throw error
  }
}

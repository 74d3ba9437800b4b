/** What is known of a pipeline before its configuration is read: its commit, and the variables that the event brings along. */
import type { PlanVariable } from '../ci-config/variables.js'
import type { Core } from '../core.js'
import { pipelineVariables, userVariables } from '../payload/predefined-variables.js'
import { noSha, type PipelineSource } from '../pipeline.js'
import type { CommitInfo, Project, ResolvedRef } from '../project.js'
import { isProtected } from '../protection.js'
import type { PipelineDraft, PipelineOrigin } from '../steps/insert-pipeline.js'
import { variablesFor } from '../steps/variables-for.js'
import { listOpenRequests } from '../store/merge-requests.js'

/** What the event says that the draft is made of. */
export interface DraftInput extends PipelineOrigin {
  /** Where the branch was before a push. */
  beforeSha?: string
  /** Variables given with the event: they beat the file's. */
  variables?: readonly PlanVariable[]
  /** Predefined variables of the event, besides those of every pipeline. */
  predefined?: readonly PlanVariable[]
}

/** A draft, with what rules and includes look at besides. */
export interface Draft extends PipelineDraft {
  /** What people have set for the project: looked at now, and read anew when a job is queued. */
  set: PlanVariable[]
}

/** Returns the draft of the pipeline that the event makes at this commit. */
export async function draftPipeline(
  core: Core,
  project: Project,
  resolved: ResolvedRef,
  commit: CommitInfo,
  input: DraftInput,
): Promise<Draft> {
  // Only branches have a commit before: https://docs.gitlab.com/ci/variables/predefined_variables/
  const beforeSha = resolved.tag ? noSha : (input.beforeSha ?? noSha)
  const common = pipelineVariables({
    project,
    externalUrl: core.externalUrl(),
    source: input.source,
    mergeRequest: input.requestRef !== undefined,
    ref: resolved.name,
    tag: resolved.tag,
    protected: isProtected(project, resolved),
    sha: resolved.sha,
    beforeSha,
    commit,
    ...(resolved.tag
      ? { tagMessage: await core.repositories.tagMessage(project, resolved.name) }
      : { openRequests: await openRequests(core, project, resolved, input.source) }),
    createdAt: core.clock.now(),
    user: input.user,
  })
  // The list itself where it is all: its text is known (`variable-text.ts`).
  const predefined = input.predefined?.length ? [...common, ...input.predefined] : common
  const set = await variablesFor(core, core.store.read, {
    projectId: project.id,
    protected: isProtected(project, resolved),
    environment: null,
  })
  return {
    origin: input,
    project,
    resolved,
    beforeSha,
    predefined,
    set,
    strong: [...userVariables(input.user), ...(input.variables ?? [])],
  }
}

/** Rules ask so as not to make a pipeline of the branch and one of its request: only what makes both is worth a look. */
async function openRequests(
  core: Core,
  project: Project,
  { name }: ResolvedRef,
  source: PipelineSource,
): Promise<number[]> {
  if (project.lastRequestIid === 0 || (source !== 'push' && source !== 'merge_request_event')) return []
  return listOpenRequests(core.store.read, project.id, name)
}

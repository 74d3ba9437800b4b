/** A request to merge one branch of a project into another: what merge request pipelines are about. */
import type { PlanVariable } from './ci-config/variables.js'
import type { Project } from './project.js'

export interface MergeRequest {
  id: number
  projectId: number
  iid: number
  sourceBranch: string
  targetBranch: string
  title: string
  description: string
  state: 'opened' | 'closed' | 'merged'
  userId: number
  /** Why it left its merge train, the last time. */
  mergeError: string | null
  mergeCommitSha: string | null
  createdAt: number
  updatedAt: number
}

/** A pipeline of the source branch as it is, of what merging it would give, or of what merging it behind others would. */
export type RequestPipelineKind = 'detached' | 'merged_result' | 'merge_train'

export interface RequestFacts {
  request: MergeRequest
  project: Project
  externalUrl: string
  kind: RequestPipelineKind
  source: { sha: string; protected: boolean }
  target: { sha: string; protected: boolean }
  /** Where the branches have parted; undefined: they have nothing in common. */
  base: string | undefined
}

const longestDescription = 2700

/** The ref that a pipeline of the request has. */
export function requestRef(request: Pick<MergeRequest, 'iid'>, kind: RequestPipelineKind): string {
  return `refs/merge-requests/${request.iid}/${refNames[kind]}`
}

const refNames: Record<RequestPipelineKind, string> = { detached: 'head', merged_result: 'merge', merge_train: 'train' }

/** What the commit that merges the request says. */
export function mergeMessage(request: Pick<MergeRequest, 'sourceBranch' | 'targetBranch' | 'title'>): string {
  return `Merge branch '${request.sourceBranch}' into '${request.targetBranch}'\n\n${request.title}\n`
}

/** https://docs.gitlab.com/user/project/merge_requests/drafts/ */
export function isDraft(request: Pick<MergeRequest, 'title'>): boolean {
  return /^(draft:|\[draft\]|\(draft\))/i.test(request.title)
}

/** https://docs.gitlab.com/ci/variables/predefined_variables/#predefined-variables-for-merge-request-pipelines */
export function requestVariables(facts: RequestFacts): PlanVariable[] {
  const { request, project, kind, source, target } = facts
  const url = `${facts.externalUrl}/${project.fullPath}`
  const merged = kind !== 'detached'
  const values: Record<string, string> = {
    ID: String(request.id),
    IID: String(request.iid),
    REF_PATH: requestRef(request, 'detached'),
    PROJECT_ID: String(project.id),
    PROJECT_PATH: project.fullPath,
    PROJECT_URL: url,
    SOURCE_PROJECT_ID: String(project.id),
    SOURCE_PROJECT_PATH: project.fullPath,
    SOURCE_PROJECT_URL: url,
    SOURCE_BRANCH_NAME: request.sourceBranch,
    SOURCE_BRANCH_PROTECTED: String(source.protected),
    SOURCE_BRANCH_SHA: merged ? source.sha : '',
    TARGET_BRANCH_NAME: request.targetBranch,
    TARGET_BRANCH_PROTECTED: String(target.protected),
    TARGET_BRANCH_SHA: merged ? target.sha : '',
    TITLE: request.title,
    DESCRIPTION: request.description.slice(0, longestDescription),
    DESCRIPTION_IS_TRUNCATED: String(request.description.length > longestDescription),
    DRAFT: String(isDraft(request)),
    DIFF_BASE_SHA: facts.base ?? '',
    EVENT_TYPE: kind,
    SQUASH_ON_MERGE: 'false',
  }
  return Object.entries(values).map(([name, value]) => ({ key: `CI_MERGE_REQUEST_${name}`, value, raw: true }))
}

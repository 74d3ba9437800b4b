/** People open, change and close merge requests between branches of a project. */
import type { Core } from '../core.js'
import { SignalboxError, wrongField } from '../errors.js'
import type { MergeRequest } from '../merge-request.js'
import type { Project } from '../project.js'
import { leaveIfThere } from '../steps/take-out-of-train.js'
import { findMergeRequest, findOpenRequest, insertMergeRequest, saveMergeRequest } from '../store/merge-requests.js'

/** What is said of a merge request as it is opened. */
export type NewMergeRequest = Pick<
  MergeRequest,
  'projectId' | 'sourceBranch' | 'targetBranch' | 'title' | 'description' | 'userId'
>

/**
 * Throws `invalid` with `details.field` for branches that are not there or are the same; `conflict` while another one
 * between them is open.
 */
export async function openMergeRequest(core: Core, project: Project, input: NewMergeRequest): Promise<MergeRequest> {
  const { sourceBranch, targetBranch } = input
  if (sourceBranch === targetBranch) throw wrongField('source_branch', 'must not be the target branch')
  for (const [field, branch] of [
    ['source_branch', sourceBranch],
    ['target_branch', targetBranch],
  ] as const) {
    if (!(await core.repositories.resolve(project, `refs/heads/${branch}`))) {
      throw wrongField(field, 'does not exist')
    }
  }
  return core.store.write(async (tx) => {
    requireNone(await findOpenRequest(tx, input))
    return insertMergeRequest(tx, input)
  })
}

/**
 * One that is closed leaves its merge train. Throws `not_found`; `invalid` for a state of one that is merged; `conflict` for
 * one that is opened again beside another, or is being merged.
 */
export function changeMergeRequest(
  core: Core,
  input: { projectId: number; iid: number; changes: Partial<Pick<MergeRequest, 'title' | 'description' | 'state'>> },
): Promise<MergeRequest> {
  return core.store.write(async (tx) => {
    const found = await findMergeRequest(tx, input.projectId, input.iid)
    if (!found) throw new SignalboxError('not_found', `the project has no merge request ${input.iid}`)
    const to = input.changes.state
    if (to !== undefined && found.state === 'merged') {
      throw new SignalboxError('invalid', 'The merge request is merged')
    }
    if (to === 'opened' && found.state === 'closed') requireNone(await findOpenRequest(tx, found))
    if (to === 'closed') await leaveIfThere(core, tx, found, 'The merge request is closed')
    await saveMergeRequest(tx, found.id, input.changes)
    return (await findMergeRequest(tx, input.projectId, input.iid))!
  })
}

function requireNone(open: MergeRequest | undefined): void {
  if (!open) return
  const message = `Another open merge request already exists for this source branch: !${open.iid}`
  throw new SignalboxError('conflict', message, { details: { verbatim: true } })
}

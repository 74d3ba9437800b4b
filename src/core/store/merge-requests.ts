/** Rows of merge requests. */
import { SignalboxError } from '../errors.js'
import type { MergeRequest } from '../merge-request.js'
import type { Page } from './page.js'
import type { Reader, Tx } from './write.js'

/** Returns the request by its number within the project. */
export function findMergeRequest(from: Reader | Tx, projectId: number, iid: number): Promise<MergeRequest | undefined> {
  return from.db
    .selectFrom('merge_requests')
    .select(columns)
    .where('project_id', '=', projectId)
    .where('iid', '=', iid)
    .executeTakeFirst()
}

/** By its id; throws `not_found`. */
export async function getMergeRequest(from: Reader | Tx, id: number): Promise<MergeRequest> {
  const query = from.db.selectFrom('merge_requests').select(columns).where('id', '=', id)
  const found = await query.executeTakeFirst()
  if (!found) throw new SignalboxError('not_found', `no merge request ${id}`)
  return found
}

/** The open one between two branches. */
export function findOpenRequest(
  from: Reader | Tx,
  of: Pick<MergeRequest, 'projectId' | 'sourceBranch' | 'targetBranch'>,
): Promise<MergeRequest | undefined> {
  return from.db
    .selectFrom('merge_requests')
    .select(columns)
    .where('project_id', '=', of.projectId)
    .where('source_branch', '=', of.sourceBranch)
    .where('target_branch', '=', of.targetBranch)
    .where('state', '=', 'opened')
    .executeTakeFirst()
}

/** Those from a branch, oldest first: four at most, as many as jobs are told of. */
export async function listOpenRequests(from: Reader, projectId: number, sourceBranch: string): Promise<number[]> {
  const rows = await from.db
    .selectFrom('merge_requests')
    .select('iid')
    .where('project_id', '=', projectId)
    .where('source_branch', '=', sourceBranch)
    .where('state', '=', 'opened')
    .orderBy('id')
    .limit(4)
    .execute()
  return rows.map(({ iid }) => iid)
}

/** Newest first: their numbers are in the order of their ids. */
export function listMergeRequests(
  from: Reader,
  filter: { projectId: number; state?: MergeRequest['state']; sourceBranch?: string },
  page: Page,
): Promise<MergeRequest[]> {
  const { projectId, state, sourceBranch } = filter
  return from.db
    .selectFrom('merge_requests')
    .select(columns)
    .where('project_id', '=', projectId)
    .$if(state !== undefined, (q) => q.where('state', '=', state!))
    .$if(sourceBranch !== undefined, (q) => q.where('source_branch', '=', sourceBranch!))
    .orderBy('iid', 'desc')
    .limit(page.limit)
    .offset(page.offset)
    .execute()
}

/** Returns how many `listMergeRequests` would show on all its pages. */
export async function countMergeRequests(
  from: Reader,
  { projectId, state, sourceBranch }: Parameters<typeof listMergeRequests>[1],
): Promise<number> {
  const row = await from.db
    .selectFrom('merge_requests')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where('project_id', '=', projectId)
    .$if(state !== undefined, (q) => q.where('state', '=', state!))
    .$if(sourceBranch !== undefined, (q) => q.where('source_branch', '=', sourceBranch!))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** Numbered within the project, whose row is held meanwhile. */
export async function insertMergeRequest(
  tx: Tx,
  made: Pick<MergeRequest, 'projectId' | 'sourceBranch' | 'targetBranch' | 'title' | 'description' | 'userId'>,
): Promise<MergeRequest> {
  const { iid } = await tx.db
    .updateTable('projects')
    .set((e) => ({ last_request_iid: e('last_request_iid', '+', 1), updated_at: tx.now }))
    .where('id', '=', made.projectId)
    .returning('last_request_iid as iid')
    .executeTakeFirstOrThrow()
  return tx.db
    .insertInto('merge_requests')
    .values({
      project_id: made.projectId,
      iid,
      source_branch: made.sourceBranch,
      target_branch: made.targetBranch,
      title: made.title,
      description: made.description,
      state: 'opened',
      user_id: made.userId,
      created_at: tx.now,
      updated_at: tx.now,
    })
    .returning(columns)
    .executeTakeFirstOrThrow()
}

/** Changes what is given, and leaves the rest as it is. */
export async function saveMergeRequest(
  tx: Tx,
  id: number,
  changes: Partial<Pick<MergeRequest, 'title' | 'description' | 'state' | 'mergeError' | 'mergeCommitSha'>>,
): Promise<void> {
  const { mergeError, mergeCommitSha, ...same } = changes
  await tx.db
    .updateTable('merge_requests')
    .set({
      ...same,
      ...(mergeError === undefined ? {} : { merge_error: mergeError }),
      ...(mergeCommitSha === undefined ? {} : { merge_commit_sha: mergeCommitSha }),
      updated_at: tx.now,
    })
    .where('id', '=', id)
    .execute()
}

const columns = [
  'id',
  'project_id as projectId',
  'iid',
  'source_branch as sourceBranch',
  'target_branch as targetBranch',
  'title',
  'description',
  'state',
  'user_id as userId',
  'merge_error as mergeError',
  'merge_commit_sha as mergeCommitSha',
  'created_at as createdAt',
  'updated_at as updatedAt',
] as const

/**
 * What commits are to show on their forges: a row for each name of a commit's status, with what is wanted and what the forge
 * has taken. So what has changed several times meanwhile is told once, in its last state.
 */
import type { ForgeState } from '../forge.js'
import type { Page } from './page.js'
import type { Reader, Tx } from './write.js'

export interface StatusRow {
  id: number
  projectId: number
  sha: string
  context: string
  /** 0: no pipeline was made. */
  pipelineId: number
  jobId: number | null
  ref: string | null
  state: ForgeState
  description: string
  version: number
  /** Equal to `version`: the forge has it. */
  sentVersion: number
  attempts: number
  dueAt: number
  /** Why the last attempt came to nothing. */
  message: string | null
  updatedAt: number
}

export type WantedStatus = Pick<
  StatusRow,
  'projectId' | 'sha' | 'context' | 'pipelineId' | 'jobId' | 'ref' | 'state' | 'description'
>

/** Wants it from now on, unless a newer pipeline has said something, or nothing is new. Returns whether there is something to tell. */
export async function wantStatus(tx: Tx, one: WantedStatus): Promise<boolean> {
  const known = await tx.db
    .selectFrom('forge_statuses')
    .select(columns)
    .where('project_id', '=', one.projectId)
    .where('sha', '=', one.sha)
    .where('context', '=', one.context)
    .$if(tx.engine === 'postgres', (query) => query.forUpdate())
    .executeTakeFirst()
  if (!known) {
    await tx.db
      .insertInto('forge_statuses')
      .values({
        project_id: one.projectId,
        sha: one.sha,
        context: one.context,
        ...changed(one),
        version: 1,
        sent_version: 0,
        attempts: 0,
        due_at: tx.now,
        message: null,
        updated_at: tx.now,
      })
      .execute()
    return true
  }
  if (known.pipelineId > one.pipelineId) return false
  const { state, description, pipelineId } = known
  if (state === one.state && description === one.description && pipelineId === one.pipelineId) return false
  await tx.db
    .updateTable('forge_statuses')
    // One that is being told just now keeps its time: the new state goes when that has ended.
    .set((e) => ({ ...changed(one), version: e('version', '+', 1), updated_at: tx.now }))
    .where('id', '=', known.id)
    .execute()
  return true
}

const changed = (one: WantedStatus) => ({
  pipeline_id: one.pipelineId,
  job_id: one.jobId,
  ref: one.ref,
  state: one.state,
  description: one.description,
})

const mostProjects = 1000

/** Projects with something to tell whose forge is not to be left alone: begins with what waits, which is little. */
export async function listProjectsToTell(from: Reader, now: number): Promise<number[]> {
  const due = await from.db
    .selectFrom('forge_statuses')
    .select('project_id')
    .distinct()
    .whereRef('sent_version', '<', 'version')
    .where('due_at', '<=', now)
    .limit(mostProjects)
    .execute()
  if (due.length === 0) return []
  const rows = await from.db
    .selectFrom('forge_connections')
    .select('project_id')
    .where(
      'project_id',
      'in',
      due.map((row) => row.project_id),
    )
    .where('paused_until', '<=', now)
    .execute()
  return rows.map((row) => row.project_id)
}

/** What one project has to tell, what has waited longest first. */
export function listDueStatuses(from: Reader, projectId: number, now: number, limit: number): Promise<StatusRow[]> {
  return from.db
    .selectFrom('forge_statuses')
    .select(columns)
    .where('project_id', '=', projectId)
    .whereRef('sent_version', '<', 'version')
    .where('due_at', '<=', now)
    .orderBy('due_at')
    .orderBy('id')
    .limit(limit)
    .execute()
}

/** Takes one to tell it, until then. Gives it as it is now; undefined: somebody else has it, or there is nothing to tell. */
export async function claimStatus(tx: Tx, id: number, until: number): Promise<StatusRow | undefined> {
  return tx.db
    .updateTable('forge_statuses')
    .set((e) => ({ due_at: until, attempts: e('attempts', '+', 1) }))
    .where('id', '=', id)
    .whereRef('sent_version', '<', 'version')
    .where('due_at', '<=', tx.now)
    .returning(columns)
    .executeTakeFirst()
}

/** The forge has taken, or will never take, this version. What was wanted meanwhile is due now. */
export async function settleStatus(
  tx: Tx,
  { id, version }: Pick<StatusRow, 'id' | 'version'>,
  message: string | null,
): Promise<void> {
  await tx.db
    .updateTable('forge_statuses')
    .set({ sent_version: version, attempts: 0, due_at: tx.now, message })
    .where('id', '=', id)
    .execute()
}

/** It is to be told again, at this time or later. */
export async function putOffStatus(tx: Tx, id: number, dueAt: number, message: string): Promise<void> {
  await tx.db.updateTable('forge_statuses').set({ due_at: dueAt, message }).where('id', '=', id).execute()
}

/** Newest first. */
export function listStatuses(from: Reader, projectId: number, page: Page): Promise<StatusRow[]> {
  return from.db
    .selectFrom('forge_statuses')
    .select(columns)
    .where('project_id', '=', projectId)
    .orderBy('id', 'desc')
    .limit(page.limit)
    .offset(page.offset)
    .execute()
}

/** Nothing is told of a project that is connected no longer. */
export async function deleteStatuses(tx: Tx, projectId: number): Promise<void> {
  await tx.db.deleteFrom('forge_statuses').where('project_id', '=', projectId).execute()
}

const columns = [
  'id',
  'project_id as projectId',
  'sha',
  'context',
  'pipeline_id as pipelineId',
  'job_id as jobId',
  'ref',
  'state',
  'description',
  'version',
  'sent_version as sentVersion',
  'attempts',
  'due_at as dueAt',
  'message',
  'updated_at as updatedAt',
] as const

/**
 * Rows of pushes: each is written before git moves a ref and goes when its pipelines are made, so that every change that
 * git has accepted has its pipeline, whatever happens between.
 */
import { listNodes } from './nodes.js'
import type { Reader, Tx } from './write.js'

/** One command of a push: a ref and where it goes. */
export interface PushedRef {
  /** The full name. */
  ref: string
  /** Zeros: it was not there. */
  before: string
  /** Zeros: it is deleted. */
  after: string
}

/** A ref that was moved, and what is still to be done about it. */
export interface PendingRef extends PushedRef {
  /** Its own pipeline first, then those of the merge requests that come from it. */
  step: 'own' | 'requests'
  /** Merge requests that have theirs. */
  done: number[]
}

/** A push that is under way, or whose pipelines are still to be made. */
export interface PushRow {
  id: number
  projectId: number
  userId: number | null
  commands: PushedRef[]
  options: string[]
  /** As it is stored, to be compared with. Null: what git has made of the commands is not known yet. */
  pending: string | null
  attempts: number
  createdAt: number
}

/** Keeps a push before git moves a ref. Returns its id. */
export async function insertPush(
  tx: Tx,
  push: Pick<PushRow, 'projectId' | 'userId' | 'commands' | 'options'> & { node: string },
): Promise<number> {
  const { id } = await tx.db
    .insertInto('pushes')
    .values({
      project_id: push.projectId,
      user_id: push.userId,
      node: push.node,
      commands: JSON.stringify(push.commands),
      options: JSON.stringify(push.options),
      pending: null,
      attempts: 0,
      created_at: tx.now,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

/** Takes over the pushes of nodes that are not there any more. On SQLite there is one. */
export async function adoptPushes(tx: Tx, node: string): Promise<void> {
  const living = (await listNodes(tx)).filter(({ alive }) => alive).map(({ id }) => id)
  await tx.db
    .updateTable('pushes')
    .set({ node })
    .where('node', 'not in', [...living, node])
    .execute()
}

/** Returns the push; undefined: all of its pipelines are made. */
export async function findPush(from: Reader | Tx, id: number): Promise<PushRow | undefined> {
  const row = await from.db.selectFrom('pushes').select(columns).where('id', '=', id).executeTakeFirst()
  return row && toPush(row)
}

/** All of a node, or those of one project, in the order in which they came. */
export async function listPushes(
  from: Reader | Tx,
  { node, projectId }: { node: string; projectId?: number },
): Promise<PushRow[]> {
  const rows = await from.db
    .selectFrom('pushes')
    .select(columns)
    .where('node', '=', node)
    .$if(projectId !== undefined, (q) => q.where('project_id', '=', projectId!))
    .orderBy('id')
    .execute()
  return rows.map(toPush)
}

/**
 * Notes what is left to be done; the row goes when nothing is. Returns whether `before` was what the row said: of two who
 * work on a push at once, one does each step.
 */
export async function savePending(
  tx: Tx,
  id: number,
  before: string | null,
  left: readonly PendingRef[],
): Promise<boolean> {
  const was = before === null ? 'is' : '='
  if (left.length === 0) {
    const { numDeletedRows } = await tx.db
      .deleteFrom('pushes')
      .where('id', '=', id)
      .where('pending', was, before)
      .executeTakeFirstOrThrow()
    return numDeletedRows > 0n
  }
  const { numUpdatedRows } = await tx.db
    .updateTable('pushes')
    .set({ pending: JSON.stringify(left) })
    .where('id', '=', id)
    .where('pending', was, before)
    .executeTakeFirstOrThrow()
  return numUpdatedRows > 0n
}

/** A step has failed for a reason that is not the database's. */
export async function countAttempt(tx: Tx, id: number): Promise<void> {
  await tx.db
    .updateTable('pushes')
    .set((e) => ({ attempts: e('attempts', '+', 1) }))
    .where('id', '=', id)
    .execute()
}

/** Returns the refs of the push whose pipelines are still to be made. */
export const pendingOf = ({ pending }: Pick<PushRow, 'pending'>): PendingRef[] =>
  pending === null ? [] : JSON.parse(pending)

const columns = [
  'id',
  'project_id as projectId',
  'user_id as userId',
  'commands',
  'options',
  'pending',
  'attempts',
  'created_at as createdAt',
] as const

function toPush(row: Omit<PushRow, 'commands' | 'options'> & { commands: string; options: string }): PushRow {
  return { ...row, commands: JSON.parse(row.commands), options: JSON.parse(row.options) }
}

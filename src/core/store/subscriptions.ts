/** Rows of projects that run a pipeline when a tag of another has succeeded. */
import type { Reader, Tx } from './write.js'

/** One project listens for the tags of another. */
export interface Subscription {
  id: number
  /** Whose tags are listened for. */
  upstreamId: number
  /** Whose default branch runs. */
  projectId: number
  userId: number
  createdAt: number
}

/** What a project is subscribed to, or (`upstreamId`) who is subscribed to it. */
export function listSubscriptions(
  from: Reader | Tx,
  where: { projectId: number } | { upstreamId: number },
): Promise<Subscription[]> {
  return from.db
    .selectFrom('project_subscriptions')
    .select(columns)
    .$if('projectId' in where, (q) => q.where('project_id', '=', (where as { projectId: number }).projectId))
    .$if('upstreamId' in where, (q) => q.where('upstream_id', '=', (where as { upstreamId: number }).upstreamId))
    .orderBy('id')
    .execute()
}

/** Inserts a subscription. Returns it with its id. */
export async function insertSubscription(
  tx: Tx,
  one: Pick<Subscription, 'upstreamId' | 'projectId' | 'userId'>,
): Promise<Subscription> {
  const row = await tx.db
    .insertInto('project_subscriptions')
    .values({
      upstream_id: one.upstreamId,
      project_id: one.projectId,
      user_id: one.userId,
      created_at: tx.now,
    })
    .returning(columns)
    .executeTakeFirstOrThrow()
  await markUpstream(tx, one.upstreamId)
  return row
}

/** Returns whether it was there. */
export async function deleteSubscription(tx: Tx, projectId: number, id: number): Promise<boolean> {
  const rows = await tx.db
    .deleteFrom('project_subscriptions')
    .where('id', '=', id)
    .where('project_id', '=', projectId)
    .returning('upstream_id as upstreamId')
    .execute()
  for (const { upstreamId } of rows) await markUpstream(tx, upstreamId)
  return rows.length > 0
}

/** A project knows of itself that others listen, so that those to whom nobody does ask nothing. */
async function markUpstream(tx: Tx, upstreamId: number): Promise<void> {
  const listening = await listSubscriptions(tx, { upstreamId })
  await tx.db
    .updateTable('projects')
    .set({ followed: listening.length > 0 ? 1 : 0 })
    .where('id', '=', upstreamId)
    .execute()
}

/** The pipelines that a success asks for, to be made after the commit. */
export async function insertSubscribedRuns(tx: Tx, upstreamId: number, pipelineId: number): Promise<number[]> {
  const ids: number[] = []
  for (const { projectId, userId } of await listSubscriptions(tx, { upstreamId })) {
    const { id } = await tx.db
      .insertInto('subscribed_runs')
      .values({ project_id: projectId, user_id: userId, upstream_pipeline_id: pipelineId, created_at: tx.now })
      .returning('id')
      .executeTakeFirstOrThrow()
    ids.push(id)
  }
  return ids
}

/** A pipeline that a subscription owes, and which one upstream it follows. */
export interface SubscribedRun {
  id: number
  projectId: number
  userId: number
  upstreamPipelineId: number
}

/** Returns what all subscriptions still owe, oldest first. */
export function listSubscribedRuns(from: Reader): Promise<SubscribedRun[]> {
  return from.db
    .selectFrom('subscribed_runs')
    .select(['id', 'project_id as projectId', 'user_id as userId', 'upstream_pipeline_id as upstreamPipelineId'])
    .orderBy('id')
    .execute()
}

/** It is done. */
export async function deleteSubscribedRun(tx: Tx, id: number): Promise<void> {
  await tx.db.deleteFrom('subscribed_runs').where('id', '=', id).execute()
}

const columns = [
  'id',
  'upstream_id as upstreamId',
  'project_id as projectId',
  'user_id as userId',
  'created_at as createdAt',
] as const

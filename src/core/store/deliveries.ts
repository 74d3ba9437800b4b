/** Rows of deliveries that have come, and of the secrets that they are signed with. */
import type { Delivery, Forge } from '../delivery.js'
import type { Page } from './page.js'
import type { Reader, Tx } from './write.js'

/** The sealed secret of a project, and as whose user its deliveries make pipelines. */
export interface DeliverySecretRow {
  secret: Uint8Array
  userId: number
  createdAt: number
}

/** Returns the project's secret; undefined: deliveries for it are refused. */
export function findDeliverySecret(from: Reader | Tx, projectId: number): Promise<DeliverySecretRow | undefined> {
  return from.db
    .selectFrom('hook_secrets')
    .select(['secret', 'user_id as userId', 'created_at as createdAt'])
    .where('project_id', '=', projectId)
    .executeTakeFirst()
}

/** The secret from now on; null: there is none any more. Returns whether there was one. */
export async function saveDeliverySecret(
  tx: Tx,
  projectId: number,
  row: { secret: Uint8Array; userId: number } | null,
): Promise<boolean> {
  const { numDeletedRows } = await tx.db
    .deleteFrom('hook_secrets')
    .where('project_id', '=', projectId)
    .executeTakeFirstOrThrow()
  if (row) {
    await tx.db
      .insertInto('hook_secrets')
      .values({ project_id: projectId, secret: row.secret, user_id: row.userId, created_at: tx.now })
      .execute()
  }
  return numDeletedRows > 0n
}

/** Keeps a delivery, or gives the one that has come under its id before. */
export async function insertDelivery(
  tx: Tx,
  given: Pick<Delivery, 'projectId' | 'forge' | 'forgeId' | 'event'>,
): Promise<{ delivery: Delivery; known: boolean }> {
  const row = await tx.db
    .insertInto('hook_deliveries')
    .values({
      project_id: given.projectId,
      forge: given.forge,
      delivery: given.forgeId,
      event: JSON.stringify(given.event),
      status: 'waiting',
      claimed_until: 0,
      attempts: 0,
      pipeline_id: null,
      message: null,
      created_at: tx.now,
    })
    .onConflict((c) => c.columns(['project_id', 'forge', 'delivery']).doNothing())
    .returning('id')
    .executeTakeFirst()
  if (row) return { delivery: (await findDelivery(tx, row.id))!, known: false }
  const { id } = await tx.db
    .selectFrom('hook_deliveries')
    .select('id')
    .where('project_id', '=', given.projectId)
    .where('forge', '=', given.forge)
    .where('delivery', '=', given.forgeId)
    .executeTakeFirstOrThrow()
  return { delivery: (await findDelivery(tx, id))!, known: true }
}

async function findDelivery(from: Reader | Tx, id: number): Promise<Delivery | undefined> {
  const row = await from.db.selectFrom('hook_deliveries').select(columns).where('id', '=', id).executeTakeFirst()
  return row && toDelivery(row)
}

/** Newest first. */
export async function listDeliveries(from: Reader, projectId: number, page: Page): Promise<Delivery[]> {
  const rows = await from.db
    .selectFrom('hook_deliveries')
    .select(columns)
    .where('project_id', '=', projectId)
    .orderBy('id', 'desc')
    .limit(page.limit)
    .offset(page.offset)
    .execute()
  return rows.map(toDelivery)
}

/** Ids of deliveries that nobody works on. */
export async function listWaitingDeliveries(from: Reader, now: number): Promise<number[]> {
  const rows = await from.db
    .selectFrom('hook_deliveries')
    .select('id')
    .where('status', '=', 'waiting')
    .where('claimed_until', '<=', now)
    .orderBy('id')
    .execute()
  return rows.map((row) => row.id)
}

/** Takes a delivery to work on; gives it, unless another has it or it is done. */
export async function claimDelivery(tx: Tx, id: number, until: number): Promise<Delivery | undefined> {
  const { numUpdatedRows } = await tx.db
    .updateTable('hook_deliveries')
    .set((e) => ({ claimed_until: until, attempts: e('attempts', '+', 1) }))
    .where('id', '=', id)
    .where('status', '=', 'waiting')
    .where('claimed_until', '<=', tx.now)
    .executeTakeFirstOrThrow()
  return numUpdatedRows === 0n ? undefined : findDelivery(tx, id)
}

/** Notes what became of it; `waiting` gives it back. */
export async function saveDelivery(
  tx: Tx,
  id: number,
  outcome: Pick<Delivery, 'status' | 'pipelineId' | 'message'>,
): Promise<void> {
  await tx.db
    .updateTable('hook_deliveries')
    .set({ status: outcome.status, pipeline_id: outcome.pipelineId, message: outcome.message, claimed_until: 0 })
    .where('id', '=', id)
    .execute()
}

/** Forgets a project's deliveries that came before this time. */
export async function deleteOldDeliveries(tx: Tx, projectId: number, before: number): Promise<void> {
  await tx.db
    .deleteFrom('hook_deliveries')
    .where('project_id', '=', projectId)
    .where('created_at', '<', before)
    .where('status', '<>', 'waiting')
    .execute()
}

const columns = [
  'id',
  'project_id as projectId',
  'forge',
  'delivery as forgeId',
  'event',
  'status',
  'attempts',
  'pipeline_id as pipelineId',
  'message',
  'created_at as createdAt',
] as const

function toDelivery(row: Omit<Delivery, 'event' | 'forge'> & { event: string; forge: string }): Delivery {
  return { ...row, forge: row.forge as Forge, event: JSON.parse(row.event) }
}

/** Rows of trigger tokens: who has one starts pipelines as its owner. */
import type { Reader, Tx } from './write.js'

/** A trigger token, known by its hash and shown by its hint. */
export interface Trigger {
  id: number
  projectId: number
  ownerId: number
  description: string
  tokenHint: string
  lastUsedAt: number | null
  createdAt: number
  updatedAt: number
}

const columns = [
  'id',
  'project_id as projectId',
  'owner_id as ownerId',
  'description',
  'token_hint as tokenHint',
  'last_used_at as lastUsedAt',
  'created_at as createdAt',
  'updated_at as updatedAt',
] as const

/** Returns the trigger of this id; undefined: there is none. */
export function findTrigger(from: Reader | Tx, id: number): Promise<Trigger | undefined> {
  return from.db.selectFrom('triggers').select(columns).where('id', '=', id).executeTakeFirst()
}

/** Returns the trigger by the hash of its token. */
export function findTriggerByToken(from: Reader | Tx, tokenHash: string): Promise<Trigger | undefined> {
  return from.db.selectFrom('triggers').select(columns).where('token_hash', '=', tokenHash).executeTakeFirst()
}

/** Triggers of a project, oldest first. */
export function listTriggers(
  from: Reader,
  projectId: number,
  page: { limit: number; offset: number },
): Promise<Trigger[]> {
  return from.db
    .selectFrom('triggers')
    .select(columns)
    .where('project_id', '=', projectId)
    .orderBy('id')
    .limit(page.limit)
    .offset(page.offset)
    .execute()
}

/** Inserts a trigger whose token its maker will see once. */
export async function insertTrigger(
  tx: Tx,
  trigger: { projectId: number; ownerId: number; description: string; tokenHash: string; tokenHint: string },
): Promise<Trigger> {
  const { id } = await tx.db
    .insertInto('triggers')
    .values({
      project_id: trigger.projectId,
      owner_id: trigger.ownerId,
      description: trigger.description,
      token_hash: trigger.tokenHash,
      token_hint: trigger.tokenHint,
      last_used_at: null,
      created_at: tx.now,
      updated_at: tx.now,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return (await findTrigger(tx, id))!
}

/** Changes what is given, and leaves the rest as it is. */
export async function saveTrigger(
  tx: Tx,
  id: number,
  changes: { description?: string; lastUsedAt?: number },
): Promise<void> {
  const { description, lastUsedAt } = changes
  await tx.db
    .updateTable('triggers')
    .set({
      ...(description === undefined ? {} : { description, updated_at: tx.now }),
      ...(lastUsedAt === undefined ? {} : { last_used_at: lastUsedAt }),
    })
    .where('id', '=', id)
    .execute()
}

/** Deletes the trigger; its token is refused from now on. */
export async function deleteTrigger(tx: Tx, id: number): Promise<void> {
  await tx.db.deleteFrom('triggers').where('id', '=', id).execute()
}

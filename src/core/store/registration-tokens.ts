/** Rows of registration tokens: one for the instance, one for each group or project that has been asked for its own. */
import { type ExpressionBuilder, sql } from 'kysely'
import type { Database } from './schema.js'
import type { Reader, Tx } from './write.js'

/** Whose runners a token registers; both null: the instance's. */
export interface RegistrationScope {
  projectId: number | null
  groupId: number | null
}

/** Whose runners the token registers, by its hash; undefined if there is none of that hash. */
export function findRegistrationToken(from: Reader | Tx, tokenHash: string): Promise<RegistrationScope | undefined> {
  return from.db
    .selectFrom('registration_tokens')
    .select(['project_id as projectId', 'group_id as groupId'])
    .where('token_hash', '=', tokenHash)
    .executeTakeFirst()
}

/** The scope's token, sealed; `sealed` is null where only the hash is kept. Undefined: it has none. */
export function findSealedToken(
  from: Reader | Tx,
  scope: RegistrationScope,
): Promise<{ sealed: Uint8Array | null } | undefined> {
  return from.db.selectFrom('registration_tokens').select('sealed').where(ofScope(scope)).executeTakeFirst()
}

interface NewToken {
  hash: string
  hint: string
  sealed: Uint8Array
}

/** Gives the scope a new token; the one that it had is dead. */
export async function replaceRegistrationToken(tx: Tx, scope: RegistrationScope, token: NewToken): Promise<void> {
  await tx.db
    .insertInto('registration_tokens')
    .values(rowOf(tx, scope, token))
    .onConflict((c) => c.expression(oneForScope).doUpdateSet(rowOf(tx, scope, token)))
    .execute()
}

/** Gives the scope its first token, unless it has one: then nothing changes. */
export async function addRegistrationToken(tx: Tx, scope: RegistrationScope, token: NewToken): Promise<void> {
  await tx.db
    .insertInto('registration_tokens')
    .values(rowOf(tx, scope, token))
    .onConflict((c) => c.expression(oneForScope).doNothing())
    .execute()
}

const oneForScope = sql`coalesce(project_id, 0), coalesce(group_id, 0)`

const rowOf = (tx: Tx, { projectId, groupId }: RegistrationScope, { hash, hint, sealed }: NewToken) => ({
  token_hash: hash,
  token_hint: hint,
  sealed,
  project_id: projectId,
  group_id: groupId,
  created_at: tx.now,
})

const ofScope =
  ({ projectId, groupId }: RegistrationScope) =>
  (eb: ExpressionBuilder<Database, 'registration_tokens'>) =>
    eb.and([
      eb('project_id', projectId === null ? 'is' : '=', projectId),
      eb('group_id', groupId === null ? 'is' : '=', groupId),
    ])

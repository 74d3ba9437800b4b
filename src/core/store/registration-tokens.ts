/** Rows of registration tokens: one for the instance, one for each group or project that has asked for one. */
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

/** Gives the scope a new token; the one that it had is dead. */
export async function replaceRegistrationToken(
  tx: Tx,
  scope: RegistrationScope,
  token: { hash: string; hint: string },
): Promise<void> {
  await tx.db
    .deleteFrom('registration_tokens')
    .where('project_id', scope.projectId === null ? 'is' : '=', scope.projectId)
    .where('group_id', scope.groupId === null ? 'is' : '=', scope.groupId)
    .execute()
  await tx.db
    .insertInto('registration_tokens')
    .values({
      token_hash: token.hash,
      token_hint: token.hint,
      project_id: scope.projectId,
      group_id: scope.groupId,
      created_at: tx.now,
    })
    .execute()
}

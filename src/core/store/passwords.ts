/** Rows of passwords, and of links to set one with. */
import type { Reader, Tx } from './write.js'

/** Returns what is kept of a user's password; undefined: there is none. */
export async function findPassword(from: Reader | Tx, userId: number): Promise<string | undefined> {
  const row = await from.db.selectFrom('passwords').select('hash').where('user_id', '=', userId).executeTakeFirst()
  return row?.hash
}

/** Keeps a password in the place of the one before. */
export async function savePassword(tx: Tx, userId: number, hash: string): Promise<void> {
  const kept = { hash, changed_at: tx.now }
  await tx.db
    .insertInto('passwords')
    .values({ user_id: userId, ...kept })
    .onConflict((c) => c.column('user_id').doUpdateSet(kept))
    .execute()
}

/** Keeps a link; the one that the user had before is dead. */
export async function savePasswordLink(
  tx: Tx,
  { userId, tokenHash, expiresAt }: { userId: number; tokenHash: string; expiresAt: number },
): Promise<void> {
  const kept = { token_hash: tokenHash, expires_at: expiresAt }
  await tx.db
    .insertInto('password_links')
    .values({ user_id: userId, ...kept })
    .onConflict((c) => c.column('user_id').doUpdateSet(kept))
    .execute()
}

/** Returns whose password the link sets, as long as it may. */
export async function findPasswordLink(from: Reader | Tx, tokenHash: string): Promise<number | undefined> {
  const row = await from.db
    .selectFrom('password_links')
    .select('user_id')
    .where('token_hash', '=', tokenHash)
    .where('expires_at', '>', from.now)
    .executeTakeFirst()
  return row?.user_id
}

/** Takes away the link of a user, if there is one; with `tokenHash` that one only. Returns whether it was there. */
export async function deletePasswordLink(tx: Tx, userId: number, tokenHash?: string): Promise<boolean> {
  const rows = await tx.db
    .deleteFrom('password_links')
    .where('user_id', '=', userId)
    .$if(tokenHash !== undefined, (q) => q.where('token_hash', '=', tokenHash!))
    .returning('user_id')
    .execute()
  return rows.length > 0
}

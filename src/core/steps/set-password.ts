/** A password takes the place of the one before, and whoever knew that is out: the user's links and sessions end. */
import type { Core } from '../core.js'
import { deletePasswordLink, savePassword } from '../store/passwords.js'
import { deleteSessions } from '../store/sessions.js'
import type { Tx } from '../store/write.js'
import { record } from './record.js'

/** Sets a password by its hash. `but`: the session that stays. */
export async function setPassword(
  core: Core,
  tx: Tx,
  { userId, hash, by, but }: { userId: number; hash: string; by: number; but?: number | undefined },
): Promise<void> {
  await savePassword(tx, userId, hash)
  await deletePasswordLink(tx, userId)
  for (const session of await deleteSessions(tx, userId, { but })) {
    await record(core, tx, { kind: 'session.ended', data: { session, user: userId, by } })
  }
  await record(core, tx, { kind: 'password.changed', data: { user: userId, by } })
}

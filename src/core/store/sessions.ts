/** Rows of sessions. One that has ended is no row any more. */
import type { Session } from '../session.js'
import { hotQuery } from './hot-query.js'
import { type User, userColumns } from './users.js'
import type { Reader, Tx } from './write.js'

const columns = [
  'sessions.id as sessionId',
  'sessions.user_id as userId',
  'sessions.way',
  'sessions.address',
  'sessions.agent',
  'sessions.created_at as openedAt',
  'sessions.seen_at as seenAt',
  'sessions.expires_at as expiresAt',
  'sessions.issuer',
] as const

type Row = Omit<Session, 'id' | 'createdAt'> & { sessionId: number; openedAt: number }

function sessionOf({ sessionId, userId, way, address, agent, openedAt, seenAt, expiresAt, issuer }: Row): Session {
  return { id: sessionId, userId, way, issuer, address, agent, createdAt: openedAt, seenAt, expiresAt }
}

/** Returns the session of a token's hash with its user, expired or not. */
export async function findSession(
  from: Reader | Tx,
  tokenHash: string,
): Promise<{ session: Session; user: User } | undefined> {
  const row = await from.first(sessionByHash, { hash: tokenHash })
  if (!row) return undefined
  const { id, username, name, email, isAdmin, state, projectId, accessLevel, createdAt, groupId } = row
  return {
    session: sessionOf(row),
    user: { id, username, name, email, isAdmin, state, projectId, accessLevel, createdAt, groupId },
  }
}

/** Returns the open sessions of a user, the newest first. */
export async function listSessions(from: Reader | Tx, userId: number): Promise<Session[]> {
  const rows = await from.db
    .selectFrom('sessions')
    .select(columns)
    .where('user_id', '=', userId)
    .where('expires_at', '>', from.now)
    .orderBy('id', 'desc')
    .execute()
  return rows.map(sessionOf)
}

/** Inserts a session and returns it. */
export async function insertSession(
  tx: Tx,
  session: Omit<Session, 'id' | 'createdAt' | 'seenAt'> & { tokenHash: string },
): Promise<Session> {
  const { userId, tokenHash, way, issuer, address, agent, expiresAt } = session
  const row = await tx.db
    .insertInto('sessions')
    .values({
      ...{ user_id: userId, token_hash: tokenHash, way, issuer, address, agent },
      ...{ created_at: tx.now, seen_at: tx.now, expires_at: expiresAt },
    })
    .returning(columns)
    .executeTakeFirstOrThrow()
  return sessionOf(row)
}

/** Notes that a session is in use, and moves its end. */
export async function touchSession(tx: Tx, id: number, expiresAt: number): Promise<void> {
  await tx.db.updateTable('sessions').set({ seen_at: tx.now, expires_at: expiresAt }).where('id', '=', id).execute()
}

/** Ends these sessions of a user. Returns the ids of those that were open. */
export async function deleteSessions(
  tx: Tx,
  userId: number,
  which: { id?: number; but?: number | undefined },
): Promise<number[]> {
  const rows = await tx.db
    .deleteFrom('sessions')
    .where('user_id', '=', userId)
    .$if(which.id !== undefined, (q) => q.where('id', '=', which.id!))
    .$if(which.but !== undefined, (q) => q.where('id', '!=', which.but!))
    .returning('id')
    .execute()
  return rows.map((row) => row.id)
}

/** Ends the session of a token, whosever it is. Returns whose, if it was open. */
export async function deleteSession(tx: Tx, tokenHash: string): Promise<Pick<Session, 'id' | 'userId'> | undefined> {
  return tx.db
    .deleteFrom('sessions')
    .where('token_hash', '=', tokenHash)
    .returning(['id', 'user_id as userId'])
    .executeTakeFirst()
}

/** Takes away everybody's sessions whose time is over. */
export async function deleteExpiredSessions(tx: Tx): Promise<void> {
  await tx.db.deleteFrom('sessions').where('expires_at', '<=', tx.now).execute()
}

const sessionByHash = hotQuery<Row & User, 'hash'>((db, p) =>
  db
    .selectFrom('sessions')
    .innerJoin('users', 'users.id', 'sessions.user_id')
    .select([...columns, ...userColumns])
    .where('sessions.token_hash', '=', p('hash')),
)

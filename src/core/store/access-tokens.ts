/** Rows of access tokens. */
import { hotQuery } from './hot-query.js'
import type { Page } from './page.js'
import type { User } from './users.js'
import type { Reader, Tx } from './write.js'

/** A token as it is kept: never its text, only a hash to find it by and a hint to know it by. */
export interface AccessToken {
  id: number
  userId: number
  name: string
  description: string
  /** What lists show of it. */
  tokenHint: string
  /** JSON list. */
  scopes: string
  expiresAt: number | null
  revokedAt: number | null
  createdAt: number
}

/** A token with the user that it acts as. */
export type OwnedToken = AccessToken & { user: User }

/** Which tokens a list shows; what is absent does not count. */
export interface TokenFilter {
  userId?: number
  /** Those that belong to this project or group; absent: those of people. */
  projectId?: number
  groupId?: number
  name?: string
  revoked?: boolean
  /** Neither revoked nor expired at this time. */
  activeAt?: number
  /** Revoked, or expired at this time. */
  overAt?: number
}

/** The token of a hash, whether it is still good or not. */
export async function findAccessToken(from: Reader | Tx, tokenHash: string): Promise<OwnedToken | undefined> {
  const row = await from.first(tokenByHash, { hash: tokenHash })
  return row && owned(row)
}

/** Returns the token with its user, revoked and expired ones too; undefined: there is none of this id. */
export async function findAccessTokenById(from: Reader | Tx, id: number): Promise<OwnedToken | undefined> {
  const row = await from.db
    .selectFrom('access_tokens')
    .innerJoin('users', 'users.id', 'access_tokens.user_id')
    .select(columns)
    .where('access_tokens.id', '=', id)
    .executeTakeFirst()
  return row && owned(row)
}

/** Oldest first. */
export async function listAccessTokens(from: Reader | Tx, filter: TokenFilter, page: Page): Promise<OwnedToken[]> {
  const rows = await from.db
    .selectFrom('access_tokens')
    .innerJoin('users', 'users.id', 'access_tokens.user_id')
    .select(columns)
    .where('users.project_id', filter.projectId === undefined ? 'is' : '=', filter.projectId ?? null)
    .where('users.group_id', filter.groupId === undefined ? 'is' : '=', filter.groupId ?? null)
    .$if(filter.userId !== undefined, (q) => q.where('access_tokens.user_id', '=', filter.userId!))
    .$if(filter.name !== undefined, (q) => q.where('access_tokens.name', '=', filter.name!))
    .$if(filter.revoked !== undefined, (q) =>
      q.where('access_tokens.revoked_at', filter.revoked ? 'is not' : 'is', null),
    )
    .$if(filter.activeAt !== undefined, (q) =>
      q
        .where('access_tokens.revoked_at', 'is', null)
        .where((e) =>
          e.or([e('access_tokens.expires_at', 'is', null), e('access_tokens.expires_at', '>', filter.activeAt!)]),
        ),
    )
    .$if(filter.overAt !== undefined, (q) =>
      q.where((e) =>
        e.or([e('access_tokens.revoked_at', 'is not', null), e('access_tokens.expires_at', '<=', filter.overAt!)]),
      ),
    )
    .orderBy('access_tokens.id')
    .limit(page.limit)
    .offset(page.offset)
    .execute()
  return rows.map(owned)
}

/** Inserts a token that its maker will see once. Returns its id. */
export async function insertAccessToken(
  tx: Tx,
  token: {
    userId: number
    name: string
    description?: string
    tokenHash: string
    tokenHint: string
    scopes: readonly string[]
    expiresAt?: number | null
  },
): Promise<number> {
  const { id } = await tx.db
    .insertInto('access_tokens')
    .values({
      user_id: token.userId,
      name: token.name,
      description: token.description ?? '',
      token_hash: token.tokenHash,
      token_hint: token.tokenHint,
      scopes: JSON.stringify(token.scopes),
      expires_at: token.expiresAt ?? null,
      revoked_at: null,
      created_at: tx.now,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

/** Deletes the user's tokens of this name but the one of this hash. */
export async function deleteOtherTokens(
  tx: Tx,
  { userId, name, tokenHash }: { userId: number; name: string; tokenHash: string },
): Promise<void> {
  await tx.db
    .deleteFrom('access_tokens')
    .where('user_id', '=', userId)
    .where('name', '=', name)
    .where('token_hash', '<>', tokenHash)
    .execute()
}

/** Ends the tokens of these groups, with the users that they act as, and revokes them. */
export async function endTokensOfGroups(tx: Tx, groupIds: readonly number[]): Promise<void> {
  const users = tx.db.selectFrom('users').select('id').where('group_id', 'in', groupIds)
  await tx.db
    .updateTable('access_tokens')
    .set({ revoked_at: tx.now })
    .where('user_id', 'in', users)
    .where('revoked_at', 'is', null)
    .execute()
  await tx.db.updateTable('users').set({ state: 'blocked' }).where('group_id', 'in', groupIds).execute()
}

/** Ends a token. One that has ended keeps its time. */
export async function revokeAccessToken(tx: Tx, id: number): Promise<void> {
  await tx.db
    .updateTable('access_tokens')
    .set({ revoked_at: tx.now })
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .execute()
}

const columns = [
  'access_tokens.id',
  'access_tokens.user_id as userId',
  'access_tokens.name',
  'access_tokens.description',
  'access_tokens.token_hint as tokenHint',
  'access_tokens.scopes',
  'access_tokens.expires_at as expiresAt',
  'access_tokens.revoked_at as revokedAt',
  'access_tokens.created_at as createdAt',
  'users.username as username',
  'users.name as fullName',
  'users.email as email',
  'users.is_admin as isAdmin',
  'users.state as state',
  'users.project_id as projectId',
  'users.access_level as accessLevel',
  'users.created_at as userCreatedAt',
  'users.group_id as groupId',
] as const

type Row = AccessToken &
  Omit<User, 'id' | 'name' | 'createdAt'> & {
    fullName: string
    userCreatedAt: number
  }

function owned(row: Row): OwnedToken {
  const { username, fullName, email, isAdmin, state, projectId, accessLevel, userCreatedAt, groupId, ...token } = row
  const user: User = {
    id: token.userId,
    username,
    name: fullName,
    email,
    isAdmin,
    state,
    projectId,
    accessLevel,
    createdAt: userCreatedAt,
    groupId,
  }
  return { ...token, user }
}

const tokenByHash = hotQuery<Row, 'hash'>(
  (db, p) =>
    db
      .selectFrom('access_tokens')
      .innerJoin('users', 'users.id', 'access_tokens.user_id')
      .select(columns)
      .where('access_tokens.token_hash', '=', p('hash')),
  { remembered: ['access_tokens', 'users'] },
)

/** Rows of users and access tokens. */
import { hotQuery } from './hot-query.js'
import type { Reader, Tx } from './write.js'

export interface User {
  id: number
  username: string
  name: string
  email: string
  isAdmin: number
  state: 'active' | 'blocked'
  createdAt: number
}

export interface AccessToken {
  id: number
  userId: number
  tokenHash: string
  /** JSON list. */
  scopes: string
  expiresAt: number | null
  revokedAt: number | null
}

export function findUser(from: Reader | Tx, id: number): Promise<User | undefined> {
  return from.first(userById, { id })
}

export async function insertUser(
  tx: Tx,
  user: { username: string; name: string; email: string; isAdmin: 0 | 1 },
): Promise<User> {
  const { id } = await tx.db
    .insertInto('users')
    .values({
      username: user.username,
      name: user.name,
      email: user.email,
      is_admin: user.isAdmin,
      state: 'active',
      created_at: tx.now,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return { ...user, id, state: 'active', createdAt: tx.now }
}

export function findAccessToken(
  from: Reader | Tx,
  tokenHash: string,
): Promise<(AccessToken & { user: User }) | undefined> {
  return from.first(tokenByHash, { hash: tokenHash }).then(
    (row) =>
      row && {
        id: row.id,
        userId: row.userId,
        tokenHash: row.tokenHash,
        scopes: row.scopes,
        expiresAt: row.expiresAt,
        revokedAt: row.revokedAt,
        user: {
          id: row.userId,
          username: row.username,
          name: row.name,
          email: row.email,
          isAdmin: row.isAdmin,
          state: row.state,
          createdAt: row.userCreatedAt,
        },
      },
  )
}

export async function insertAccessToken(
  tx: Tx,
  token: { userId: number; name: string; tokenHash: string; tokenHint: string; scopes: string[]; expiresAt?: number },
): Promise<number> {
  const { id } = await tx.db
    .insertInto('access_tokens')
    .values({
      user_id: token.userId,
      name: token.name,
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

const userById = hotQuery<User, 'id'>((db, p) =>
  db
    .selectFrom('users')
    .select(['id', 'username', 'name', 'email', 'is_admin as isAdmin', 'state', 'created_at as createdAt'])
    .where('id', '=', p('id')),
)

const tokenByHash = hotQuery<
  AccessToken & {
    username: string
    name: string
    email: string
    isAdmin: number
    state: 'active' | 'blocked'
    userCreatedAt: number
  },
  'hash'
>((db, p) =>
  db
    .selectFrom('access_tokens')
    .innerJoin('users', 'users.id', 'access_tokens.user_id')
    .select([
      'access_tokens.id',
      'access_tokens.user_id as userId',
      'access_tokens.token_hash as tokenHash',
      'access_tokens.scopes',
      'access_tokens.expires_at as expiresAt',
      'access_tokens.revoked_at as revokedAt',
      'users.username',
      'users.name',
      'users.email',
      'users.is_admin as isAdmin',
      'users.state',
      'users.created_at as userCreatedAt',
    ])
    .where('access_tokens.token_hash', '=', p('hash')),
)

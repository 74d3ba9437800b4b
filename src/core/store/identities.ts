/** Rows of identities: who a person is at an OpenID provider. */
import { sql } from 'kysely'
import type { Identity } from '../openid.js'
import { type User, userColumns } from './users.js'
import type { Reader, Tx } from './write.js'

/** Returns who has this identity, blocked ones too. */
export function findUserByIdentity(from: Reader | Tx, { issuer, subject }: Identity): Promise<User | undefined> {
  return from.db
    .selectFrom('identities')
    .innerJoin('users', 'users.id', 'identities.user_id')
    .select(userColumns)
    .where('identities.issuer', '=', issuer)
    .where('identities.subject', '=', subject)
    .executeTakeFirst()
}

/** The identities of a user, the oldest first. */
export function listIdentities(from: Reader | Tx, userId: number): Promise<Identity[]> {
  return from.db
    .selectFrom('identities')
    .select(['issuer', 'subject'])
    .where('user_id', '=', userId)
    .orderBy('id')
    .execute()
}

/** Keeps an identity. The schema refuses one that somebody has, and a second one at the same provider. */
export async function insertIdentity(tx: Tx, userId: number, { issuer, subject }: Identity): Promise<void> {
  await tx.db.insertInto('identities').values({ user_id: userId, issuer, subject, created_at: tx.now }).execute()
}

/** Takes the identity of a user at a provider away. Returns whether there was one. */
export async function deleteIdentity(tx: Tx, userId: number, issuer: string): Promise<boolean> {
  const { numDeletedRows } = await tx.db
    .deleteFrom('identities')
    .where('user_id', '=', userId)
    .where('issuer', '=', issuer)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

/** Whether anybody has ever come by a provider. */
export async function hasIdentities(tx: Tx): Promise<boolean> {
  return (await tx.db.selectFrom('identities').select('id').limit(1).executeTakeFirst()) !== undefined
}

/** People with this address, whatever its case; two at the most, which is enough to know that it is not one's alone. */
export function listPeopleByEmail(tx: Tx, email: string): Promise<User[]> {
  return tx.db
    .selectFrom('users')
    .select(userColumns)
    .where(sql<boolean>`lower(email) = ${email.toLowerCase()}`)
    .where('project_id', 'is', null)
    .where('group_id', 'is', null)
    .orderBy('id')
    .limit(2)
    .execute()
}

/** The groups in which a user is a member because of what a provider has said. */
export async function listGroupsByIssuer(tx: Tx, userId: number, issuer: string): Promise<number[]> {
  const rows = await tx.db
    .selectFrom('members')
    .select('group_id')
    .where('user_id', '=', userId)
    .where('issuer', '=', issuer)
    .where('group_id', 'is not', null)
    .orderBy('group_id')
    .execute()
  return rows.map((row) => row.group_id!)
}

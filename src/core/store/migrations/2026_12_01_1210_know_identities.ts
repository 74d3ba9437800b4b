/** Who people are at OpenID providers, which of their memberships follow from that, and who has vouched for a session. */
import { type Kysely, PostgresAdapter } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  const int = 'bigint' as const
  const identities =
    db.getExecutor().adapter instanceof PostgresAdapter
      ? db.schema.createTable('identities').addColumn('id', int, (c) => c.primaryKey().generatedByDefaultAsIdentity())
      : db.schema.createTable('identities').addColumn('id', 'integer', (c) => c.primaryKey().autoIncrement())
  await identities
    .addColumn('user_id', int, (c) => c.notNull().references('users.id'))
    .addColumn('issuer', 'text', (c) => c.notNull())
    .addColumn('subject', 'text', (c) => c.notNull())
    .addColumn('created_at', int, (c) => c.notNull())
    .addUniqueConstraint('identities_once', ['issuer', 'subject'])
    .addUniqueConstraint('identities_by_user', ['user_id', 'issuer'])
    .execute()
  await db.schema.alterTable('sessions').addColumn('issuer', 'text').execute()
  await db.schema.alterTable('members').addColumn('issuer', 'text').execute()
}

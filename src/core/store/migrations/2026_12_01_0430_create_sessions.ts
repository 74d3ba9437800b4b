/** Passwords of people, links to set one with, and the sessions of who has signed in. */
import { type Kysely, PostgresAdapter, sql } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  const int = 'bigint' as const
  const table = (name: string) =>
    db.getExecutor().adapter instanceof PostgresAdapter
      ? db.schema.createTable(name).addColumn('id', int, (c) => c.primaryKey().generatedByDefaultAsIdentity())
      : db.schema.createTable(name).addColumn('id', 'integer', (c) => c.primaryKey().autoIncrement())

  await db.schema
    .createTable('passwords')
    .addColumn('user_id', int, (c) => c.primaryKey().references('users.id'))
    .addColumn('hash', 'text', (c) => c.notNull())
    .addColumn('changed_at', int, (c) => c.notNull())
    .execute()
  await db.schema
    .createTable('password_links')
    .addColumn('user_id', int, (c) => c.primaryKey().references('users.id'))
    .addColumn('token_hash', 'text', (c) => c.notNull().unique())
    .addColumn('expires_at', int, (c) => c.notNull())
    .execute()
  await table('sessions')
    .addColumn('user_id', int, (c) => c.notNull().references('users.id'))
    .addColumn('token_hash', 'text', (c) => c.notNull().unique())
    .addColumn('way', 'text', (c) => c.notNull().check(sql<boolean>`way in ('password', 'openid')`))
    .addColumn('address', 'text', (c) => c.notNull())
    .addColumn('agent', 'text', (c) => c.notNull())
    .addColumn('created_at', int, (c) => c.notNull())
    .addColumn('seen_at', int, (c) => c.notNull())
    .addColumn('expires_at', int, (c) => c.notNull())
    .execute()
  await sql`create index sessions_by_user on sessions (user_id, id)`.execute(db)
  await sql`create index sessions_by_end on sessions (expires_at)`.execute(db)
}

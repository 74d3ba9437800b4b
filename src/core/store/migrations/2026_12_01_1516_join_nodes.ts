/** Nodes say which version they are, can be drained, and share duties that one of them does at a time. */
import type { Kysely } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema
    .alterTable('nodes')
    .addColumn('version', 'text', (c) => c.notNull().defaultTo(''))
    .execute()
  await db.schema.alterTable('nodes').addColumn('draining_at', 'bigint').execute()
  await db.schema
    .createTable('duties')
    .addColumn('name', 'text', (c) => c.primaryKey())
    .addColumn('holder', 'text')
    .addColumn('fence', 'bigint', (c) => c.notNull())
    .addColumn('held_until', 'bigint', (c) => c.notNull())
    .execute()
}

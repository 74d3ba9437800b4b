/**
 * The pipeline that a chain of trigger jobs began with: all of it is one trace. And who may hand the events on from a place:
 * one node at a time holds a cursor, for as long as it says so again and again; each holder has a number of its own.
 */
import type { Kysely } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema.alterTable('pipelines').addColumn('root_id', 'bigint').execute()
  await db.schema.alterTable('exporter_cursors').addColumn('holder', 'text').execute()
  await db.schema
    .alterTable('exporter_cursors')
    .addColumn('fence', 'bigint', (c) => c.notNull().defaultTo(0))
    .execute()
  await db.schema
    .alterTable('exporter_cursors')
    .addColumn('held_until', 'bigint', (c) => c.notNull().defaultTo(0))
    .execute()
}

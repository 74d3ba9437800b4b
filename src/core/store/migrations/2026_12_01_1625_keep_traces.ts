/** Bytes of traces in the database, where several nodes share it. */
import { type Kysely, PostgresAdapter, sql } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  const bytes = db.getExecutor().adapter instanceof PostgresAdapter ? sql`bytea` : sql`blob`
  await db.schema
    .createTable('trace_pieces')
    .addColumn('job_id', 'bigint', (c) => c.notNull().references('jobs.id'))
    .addColumn('position', 'bigint', (c) => c.notNull())
    .addColumn('bytes', bytes, (c) => c.notNull())
    // At its end, bytes that may be the beginning of a secret.
    .addColumn('hidden', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('trace_pieces_pk', ['job_id', 'position'])
    .execute()
}

/** Who said why a job failed, how sure they were, and the lines of the log that show it. */
import type { Kysely } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable('verdicts')
    .addColumn('job_id', 'bigint', (c) => c.primaryKey().references('jobs.id'))
    .addColumn('decided_by', 'text', (c) => c.notNull())
    .addColumn('confidence', 'real', (c) => c.notNull())
    .addColumn('retryable', 'smallint', (c) => c.notNull())
    // JSON: a list of texts.
    .addColumn('lines', 'text', (c) => c.notNull())
    .execute()
}

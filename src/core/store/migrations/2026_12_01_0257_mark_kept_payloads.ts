/** Whether a job's payload is kept: one that is given away at once on a stream has none, and its end need not delete any. */
import { type Kysely, sql } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema
    .alterTable('jobs')
    .addColumn('payload_kept', 'integer', (c) => c.notNull().defaultTo(0))
    .execute()
  await sql`update jobs set payload_kept = 1 where id in (select job_id from payloads)`.execute(db)
}

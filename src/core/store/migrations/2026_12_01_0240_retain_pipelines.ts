/** How long a project keeps its pipelines, and that the newest successful one of each ref outlives that. */
import { type Kysely, sql } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  await sql.raw('alter table projects add column delete_pipelines_s integer').execute(db)
  await sql
    .raw('alter table projects add column keep_latest integer not null default 1 check (keep_latest in (0, 1))')
    .execute(db)
}

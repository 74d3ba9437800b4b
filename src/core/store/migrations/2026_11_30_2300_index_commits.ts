/** A commit's last pipeline and its statuses are asked for by project and commit. */
import { type Kysely, sql } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  await sql.raw('create index pipelines_by_commit on pipelines (project_id, sha, id)').execute(db)
}

/** Which branches and tags of a project are protected; null: its default branch, as until now. */
import type { Kysely } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema.alterTable('projects').addColumn('protections', 'text').execute()
}

/** What an environment is for, in its users' words. */
import type { Kysely } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema.alterTable('environments').addColumn('description', 'text').execute()
}

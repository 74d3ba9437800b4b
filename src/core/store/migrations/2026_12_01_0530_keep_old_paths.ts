/** Paths that projects had before they were renamed or moved: they still lead there. */
import type { Kysely } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable('old_paths')
    .addColumn('path', 'text', (c) => c.primaryKey())
    .addColumn('project_id', 'bigint', (c) => c.notNull().references('projects.id').onDelete('cascade'))
    .addColumn('created_at', 'bigint', (c) => c.notNull())
    .execute()
  await db.schema.createIndex('old_paths_by_project').on('old_paths').column('project_id').execute()
}

/** Pushes whose pipelines are still to be made: written before git moves a ref, so that no crash leaves one out. */
import { type Kysely, PostgresAdapter, sql } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  const postgres = db.getExecutor().adapter instanceof PostgresAdapter
  const int = 'bigint' as const
  const table = postgres
    ? db.schema.createTable('pushes').addColumn('id', int, (c) => c.primaryKey().generatedByDefaultAsIdentity())
    : db.schema.createTable('pushes').addColumn('id', 'integer', (c) => c.primaryKey().autoIncrement())
  await table
    .addColumn('project_id', int, (c) => c.notNull().references('projects.id'))
    .addColumn('user_id', int, (c) => c.references('users.id'))
    // Whose disk the repository is on.
    .addColumn('node', 'text', (c) => c.notNull())
    .addColumn('commands', 'text', (c) => c.notNull())
    .addColumn('options', 'text', (c) => c.notNull())
    // Null: what git has made of the commands is not known yet.
    .addColumn('pending', 'text')
    .addColumn('attempts', 'integer', (c) => c.notNull())
    .addColumn('created_at', int, (c) => c.notNull())
    .execute()
  await sql.raw('create index pushes_by_project on pushes (project_id, id)').execute(db)
}

import { type Kysely, PostgresAdapter, sql } from 'kysely'

/** Releases of projects, and their links. */
// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  const int = 'bigint' as const
  /** A table whose rows have an id of their own, never used twice. */
  const table = (name: string) =>
    db.getExecutor().adapter instanceof PostgresAdapter
      ? db.schema.createTable(name).addColumn('id', int, (c) => c.primaryKey().generatedByDefaultAsIdentity())
      : db.schema.createTable(name).addColumn('id', 'integer', (c) => c.primaryKey().autoIncrement())

  await table('releases')
    .addColumn('project_id', int, (c) => c.notNull().references('projects.id'))
    .addColumn('tag', 'text', (c) => c.notNull())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('description', 'text')
    .addColumn('sha', 'text', (c) => c.notNull())
    .addColumn('author_id', int, (c) => c.references('users.id'))
    .addColumn('released_at', int, (c) => c.notNull())
    .addColumn('created_at', int, (c) => c.notNull())
    .addColumn('updated_at', int, (c) => c.notNull())
    .addUniqueConstraint('releases_tag', ['project_id', 'tag'])
    .execute()
  await sql`create index releases_by_time on releases (project_id, released_at)`.execute(db)
  await table('release_links')
    .addColumn('project_id', int, (c) => c.notNull().references('projects.id'))
    .addColumn('release_id', int, (c) => c.notNull().references('releases.id'))
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('url', 'text', (c) => c.notNull())
    .addColumn('filepath', 'text')
    .addColumn('type', 'text', (c) => c.notNull().check(sql`type in ('other', 'runbook', 'image', 'package')`))
    .addColumn('created_at', int, (c) => c.notNull())
    .addUniqueConstraint('release_links_name', ['release_id', 'name'])
    .addUniqueConstraint('release_links_url', ['release_id', 'url'])
    .addUniqueConstraint('release_links_filepath', ['release_id', 'filepath'])
    .execute()
  await sql`create index release_links_by_project on release_links (project_id)`.execute(db)
}

/** Repositories on forges, what their commits are to show, and pull requests of forks. */
import { type Kysely, PostgresAdapter, sql } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  const postgres = db.getExecutor().adapter instanceof PostgresAdapter
  const int = 'bigint' as const
  /** A table whose rows have an id of their own, never used twice. */
  const table = (name: string) =>
    postgres
      ? db.schema.createTable(name).addColumn('id', int, (c) => c.primaryKey().generatedByDefaultAsIdentity())
      : db.schema.createTable(name).addColumn('id', 'integer', (c) => c.primaryKey().autoIncrement())

  await db.schema
    .createTable('forge_connections')
    .addColumn('project_id', int, (c) => c.primaryKey().references('projects.id'))
    .addColumn('kind', 'text', (c) => c.notNull().check(sql`kind in ('github', 'gitlab', 'gitea')`))
    .addColumn('base_url', 'text', (c) => c.notNull())
    .addColumn('repository', 'text', (c) => c.notNull())
    // By the forge's own id: a repository that is renamed stays the same, and is connected once.
    .addColumn('remote_id', 'text', (c) => c.notNull())
    .addColumn('hook_id', 'text')
    .addColumn('forks', 'text', (c) => c.notNull().check(sql`forks in ('never', 'approve', 'always')`))
    .addColumn('job_statuses', 'integer', (c) => c.notNull().check(sql`job_statuses in (0, 1)`))
    .addColumn('user_id', int, (c) => c.notNull().references('users.id'))
    .addColumn('error', 'text')
    .addColumn('failures', 'integer', (c) => c.notNull())
    .addColumn('paused_until', int, (c) => c.notNull())
    .addColumn('created_at', int, (c) => c.notNull())
    .addColumn('sealed', postgres ? sql`bytea` : sql`blob`, (c) => c.notNull())
    .addUniqueConstraint('forge_connections_remote', ['base_url', 'remote_id'])
    .execute()
  await table('forge_statuses')
    .addColumn('project_id', int, (c) => c.notNull().references('projects.id'))
    .addColumn('sha', 'text', (c) => c.notNull())
    .addColumn('context', 'text', (c) => c.notNull())
    // Of what it tells; an older pipeline changes nothing. 0: of none.
    .addColumn('pipeline_id', int, (c) => c.notNull())
    .addColumn('job_id', int)
    .addColumn('ref', 'text')
    .addColumn('state', 'text', (c) => c.notNull())
    .addColumn('description', 'text', (c) => c.notNull())
    // What is wanted, and what the forge is known to have taken.
    .addColumn('version', int, (c) => c.notNull())
    .addColumn('sent_version', int, (c) => c.notNull())
    .addColumn('attempts', 'integer', (c) => c.notNull())
    .addColumn('due_at', int, (c) => c.notNull())
    .addColumn('message', 'text')
    .addColumn('updated_at', int, (c) => c.notNull())
    .addUniqueConstraint('forge_statuses_name', ['project_id', 'sha', 'context'])
    .execute()
  await sql`create index forge_statuses_due on forge_statuses (project_id, due_at) where sent_version < version`.execute(
    db,
  )
  await sql`create index forge_statuses_by_project on forge_statuses (project_id, id)`.execute(db)
  await sql`create index forge_statuses_by_pipeline on forge_statuses (pipeline_id)`.execute(db)
  await table('fork_requests')
    .addColumn('project_id', int, (c) => c.notNull().references('projects.id'))
    .addColumn('number', int, (c) => c.notNull())
    .addColumn('sha', 'text', (c) => c.notNull())
    // What the forge has told: from where to where.
    .addColumn('event', 'text', (c) => c.notNull())
    .addColumn('status', 'text', (c) => c.notNull().check(sql`status in ('waiting', 'approved', 'outdated')`))
    .addColumn('approved_by', int, (c) => c.references('users.id'))
    .addColumn('pipeline_id', int)
    .addColumn('created_at', int, (c) => c.notNull())
    .addUniqueConstraint('fork_requests_head', ['project_id', 'number', 'sha'])
    .execute()
  await sql`create index fork_requests_by_project on fork_requests (project_id, id)`.execute(db)
}

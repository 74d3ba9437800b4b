/** Members of groups and projects, and groups that are let into others. */
import { type Kysely, PostgresAdapter, sql } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  const int = 'bigint' as const
  /** A table whose rows have an id of their own, never used twice. */
  const table = (name: string) =>
    db.getExecutor().adapter instanceof PostgresAdapter
      ? db.schema.createTable(name).addColumn('id', int, (c) => c.primaryKey().generatedByDefaultAsIdentity())
      : db.schema.createTable(name).addColumn('id', 'integer', (c) => c.primaryKey().autoIncrement())
  const level = sql<boolean>`access_level in (10, 15, 20, 30, 40, 50)`
  const onePlace = sql<boolean>`(project_id is null) <> (group_id is null)`

  await table('members')
    .addColumn('user_id', int, (c) => c.notNull().references('users.id'))
    .addColumn('project_id', int, (c) => c.references('projects.id'))
    .addColumn('group_id', int, (c) => c.references('groups.id'))
    .addColumn('access_level', int, (c) => c.notNull().check(level))
    .addColumn('expires_at', int)
    .addColumn('created_by_id', int, (c) => c.references('users.id'))
    .addColumn('created_at', int, (c) => c.notNull())
    .addCheckConstraint('members_place', onePlace)
    .addUniqueConstraint('members_of_project', ['project_id', 'user_id'])
    .addUniqueConstraint('members_of_group', ['group_id', 'user_id'])
    .execute()
  await sql`create index members_by_user on members (user_id, group_id, project_id)`.execute(db)

  await table('group_shares')
    .addColumn('project_id', int, (c) => c.references('projects.id'))
    .addColumn('group_id', int, (c) => c.references('groups.id'))
    .addColumn('shared_with_id', int, (c) => c.notNull().references('groups.id'))
    .addColumn('access_level', int, (c) => c.notNull().check(level))
    .addColumn('expires_at', int)
    .addColumn('created_at', int, (c) => c.notNull())
    .addCheckConstraint('group_shares_place', onePlace)
    .addUniqueConstraint('group_shares_of_project', ['project_id', 'shared_with_id'])
    .addUniqueConstraint('group_shares_of_group', ['group_id', 'shared_with_id'])
    .execute()
  await sql`create index group_shares_by_guest on group_shares (shared_with_id, group_id, project_id)`.execute(db)
}

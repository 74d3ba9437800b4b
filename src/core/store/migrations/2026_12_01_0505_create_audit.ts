/** What people have done to people, roles, tokens, variables, protections and runners: entries in a chain. */
import { type Kysely, sql } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  const int = 'bigint' as const
  await db.schema
    .createTable('audit_entries')
    // Counted by the chain itself, without gaps. Users and projects are named, not referred to: entries outlive them.
    .addColumn('id', int, (c) => c.primaryKey())
    .addColumn('at', int, (c) => c.notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('actor_id', int)
    .addColumn('actor_name', 'text')
    .addColumn('project_id', int)
    .addColumn('runner_id', int)
    .addColumn('data', 'text', (c) => c.notNull())
    .addColumn('key_name', 'text', (c) => c.notNull())
    .addColumn('digest', 'text', (c) => c.notNull())
    .execute()
  await sql`create index audit_by_actor on audit_entries (actor_id, id)`.execute(db)
  await sql`create index audit_by_kind on audit_entries (kind, id)`.execute(db)
}

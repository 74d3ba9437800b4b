/** Registration tokens that can be shown again: sealed, beside their hashes. A scope has one; of more the newest stays. */
import { type Kysely, PostgresAdapter, sql } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  const bytes = db.getExecutor().adapter instanceof PostgresAdapter ? sql`bytea` : sql`blob`
  await db.schema.alterTable('registration_tokens').addColumn('sealed', bytes).execute()
  const scope = 'coalesce(project_id, 0), coalesce(group_id, 0)'
  await sql
    .raw(`delete from registration_tokens where id not in (select max(id) from registration_tokens group by ${scope})`)
    .execute(db)
  await sql.raw(`create unique index registration_tokens_by_scope on registration_tokens (${scope})`).execute(db)
}

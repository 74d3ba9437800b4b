/** Users behind the access tokens of groups belong to that group. */
import { type Kysely, sql } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  // Stays when the group goes: what its tokens have done is told of them.
  await db.schema.alterTable('users').addColumn('group_id', 'bigint').execute()
  await sql`create index users_of_groups on users (group_id) where group_id is not null`.execute(db)
}

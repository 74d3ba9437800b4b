/** The sweep over bytes without a row asks by location. */
import { type Kysely, sql } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  await sql.raw('create index artifacts_by_location on artifacts (location)').execute(db)
  await sql.raw('create index caches_by_location on caches (location)').execute(db)
}

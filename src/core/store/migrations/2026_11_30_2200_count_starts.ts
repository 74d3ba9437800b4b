/** How often the node has started since a lease's runner was last heard from: each start gives it a fresh term. */
import type { Kysely } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema
    .alterTable('leases')
    .addColumn('starts', 'integer', (c) => c.notNull().defaultTo(0))
    .execute()
}

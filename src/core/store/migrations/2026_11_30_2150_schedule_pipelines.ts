/** Which pipelines a schedule has made, so that they can be listed. */
import type { Kysely } from 'kysely'

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  await db.schema
    .createTable('schedule_pipelines')
    .addColumn('pipeline_id', 'bigint', (c) => c.primaryKey().references('pipelines.id').onDelete('cascade'))
    .addColumn('schedule_id', 'bigint', (c) => c.notNull().references('pipeline_schedules.id').onDelete('cascade'))
    .execute()
  await db.schema
    .createIndex('schedule_pipelines_by_schedule')
    .on('schedule_pipelines')
    .columns(['schedule_id', 'pipeline_id'])
    .execute()
}

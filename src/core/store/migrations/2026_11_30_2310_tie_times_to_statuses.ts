/**
 * Times that statuses imply, held by the database: a job has an end exactly if it has ended, and so has a lease. (That a
 * queued job has a lane, an offer a time to accept it by and a held lease an end of its term was so from the beginning.)
 * Rows of old that break a rule are mended first.
 */
import { type Kysely, sql } from 'kysely'

const endedJob = sql`status in ('success', 'failed', 'canceled')`
const endedLease = sql`status in ('released', 'refused', 'expired')`

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  await sql`update jobs set finished_at = null where finished_at is not null and not (${endedJob})`.execute(db)
  await sql`update jobs set finished_at = updated_at where finished_at is null and ${endedJob}`.execute(db)
  await sql`alter table jobs add constraint jobs_finished check ((finished_at is not null) = (${endedJob}))`.execute(db)

  await sql`update leases set ended_at = null where ended_at is not null and not (${endedLease})`.execute(db)
  await sql`
    update leases set ended_at = coalesce(report_at, accepted_at, offered_at)
    where ended_at is null and ${endedLease}`.execute(db)
  await sql`alter table leases add constraint leases_ended check ((ended_at is not null) = (${endedLease}))`.execute(db)
}

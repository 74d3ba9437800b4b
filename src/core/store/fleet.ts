/** What runners have in hand, and how long their jobs had waited. Nothing here is on a hot path. */
import { sql } from 'kysely'
import type { Reader } from './write.js'

/** A job that a runner has, or has been offered. */
export interface JobInHand {
  runnerId: number
  jobId: number
  name: string
  projectPath: string
  door: string
  offeredAt: number
  startedAt: number | null
}

/** All that is in hand, by job. */
export function listInHand(from: Reader): Promise<JobInHand[]> {
  return (
    from.db
      .selectFrom('leases')
      .innerJoin('jobs', 'jobs.id', 'leases.job_id')
      .innerJoin('projects', 'projects.id', 'jobs.project_id')
      .select([
        'leases.runner_id as runnerId',
        'jobs.id as jobId',
        'jobs.name',
        'projects.full_path as projectPath',
        'leases.door',
        'leases.offered_at as offeredAt',
        'jobs.started_at as startedAt',
      ])
      .where(sql<boolean>`leases.status in ('offered', 'held')`)
      // As the index of what is open has them: by its id all leases there ever were would be looked at.
      .orderBy('leases.job_id')
      .limit(2000)
      .execute()
  )
}

/** So many jobs are looked at, however many there are. */
const lookedAt = 500

/** How long those of the last `lookedAt` jobs had waited that runners have taken, in milliseconds; by runner. */
export async function listWaits(from: Reader): Promise<Map<number, number[]>> {
  const rows = await from.db
    .selectFrom('jobs')
    .select(['runner_id as runnerId', 'queued_at as queuedAt', 'started_at as startedAt'])
    .orderBy('id', 'desc')
    .limit(lookedAt)
    .execute()
  const waits = new Map<number, number[]>()
  for (const { runnerId, queuedAt, startedAt } of rows) {
    if (runnerId === null || queuedAt === null || startedAt === null) continue
    waits.set(runnerId, [...(waits.get(runnerId) ?? []), Math.max(0, startedAt - queuedAt)])
  }
  return waits
}

/** What the sweeps over stuck jobs look for: ids in order, a batch at a time, always after the last one seen. */
import { sql } from 'kysely'
import type { Reader } from './write.js'

/** How many ids a sweep takes at a time, so that its transactions stay short. */
export const sweepBatch = 100

// The list of statuses is that of the partial index, which serves a query only if it is repeated.
const alive = sql<boolean>`status in ('pending', 'running', 'canceling', 'scheduled')`

/** The next jobs with this status after `after`. */
const aliveJobs = (from: Reader, status: 'pending' | 'running' | 'canceling' | 'scheduled', after: number) =>
  from.db
    .selectFrom('jobs')
    .select('id')
    .where(alive)
    .where('status', '=', status)
    .where('id', '>', after)
    .orderBy('id')
    .limit(sweepBatch)

const idsOf = (rows: { id: number }[]) => rows.map((row) => row.id)

/** Jobs of the queue that were made, and last changed, at or before `before`. */
export async function listOldPending(from: Reader, before: number, after: number): Promise<number[]> {
  const old = aliveJobs(from, 'pending', after)
    .where('in_queue', '=', 1)
    .where('created_at', '<=', before)
    .where('updated_at', '<=', before)
  return idsOf(await old.execute())
}

/** The same, with the lane that each waits in. */
export async function listOldPendingLanes(
  from: Reader,
  before: number,
  after: number,
): Promise<{ id: number; projectId: number; demandId: number }[]> {
  return from.db
    .selectFrom('jobs')
    .innerJoin('lanes', 'lanes.id', 'jobs.lane_id')
    .select(['jobs.id', 'jobs.project_id as projectId', 'lanes.demand_id as demandId'])
    .where(alive)
    .where('jobs.status', '=', 'pending')
    .where('jobs.in_queue', '=', 1)
    .where('jobs.created_at', '<=', before)
    .where('jobs.updated_at', '<=', before)
    .where('jobs.id', '>', after)
    .orderBy('jobs.id')
    .limit(sweepBatch)
    .execute()
}

/** Jobs in this status whose request was made by hand, and whose runner was last heard from at or before `before`. */
export async function listSilentByHand(
  from: Reader,
  status: 'running' | 'canceling',
  before: number,
  after: number,
): Promise<number[]> {
  const rows = await from.db
    .selectFrom('leases')
    .innerJoin('jobs', 'jobs.id', 'leases.job_id')
    .select('jobs.id')
    .where(sql<boolean>`leases.status = 'held'`)
    .where('leases.door', '=', 'rest_by_hand')
    .where(sql<boolean>`leases.expires_at - leases.term_ms <= ${before}`)
    .where('jobs.status', '=', status)
    .where('jobs.id', '>', after)
    .orderBy('jobs.id')
    .limit(sweepBatch)
    .execute()
  return idsOf(rows)
}

/** Jobs in this status whose timeout was over at or before `before`. */
export async function listOverTimeout(
  from: Reader,
  status: 'running' | 'canceling',
  before: number,
  after: number,
): Promise<number[]> {
  const over = aliveJobs(from, status, after).where(sql<boolean>`started_at + timeout_s * 1000 <= ${before}`)
  return idsOf(await over.execute())
}

/** Delayed jobs whose time was before `before`. */
export async function listLateScheduled(from: Reader, before: number, after: number): Promise<number[]> {
  return idsOf(await aliveJobs(from, 'scheduled', after).where('scheduled_at', '<', before).execute())
}

/** A process that could take jobs: its runner's settings, and what the matcher wants to know of itself. */
export interface OnlineManager {
  runnerId: number
  managerId: number
  systemId: string
  executor: string
  platform: string
  architecture: string
  features: string
  contactedAt: number
}

/** Managers heard from after `since`, by runner. */
export function listManagersHeard(from: Reader, since: number): Promise<OnlineManager[]> {
  return from.db
    .selectFrom('runner_managers')
    .select([
      'runner_id as runnerId',
      'id as managerId',
      'system_id as systemId',
      'executor',
      'platform',
      'architecture',
      'features',
      'contacted_at as contactedAt',
    ])
    .where('contacted_at', '>', since)
    .orderBy('runner_id')
    .orderBy('id')
    .execute()
}

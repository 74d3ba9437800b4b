/** What the sweeps over stuck jobs look for: project by project, a batch at a time, always after the last one seen. */
import { sql } from 'kysely'
import { isOpenJob } from './job-classes.js'
import type { Reader } from './write.js'

/** How many ids a sweep takes at a time, so that its transactions stay short. */
export const sweepBatch = 100

/** A job that a sweep has seen, and so how far it has come. */
export interface SweptJob {
  id: number
  projectId: number
}

export const sweepStart: SweptJob = { id: 0, projectId: 0 }

/** The next jobs with this status after `after`, in the order of the index. */
const openJobs = (from: Reader, status: 'pending' | 'running' | 'canceling' | 'scheduled', after: SweptJob) =>
  from.db
    .selectFrom('jobs')
    .select(['jobs.id', 'jobs.project_id as projectId'])
    .where(isOpenJob)
    .where(sql<boolean>`jobs.status = ${sql.lit(status)}`)
    .where(sql<boolean>`(jobs.project_id, jobs.id) > (${after.projectId}, ${after.id})`)
    .orderBy('jobs.project_id')
    .orderBy('jobs.id')
    .limit(sweepBatch)

/** Jobs of the queue that were made, and last changed, at or before `before`. */
export function listOldPending(from: Reader, before: number, after: SweptJob): Promise<SweptJob[]> {
  return openJobs(from, 'pending', after)
    .where('in_queue', '=', 1)
    .where('created_at', '<=', before)
    .where('updated_at', '<=', before)
    .execute()
}

/** The same, with the lane that each waits in. */
export function listOldPendingLanes(
  from: Reader,
  before: number,
  after: SweptJob,
): Promise<(SweptJob & { demandId: number })[]> {
  return openJobs(from, 'pending', after)
    .innerJoin('lanes', 'lanes.id', 'jobs.lane_id')
    .select('lanes.demand_id as demandId')
    .where('jobs.in_queue', '=', 1)
    .where('jobs.created_at', '<=', before)
    .where('jobs.updated_at', '<=', before)
    .execute()
}

/** Jobs in this status whose request was made by hand, and whose runner was last heard from at or before `before`. */
export function listSilentByHand(
  from: Reader,
  status: 'running' | 'canceling',
  before: number,
  after: SweptJob,
): Promise<SweptJob[]> {
  return (
    from.db
      .selectFrom('leases')
      .innerJoin('jobs', 'jobs.id', 'leases.job_id')
      .select(['jobs.id', 'jobs.project_id as projectId'])
      // By the index of open leases, in its order: SQLite would begin with all jobs that there are.
      .where(sql<boolean>`leases.status in ('offered', 'held') and leases.status = 'held'`)
      .where('leases.door', '=', 'rest_by_hand')
      .where(sql<boolean>`leases.expires_at - leases.term_ms <= ${before}`)
      .where('jobs.status', '=', status)
      .where('leases.job_id', '>', after.id)
      .orderBy('leases.job_id')
      .limit(sweepBatch)
      .execute()
  )
}

/** Jobs in this status whose timeout was over at or before `before`. */
export function listOverTimeout(
  from: Reader,
  status: 'running' | 'canceling',
  before: number,
  after: SweptJob,
): Promise<SweptJob[]> {
  return openJobs(from, status, after).where(sql<boolean>`started_at + timeout_s * 1000 <= ${before}`).execute()
}

/** Delayed jobs whose time was before `before`. */
export function listLateScheduled(from: Reader, before: number, after: SweptJob): Promise<SweptJob[]> {
  return openJobs(from, 'scheduled', after).where('scheduled_at', '<', before).execute()
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

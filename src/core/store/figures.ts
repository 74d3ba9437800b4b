/** Counts for the metrics, answered by indexes: none of them reads the row of a job that has ended. */
import { sql } from 'kysely'
import { hotQuery } from './hot-query.js'
import { isOpenJob } from './job-classes.js'
import type { Reader } from './write.js'

/** A lane with queued jobs, as the metrics tell it. */
export interface WaitingLane {
  laneId: number
  /** Whether the project takes instance runners, and group runners. */
  instance: number
  group: number
  /** Whether its jobs have tags. */
  tagged: number
  jobs: number
  /** Since when its next job waits. */
  queuedAt: number
}

/** Lanes after `laneId` that have jobs waiting, in order. */
export function listWaitingLanes(from: Reader, laneId: number, limit: number): Promise<WaitingLane[]> {
  return from.all(waitingLanesAfter, { laneId, limit })
}

/** Jobs with a runner, and delayed ones. */
export function countJobsUnderWay(from: Reader): Promise<{ status: string; jobs: number }[]> {
  return from.all(jobsUnderWay, {})
}

/** Leases that are offered or held, by door. */
export function countOpenLeases(from: Reader): Promise<{ status: string; door: string; leases: number }[]> {
  return from.all(openLeases, {})
}

/** Managers that were heard from after `since`, by the type of their runner. */
export function countManagers(from: Reader, since: number): Promise<{ runnerType: string; managers: number }[]> {
  return from.all(managersHeard, { since })
}

const waitingLanesAfter = hotQuery<WaitingLane, 'laneId' | 'limit'>((db, p) => ({
  compile: () =>
    sql`
      select lanes.id as "laneId", instance_runners_enabled as "instance", group_runners_enabled as "group",
        case when demands.tags = '[]' then 0 else 1 end as "tagged", head.queued_at as "queuedAt",
        (select count(*) from jobs where jobs.lane_id = lanes.id and jobs.in_queue = 1) as "jobs"
      from lanes
      join projects on projects.id = lanes.project_id
      join demands on demands.id = lanes.demand_id
      join jobs as head on head.id = lanes.head_job_id
      where lanes.id > ${p('laneId')} order by lanes.id limit ${p('limit')}`.compile(db),
}))

const jobsUnderWay = hotQuery<{ status: string; jobs: number }, never>((db) => ({
  compile: () =>
    sql`
      select 'running' as "status", count(*) as "jobs" from jobs where ${isOpenJob} and status = 'running'
      union all
      select 'canceling', count(*) from jobs where ${isOpenJob} and status = 'canceling'
      union all
      select 'scheduled', count(*) from jobs where ${isOpenJob} and status = 'scheduled'`.compile(db),
}))

const openLeases = hotQuery<{ status: string; door: string; leases: number }, never>((db) => ({
  compile: () =>
    sql`
      select status, door, count(*) as "leases" from leases
      where status in ('offered', 'held') group by status, door`.compile(db),
}))

const managersHeard = hotQuery<{ runnerType: string; managers: number }, 'since'>((db, p) => ({
  compile: () =>
    sql`
      select runners.type as "runnerType", count(*) as "managers"
      from runner_managers join runners on runners.id = runner_managers.runner_id
      where runner_managers.contacted_at > ${p('since')} group by runners.type`.compile(db),
}))

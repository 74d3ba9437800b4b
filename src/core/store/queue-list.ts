/** The queue as people see it. Nothing here is on a hot path. */
import { sql } from 'kysely'
import type { Reader } from './write.js'

/** A job that waits for a runner. */
export interface QueuedJob {
  id: number
  name: string
  pipelineId: number
  projectId: number
  projectPath: string
  priority: number
  queuedAt: number | null
  demandId: number
}

/**
 * Jobs in the order in which instance runners take them now: of the project that has the fewest on such runners first, then by
 * priority and age (`scheduler/order.ts`).
 */
export function listQueue(from: Reader, limit: number): Promise<QueuedJob[]> {
  return from.db
    .selectFrom('jobs')
    .innerJoin('lanes', 'lanes.id', 'jobs.lane_id')
    .innerJoin('projects', 'projects.id', 'jobs.project_id')
    .select([
      'jobs.id',
      'jobs.name',
      'jobs.pipeline_id as pipelineId',
      'jobs.project_id as projectId',
      'projects.full_path as projectPath',
      'jobs.priority',
      'jobs.queued_at as queuedAt',
      'lanes.demand_id as demandId',
    ])
    .where(sql<boolean>`jobs.in_queue = 1`)
    .orderBy(sql`coalesce(lanes.instance_share, 0)`)
    .orderBy('jobs.priority', 'desc')
    .orderBy('jobs.id')
    .limit(limit)
    .execute()
}

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

/** So many jobs are put in order, however many wait: somebody who looks must not hold up those who ask for jobs. */
const mostOrdered = 10_000

/**
 * Jobs in the order in which instance runners take them now: of the project that has the fewest on such runners first, then by
 * priority and age (`scheduler/order.ts`); of more than 10,000 some only.
 */
export function listQueue(from: Reader, limit: number): Promise<QueuedJob[]> {
  return from.db
    .selectFrom((db) =>
      db
        .selectFrom('jobs')
        .selectAll()
        .where(sql<boolean>`in_queue = 1`)
        .orderBy('lane_id')
        .limit(mostOrdered)
        .as('queued'),
    )
    .innerJoin('lanes', 'lanes.id', 'queued.lane_id')
    .innerJoin('projects', 'projects.id', 'queued.project_id')
    .select([
      'queued.id',
      'queued.name',
      'queued.pipeline_id as pipelineId',
      'queued.project_id as projectId',
      'projects.full_path as projectPath',
      'queued.priority',
      'queued.queued_at as queuedAt',
      'lanes.demand_id as demandId',
    ])
    .orderBy(sql`coalesce(lanes.instance_share, 0)`)
    .orderBy('queued.priority', 'desc')
    .orderBy('queued.id')
    .limit(limit)
    .execute()
}

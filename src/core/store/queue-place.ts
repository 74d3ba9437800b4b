/** Where a job stands in the queue, and how long work takes: for people who wait. */
import { sql } from 'kysely'
import type { Reader } from './write.js'

/** The job's place in its lane: 1 is next. */
export async function placeInQueue(
  from: Reader,
  job: { id: number; laneId: number | null; priority: number },
): Promise<number> {
  if (job.laneId === null) return 1
  const row = await from.db
    .selectFrom('jobs')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where('lane_id', '=', job.laneId)
    .where(sql<boolean>`in_queue = 1`)
    .where((e) =>
      e.or([e('priority', '>', job.priority), e.and([e('priority', '=', job.priority), e('id', '<', job.id)])]),
    )
    .executeTakeFirstOrThrow()
  return Number(row.count) + 1
}

const lookedAt = 20

/** How long the project's last jobs ran, in milliseconds; undefined if none has. */
export async function meanWork(from: Reader, projectId: number): Promise<number | undefined> {
  const rows = await from.db
    .selectFrom('jobs')
    .select(['started_at as startedAt', 'finished_at as finishedAt'])
    .where('project_id', '=', projectId)
    .where('started_at', 'is not', null)
    .where('finished_at', 'is not', null)
    .orderBy('id', 'desc')
    .limit(lookedAt)
    .execute()
  if (rows.length === 0) return undefined
  return rows.reduce((sum, row) => sum + (row.finishedAt! - row.startedAt!), 0) / rows.length
}

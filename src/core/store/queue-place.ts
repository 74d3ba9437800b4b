/** Where a job stands in the queue, and how long work takes: for people who wait. */
import { sql } from 'kysely'
import { statusSets } from '../lifecycle/job-machine.js'
import { listJobs } from './job-lists.js'
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
  const filter = { projectId, statuses: statusSets.finished }
  const jobs = await listJobs(from, filter, { limit: lookedAt, offset: 0 })
  const ran = jobs.filter((job) => job.startedAt !== null)
  if (ran.length === 0) return undefined
  return ran.reduce((sum, job) => sum + (job.finishedAt! - job.startedAt!), 0) / ran.length
}

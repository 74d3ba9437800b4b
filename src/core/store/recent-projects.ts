/** The projects in which something has happened lately. */
import type { Reader } from './write.js'

/** So many pipelines are looked at, however many there are. */
const lookedAt = 500

/** Ids of projects by their newest pipelines, the newest first; those of the last `lookedAt` pipelines only. */
export async function recentProjectIds(from: Reader): Promise<number[]> {
  const rows = await from.db
    .selectFrom('pipelines')
    .select('project_id as projectId')
    .orderBy('id', 'desc')
    .limit(lookedAt)
    .execute()
  return [...new Set(rows.map((row) => row.projectId))]
}

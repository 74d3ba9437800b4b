/** Rows of heads of forks' requests, and whether somebody has let them run. */
import type { DeliveryEvent } from '../delivery.js'
import type { Page } from './page.js'
import type { Reader, Tx } from './write.js'

/** What a forge has told of a request. */
export type RequestEvent = Extract<DeliveryEvent, { kind: 'pull_request' }>

export interface ForkRequest {
  id: number
  projectId: number
  number: number
  sha: string
  event: RequestEvent
  /** `outdated`: the request has another head by now. */
  status: 'waiting' | 'approved' | 'outdated'
  approvedBy: number | null
  pipelineId: number | null
  createdAt: number
}

/** A head waits for somebody; what has waited of the same request does not any more. A head that is known stays as it is. */
export async function insertForkRequest(
  tx: Tx,
  { projectId, number, sha, event }: Pick<ForkRequest, 'projectId' | 'number' | 'sha' | 'event'>,
): Promise<ForkRequest> {
  await tx.db
    .updateTable('fork_requests')
    .set({ status: 'outdated' })
    .where('project_id', '=', projectId)
    .where('number', '=', number)
    .where('sha', '<>', sha)
    .where('status', '=', 'waiting')
    .execute()
  await tx.db
    .insertInto('fork_requests')
    .values({
      project_id: projectId,
      number,
      sha,
      event: JSON.stringify(event),
      status: 'waiting',
      approved_by: null,
      pipeline_id: null,
      created_at: tx.now,
    })
    // A head that was left and has come back waits again.
    .onConflict((c) =>
      c
        .columns(['project_id', 'number', 'sha'])
        .doUpdateSet({ status: 'waiting', event: JSON.stringify(event) })
        .where('fork_requests.status', '=', 'outdated'),
    )
    .execute()
  return toRequest(
    await tx.db
      .selectFrom('fork_requests')
      .select(columns)
      .where('project_id', '=', projectId)
      .where('number', '=', number)
      .where('sha', '=', sha)
      .executeTakeFirstOrThrow(),
  )
}

/** The newest head of a request that somebody has looked at or may look at; outdated ones are none. */
export async function findForkRequest(
  from: Reader | Tx,
  projectId: number,
  number: number,
): Promise<ForkRequest | undefined> {
  const row = await from.db
    .selectFrom('fork_requests')
    .select(columns)
    .where('project_id', '=', projectId)
    .where('number', '=', number)
    .where('status', '<>', 'outdated')
    .orderBy('status', 'desc')
    .orderBy('id', 'desc')
    .executeTakeFirst()
  return row && toRequest(row)
}

/** Lets it run, once. Returns whether it has waited until now. */
export async function approveRow(
  tx: Tx,
  id: number,
  { by, pipelineId }: { by: number | null; pipelineId: number | null },
): Promise<boolean> {
  const { numUpdatedRows } = await tx.db
    .updateTable('fork_requests')
    .set({ status: 'approved', approved_by: by, pipeline_id: pipelineId })
    .where('id', '=', id)
    .where('status', '=', 'waiting')
    .executeTakeFirstOrThrow()
  return numUpdatedRows > 0n
}

/** Newest first. */
export async function listForkRequests(from: Reader, projectId: number, page: Page): Promise<ForkRequest[]> {
  const rows = await from.db
    .selectFrom('fork_requests')
    .select(columns)
    .where('project_id', '=', projectId)
    .orderBy('id', 'desc')
    .limit(page.limit)
    .offset(page.offset)
    .execute()
  return rows.map(toRequest)
}

const columns = [
  'id',
  'project_id as projectId',
  'number',
  'sha',
  'event',
  'status',
  'approved_by as approvedBy',
  'pipeline_id as pipelineId',
  'created_at as createdAt',
] as const

const toRequest = (row: Omit<ForkRequest, 'event'> & { event: string }): ForkRequest => ({
  ...row,
  event: JSON.parse(row.event),
})

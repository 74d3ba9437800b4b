/** Rows of the repositories that projects have on forges; the token is sealed by the caller. */
import type { ForgeConnection } from '../forge.js'
import type { Reader, Tx } from './write.js'

/** Returns the project's repository on a forge; undefined: it has none. */
export function findConnection(from: Reader | Tx, projectId: number): Promise<ForgeConnection | undefined> {
  return from.db.selectFrom('forge_connections').select(columns).where('project_id', '=', projectId).executeTakeFirst()
}

/** The project that this repository of a forge is connected to. */
export function findConnectionOf(
  from: Reader | Tx,
  { baseUrl, remoteId }: Pick<ForgeConnection, 'baseUrl' | 'remoteId'>,
): Promise<ForgeConnection | undefined> {
  return from.db
    .selectFrom('forge_connections')
    .select(columns)
    .where('base_url', '=', baseUrl)
    .where('remote_id', '=', remoteId)
    .executeTakeFirst()
}

/** Projects that are connected, and until when their forge is to be left alone. */
export async function listConnected(from: Reader | Tx): Promise<Map<number, number>> {
  const rows = await from.db.selectFrom('forge_connections').select(['project_id', 'paused_until']).execute()
  return new Map(rows.map((row) => [row.project_id, row.paused_until]))
}

/** Inserts the connection, or puts it in the place of the one that the project has. */
export async function saveConnection(tx: Tx, one: ForgeConnection): Promise<void> {
  await deleteConnection(tx, one.projectId)
  await tx.db
    .insertInto('forge_connections')
    .values({
      project_id: one.projectId,
      kind: one.kind,
      base_url: one.baseUrl,
      repository: one.repository,
      remote_id: one.remoteId,
      hook_id: one.hookId,
      forks: one.forks,
      job_statuses: one.jobStatuses,
      user_id: one.userId,
      error: one.error,
      failures: one.failures,
      paused_until: one.pausedUntil,
      created_at: one.createdAt,
      sealed: one.sealed,
    })
    .execute()
}

/** What is found out about a connection as it is used. */
export type ConnectionState = Pick<
  ForgeConnection,
  'repository' | 'hookId' | 'error' | 'failures' | 'pausedUntil' | 'forks' | 'jobStatuses' | 'sealed'
>

/** Changes these fields; the others stay. */
export async function updateConnection(tx: Tx, projectId: number, given: Partial<ConnectionState>): Promise<void> {
  const set = {
    ...(given.repository === undefined ? {} : { repository: given.repository }),
    ...(given.hookId === undefined ? {} : { hook_id: given.hookId }),
    ...(given.error === undefined ? {} : { error: given.error }),
    ...(given.failures === undefined ? {} : { failures: given.failures }),
    ...(given.pausedUntil === undefined ? {} : { paused_until: given.pausedUntil }),
    ...(given.forks === undefined ? {} : { forks: given.forks }),
    ...(given.jobStatuses === undefined ? {} : { job_statuses: given.jobStatuses }),
    ...(given.sealed === undefined ? {} : { sealed: given.sealed }),
  }
  await tx.db.updateTable('forge_connections').set(set).where('project_id', '=', projectId).execute()
}

export async function deleteConnection(tx: Tx, projectId: number): Promise<void> {
  await tx.db.deleteFrom('forge_connections').where('project_id', '=', projectId).execute()
}

const columns = [
  'project_id as projectId',
  'kind',
  'base_url as baseUrl',
  'repository',
  'remote_id as remoteId',
  'hook_id as hookId',
  'forks',
  'job_statuses as jobStatuses',
  'user_id as userId',
  'error',
  'failures',
  'paused_until as pausedUntil',
  'created_at as createdAt',
  'sealed',
] as const

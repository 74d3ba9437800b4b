/**
 * What is still to be taken away: a row is written in the transaction that deletes what named the bytes, and goes when
 * they are gone. So neither a crash nor a full disk leaves bytes that nobody knows of.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Database } from './schema.js'
import type { Reader, Tx } from './write.js'

/**
 * `trace`: the log of a job, `ID.FENCE`. `artifact`, `cache`: its location. `project`, `group`: all that is left of it, by its id.
 */
export type RemovalKind = Database['removals']['kind']

/** Something that a deletion has left to be taken away after its commit. */
export interface Removal {
  id: number
  kind: RemovalKind
  place: string
}

/** Returns the rows that were made. */
export async function insertRemovals(
  tx: Tx,
  kind: RemovalKind,
  places: readonly (string | number)[],
): Promise<Removal[]> {
  if (places.length === 0) return []
  return tx.db
    .insertInto('removals')
    .values(places.map((place) => ({ kind, place: String(place) })))
    .returning(['id', 'kind', 'place'])
    .execute()
}

/** The same for the logs and artifacts of every job of a pipeline. */
export function insertRemovalsOfPipeline(tx: Tx, pipelineId: number): Promise<Removal[]> {
  return insertRemovalsWhere(tx, sql`jobs.pipeline_id = ${pipelineId}`)
}

/** The same for those of some jobs. */
export function insertRemovalsOfJobs(tx: Tx, jobIds: readonly number[]): Promise<Removal[]> {
  return insertRemovalsWhere(tx, sql`jobs.id in (${sql.join(jobIds)})`)
}

async function insertRemovalsWhere(tx: Tx, isOne: RawBuilder<unknown>): Promise<Removal[]> {
  const { rows } = await sql<Removal>`
    insert into removals (kind, place)
    select 'trace', jobs.id || '.' || jobs.fence from jobs join traces on traces.job_id = jobs.id where ${isOne}
    union all
    select 'artifact', artifacts.location from jobs join artifacts on artifacts.job_id = jobs.id where ${isOne}
    returning id, kind, place`.execute(tx.db)
  return rows
}

/** Oldest first, after an id. */
export function listRemovals(from: Reader, after: number, limit: number): Promise<Removal[]> {
  return from.db
    .selectFrom('removals')
    .select(['id', 'kind', 'place'])
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute()
}

/** Deletes the notes of removals that have been carried out. */
export async function deleteRemovals(tx: Tx, ids: readonly number[]): Promise<void> {
  if (ids.length > 0) await tx.db.deleteFrom('removals').where('id', 'in', ids).execute()
}

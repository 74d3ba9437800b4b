/** Rows of merge trains. */
import type { TrainCar, TrainKey } from '../merge-train.js'
import type { Page, Sort } from './page.js'
import type { Reader, Tx } from './write.js'

/** Which cars a list shows: `active` are those that still wait for their merge. */
export interface CarFilter {
  projectId: number
  targetBranch?: string
  scope?: 'active' | 'complete'
}

/** Returns a page of cars, by when they joined. */
export function listCars(from: Reader, filter: CarFilter, page: Page, sort: Sort): Promise<TrainCar[]> {
  return carsWhere(from, filter).select(columns).orderBy('id', sort).limit(page.limit).offset(page.offset).execute()
}

/** Returns how many cars all pages of `listCars` have. */
export async function countCars(from: Reader, filter: CarFilter): Promise<number> {
  const row = await carsWhere(from, filter)
    .select((e) => e.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

function carsWhere(from: Reader, { projectId, targetBranch, scope }: CarFilter) {
  return from.db
    .selectFrom('merge_train_cars')
    .where('project_id', '=', projectId)
    .$if(targetBranch !== undefined, (q) => q.where('target_branch', '=', targetBranch!))
    .$if(scope === 'active', (q) => q.where('status', '<>', 'merged'))
    .$if(scope === 'complete', (q) => q.where('status', '=', 'merged'))
}

/** Trains that have cars under way. */
export function listTrains(from: Reader): Promise<TrainKey[]> {
  return from.db
    .selectFrom('merge_train_cars')
    .select(['project_id as projectId', 'target_branch as targetBranch'])
    .distinct()
    .where('status', '<>', 'merged')
    .execute()
}

/** Trains into one of these branches, or with a car that comes from one. */
export function listTrainsOf(from: Reader, projectId: number, branches: readonly string[]): Promise<TrainKey[]> {
  return from.db
    .selectFrom('merge_train_cars as car')
    .innerJoin('merge_requests as request', 'request.id', 'car.merge_request_id')
    .select(['car.project_id as projectId', 'car.target_branch as targetBranch'])
    .distinct()
    .where('car.project_id', '=', projectId)
    .where('car.status', '<>', 'merged')
    .where((e) => e.or([e('car.target_branch', 'in', branches), e('request.source_branch', 'in', branches)]))
    .execute()
}

/** Returns the car of a merge request; undefined: it has never joined a train. */
export function findCarOf(from: Reader | Tx, mergeRequestId: number): Promise<TrainCar | undefined> {
  return from.db
    .selectFrom('merge_train_cars')
    .select(columns)
    .where('merge_request_id', '=', mergeRequestId)
    .executeTakeFirst()
}

/** The car under way whose pipeline it is. */
export function findCarByPipeline(
  from: Reader,
  pipeline: { id: number; projectId: number },
): Promise<TrainCar | undefined> {
  return from.db
    .selectFrom('merge_train_cars')
    .select(columns)
    .where('project_id', '=', pipeline.projectId)
    .where('status', '<>', 'merged')
    .where('pipeline_id', '=', pipeline.id)
    .executeTakeFirst()
}

/** Behind all others of its train; undefined where the request has a car already. */
export function insertCar(
  tx: Tx,
  car: Pick<TrainCar, 'projectId' | 'mergeRequestId' | 'targetBranch' | 'userId' | 'sourceSha'>,
): Promise<TrainCar | undefined> {
  return tx.db
    .insertInto('merge_train_cars')
    .values({
      project_id: car.projectId,
      merge_request_id: car.mergeRequestId,
      target_branch: car.targetBranch,
      user_id: car.userId,
      status: 'idle',
      source_sha: car.sourceSha,
      base_sha: null,
      sha: null,
      pipeline_id: null,
      created_at: tx.now,
      updated_at: tx.now,
      merged_at: null,
    })
    .onConflict((c) => c.column('merge_request_id').doNothing())
    .returning(columns)
    .executeTakeFirst()
}

/** Gives the car another pipeline. False: it is not as it was when this was decided. */
export async function placeCar(
  tx: Tx,
  car: TrainCar,
  place: { baseSha: string; sha: string; pipelineId: number },
): Promise<boolean> {
  const rows = await tx.db
    .updateTable('merge_train_cars')
    .set({
      status: 'fresh',
      base_sha: place.baseSha,
      sha: place.sha,
      pipeline_id: place.pipelineId,
      updated_at: tx.now,
    })
    .where('id', '=', car.id)
    .where('status', '=', car.status)
    .where('pipeline_id', car.pipelineId === null ? 'is' : '=', car.pipelineId)
    .returning('id')
    .execute()
  return rows.length > 0
}

/** False: it is not as it was when this was decided. */
export async function moveCar(tx: Tx, car: TrainCar, to: TrainCar['status']): Promise<boolean> {
  const rows = await tx.db
    .updateTable('merge_train_cars')
    .set({ status: to, updated_at: tx.now, ...(to === 'merged' ? { merged_at: tx.now } : {}) })
    .where('id', '=', car.id)
    .where('status', '=', car.status)
    .where('pipeline_id', car.pipelineId === null ? 'is' : '=', car.pipelineId)
    .returning('id')
    .execute()
  return rows.length > 0
}

/** Returns the pipeline of the car that is gone; undefined: it was not there, or may not go any more. */
export async function deleteCar(tx: Tx, id: number): Promise<{ pipelineId: number | null } | undefined> {
  return tx.db
    .deleteFrom('merge_train_cars')
    .where('id', '=', id)
    .where('status', 'in', ['idle', 'fresh'])
    .returning('pipeline_id as pipelineId')
    .executeTakeFirst()
}

const columns = [
  'id',
  'project_id as projectId',
  'merge_request_id as mergeRequestId',
  'target_branch as targetBranch',
  'user_id as userId',
  'status',
  'source_sha as sourceSha',
  'base_sha as baseSha',
  'sha',
  'pipeline_id as pipelineId',
  'created_at as createdAt',
  'updated_at as updatedAt',
  'merged_at as mergedAt',
] as const

/** Rows of pipeline schedules. */
import type { Reader, Tx } from './write.js'

/** A pipeline schedule, without its sealed variables. */
export interface Schedule {
  id: number
  projectId: number
  ownerId: number
  description: string
  ref: string
  cron: string
  cronTimezone: string
  active: number
  nextRunAt: number | null
  lastPipelineId: number | null
  createdAt: number
  updatedAt: number
}

const columns = [
  'id',
  'project_id as projectId',
  'owner_id as ownerId',
  'description',
  'ref',
  'cron',
  'cron_timezone as cronTimezone',
  'active',
  'next_run_at as nextRunAt',
  'last_pipeline_id as lastPipelineId',
  'created_at as createdAt',
  'updated_at as updatedAt',
] as const

/** Returns the schedule of this id; undefined: there is none. */
export function findSchedule(from: Reader | Tx, id: number): Promise<Schedule | undefined> {
  return from.db.selectFrom('pipeline_schedules').select(columns).where('id', '=', id).executeTakeFirst()
}

/** Schedules of a project, oldest first. */
export function listSchedules(
  from: Reader,
  filter: { projectId: number; active?: boolean },
  page: { limit: number; offset: number },
): Promise<Schedule[]> {
  return from.db
    .selectFrom('pipeline_schedules')
    .select(columns)
    .where('project_id', '=', filter.projectId)
    .$if(filter.active !== undefined, (q) => q.where('active', '=', filter.active ? 1 : 0))
    .orderBy('id')
    .limit(page.limit)
    .offset(page.offset)
    .execute()
}

/** The active schedules of a user, oldest first. */
export function listActiveSchedulesOf(tx: Tx, ownerId: number): Promise<Schedule[]> {
  return tx.db
    .selectFrom('pipeline_schedules')
    .select(columns)
    .where('owner_id', '=', ownerId)
    .where('active', '=', 1)
    .orderBy('id')
    .execute()
}

/** Ids of active schedules whose time has come. */
export async function listDueSchedules(from: Reader, now: number): Promise<number[]> {
  const rows = await from.db
    .selectFrom('pipeline_schedules')
    .select('id')
    .where('active', '=', 1)
    .where('next_run_at', '<=', now)
    .orderBy('id')
    .execute()
  return rows.map((row) => row.id)
}

/** What is said of a schedule as it is made; `variables` are sealed. */
export type NewSchedule = Pick<
  Schedule,
  'projectId' | 'ownerId' | 'description' | 'ref' | 'cron' | 'cronTimezone' | 'active' | 'nextRunAt'
> & { variables: Uint8Array }

/** Inserts a schedule. Returns it with its id. */
export async function insertSchedule(tx: Tx, schedule: NewSchedule): Promise<Schedule> {
  const { id } = await tx.db
    .insertInto('pipeline_schedules')
    .values({
      project_id: schedule.projectId,
      owner_id: schedule.ownerId,
      description: schedule.description,
      ref: schedule.ref,
      cron: schedule.cron,
      cron_timezone: schedule.cronTimezone,
      active: schedule.active,
      variables: schedule.variables,
      next_run_at: schedule.nextRunAt,
      last_pipeline_id: null,
      created_at: tx.now,
      updated_at: tx.now,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return (await findSchedule(tx, id))!
}

/** What may be changed of a schedule; what is absent stays. */
export type ScheduleChanges = Partial<
  Pick<
    Schedule,
    'ownerId' | 'description' | 'ref' | 'cron' | 'cronTimezone' | 'active' | 'nextRunAt' | 'lastPipelineId'
  >
> & { variables?: Uint8Array }

const changeColumns: Record<keyof ScheduleChanges, string> = {
  ownerId: 'owner_id',
  description: 'description',
  ref: 'ref',
  cron: 'cron',
  cronTimezone: 'cron_timezone',
  active: 'active',
  nextRunAt: 'next_run_at',
  lastPipelineId: 'last_pipeline_id',
  variables: 'variables',
}

/** Changes what is given, and leaves the rest as it is. */
export async function saveSchedule(tx: Tx, id: number, changes: ScheduleChanges): Promise<void> {
  const set = Object.fromEntries(
    Object.entries(changes).flatMap(([field, value]) =>
      value === undefined ? [] : [[changeColumns[field as keyof ScheduleChanges], value]],
    ),
  )
  if (Object.keys(set).length > 0) {
    await tx.db
      .updateTable('pipeline_schedules')
      .set({ ...set, updated_at: tx.now })
      .where('id', '=', id)
      .execute()
  }
}

/** Moves a schedule's next run, if it is still the one that was seen. Returns whether it was. */
export async function moveSchedule(tx: Tx, id: number, seen: number, next: number | null): Promise<boolean> {
  const rows = await tx.db
    .updateTable('pipeline_schedules')
    .set({ next_run_at: next })
    .where('id', '=', id)
    .where('next_run_at', '=', seen)
    .where('active', '=', 1)
    .returning('id')
    .execute()
  return rows.length > 0
}

/** Notes that a schedule has made a pipeline: its last one. */
export async function insertScheduledPipeline(tx: Tx, scheduleId: number, pipelineId: number): Promise<void> {
  await tx.db.insertInto('schedule_pipelines').values({ schedule_id: scheduleId, pipeline_id: pipelineId }).execute()
  await saveSchedule(tx, scheduleId, { lastPipelineId: pipelineId })
}

/** Returns the sealed variables; undefined: there is no such schedule. */
export async function findScheduleVariables(from: Reader | Tx, id: number): Promise<Uint8Array | undefined> {
  const row = await from.db.selectFrom('pipeline_schedules').select('variables').where('id', '=', id).executeTakeFirst()
  return row?.variables
}

/** Deletes the schedule with its variables. Pipelines that it made stay. */
export async function deleteSchedule(tx: Tx, id: number): Promise<void> {
  await tx.db.deleteFrom('pipeline_schedules').where('id', '=', id).execute()
}

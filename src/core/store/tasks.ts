/** Rows of background tasks. */
import type { Reader, Tx } from './write.js'

/** A background task with its times, in milliseconds since 1970. */
export interface TaskRow {
  name: string
  paused: number
  intervalMs: number
  /** A cron expression in UTC; null: it runs every `intervalMs`, or not by itself. */
  cron: string | null
  lastRunAt: number | null
  nextRunAt: number | null
  lastDurationMs: number | null
  lastResult: string | null
}

/** Makes the row of a task, or gives it the times that this version has; whether it is paused stays. */
export async function ensureTask(
  tx: Tx,
  task: { name: string; intervalMs: number; cron: string | null; next: number | null },
): Promise<void> {
  const times = { interval_ms: task.intervalMs, cron: task.cron, next_run_at: task.next }
  await tx.db
    .insertInto('background_tasks')
    .values({ name: task.name, paused: 0, ...times })
    .onConflict((c) => c.column('name').doUpdateSet(times))
    .execute()
}

/** Sets when a task runs next. */
export async function saveTaskNext(tx: Tx, name: string, at: number): Promise<void> {
  await tx.db.updateTable('background_tasks').set({ next_run_at: at }).where('name', '=', name).execute()
}

/** Returns every task that has a row, also those that this version no longer has. */
export function listTasks(from: Reader): Promise<TaskRow[]> {
  return from.db
    .selectFrom('background_tasks')
    .select([
      'name',
      'paused',
      'interval_ms as intervalMs',
      'cron',
      'last_run_at as lastRunAt',
      'next_run_at as nextRunAt',
      'last_duration_ms as lastDurationMs',
      'last_result as lastResult',
    ])
    .orderBy('name')
    .execute()
}

/** Keeps over restarts whether a task is paused. */
export async function saveTaskPaused(tx: Tx, name: string, paused: boolean): Promise<void> {
  await tx.db
    .updateTable('background_tasks')
    .set({ paused: paused ? 1 : 0 })
    .where('name', '=', name)
    .execute()
}

/** Keeps when a task last ran, for how long, and what it says of it. */
export async function saveTaskRun(
  tx: Tx,
  name: string,
  run: { at: number; durationMs: number; result: string; nextAt: number | null },
): Promise<void> {
  await tx.db
    .updateTable('background_tasks')
    .set({ last_run_at: run.at, last_duration_ms: run.durationMs, last_result: run.result, next_run_at: run.nextAt })
    .where('name', '=', name)
    .execute()
}

/** Rows of background tasks. */
import type { Reader, Tx } from './write.js'

export interface TaskRow {
  name: string
  paused: number
  intervalMs: number
  lastRunAt: number | null
  nextRunAt: number | null
  lastDurationMs: number | null
  lastResult: string | null
}

export async function ensureTask(tx: Tx, name: string, intervalMs: number): Promise<void> {
  await tx.db
    .insertInto('background_tasks')
    .values({ name, paused: 0, interval_ms: intervalMs })
    .onConflict((c) => c.column('name').doUpdateSet({ interval_ms: intervalMs }))
    .execute()
}

export function listTasks(from: Reader): Promise<TaskRow[]> {
  return from.db
    .selectFrom('background_tasks')
    .select([
      'name',
      'paused',
      'interval_ms as intervalMs',
      'last_run_at as lastRunAt',
      'next_run_at as nextRunAt',
      'last_duration_ms as lastDurationMs',
      'last_result as lastResult',
    ])
    .orderBy('name')
    .execute()
}

export async function saveTaskPaused(tx: Tx, name: string, paused: boolean): Promise<void> {
  await tx.db
    .updateTable('background_tasks')
    .set({ paused: paused ? 1 : 0 })
    .where('name', '=', name)
    .execute()
}

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

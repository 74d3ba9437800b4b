/**
 * The conditions of the partial indexes on jobs. An engine uses such an index only for a query that repeats its condition
 * word for word, so they stand here once.
 */
import { sql } from 'kysely'
import type { JobStatus } from '../lifecycle/job-machine.js'

/** Jobs that may still change by themselves: `jobs_open`, by status, project and id. */
export const isOpenJob = sql<boolean>`jobs.status in ('created', 'waiting_for_resource', 'preparing',
  'waiting_for_callback', 'pending', 'running', 'canceling', 'scheduled')`

/** The others, nearly all of a history: `jobs_over`, by project, status and id. */
export const isOverJob = sql<boolean>`jobs.status in ('success', 'failed', 'canceled', 'skipped', 'manual')`

/** Jobs that a runner has finished: `jobs_by_runner`, `jobs_by_manager`. */
export const isFinishedJob = sql<boolean>`jobs.status in ('success', 'failed', 'canceled')`

/** The condition that a job of this status fulfills, and whose index finds it within a project. */
export function classOf(status: JobStatus) {
  return over.includes(status) ? isOverJob : isOpenJob
}

const over: readonly JobStatus[] = ['success', 'failed', 'canceled', 'skipped', 'manual']

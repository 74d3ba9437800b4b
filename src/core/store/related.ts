/** What a list of jobs or pipelines refers to, read in one query a kind instead of one a row. */
import { sql } from 'kysely'
import type { JobPlan } from '../ci-config/job-definition.js'
import type { Environment } from '../environment.js'
import type { Job } from '../job.js'
import type { Pipeline } from '../pipeline.js'
import type { Group, Project } from '../project.js'
import type { Runner, RunnerManager } from '../runner.js'
import { groupColumns, jobColumns, managerColumns, pipelineColumns, projectColumns, runnerColumns } from './columns.js'
import { environmentColumns } from './environments.js'
import { type User, userColumns } from './users.js'
import type { Reader, Tx } from './write.js'

type Ids = readonly (number | null)[]

function known(ids: Ids): number[] {
  return [...new Set(ids.filter((id) => id !== null))]
}

async function byId<Row extends { id: number }>(
  ids: Ids,
  query: (ids: number[]) => Promise<Row[]>,
): Promise<Map<number, Row>> {
  const wanted = known(ids)
  return new Map((wanted.length === 0 ? [] : await query(wanted)).map((row) => [row.id, row]))
}

/** Pipelines by their ids; those that are not there are not in the map. So with the others. */
export function pipelinesById(from: Reader, ids: Ids): Promise<Map<number, Pipeline>> {
  return byId(ids, (wanted) =>
    from.db.selectFrom('pipelines').select(pipelineColumns).where('id', 'in', wanted).execute(),
  )
}

/** Projects by their ids. */
export function projectsById(from: Reader, ids: Ids): Promise<Map<number, Project>> {
  return byId(ids, (wanted) =>
    from.db.selectFrom('projects').select(projectColumns).where('id', 'in', wanted).execute(),
  )
}

/** Groups by their ids. */
export function groupsById(from: Reader, ids: Ids): Promise<Map<number, Group>> {
  return byId(ids, (wanted) => from.db.selectFrom('groups').select(groupColumns).where('id', 'in', wanted).execute())
}

/** Runners by their ids; deleted ones are missing. */
export function runnersById(from: Reader, ids: Ids): Promise<Map<number, Runner>> {
  return byId(ids, (wanted) => from.db.selectFrom('runners').select(runnerColumns).where('id', 'in', wanted).execute())
}

/** Managers by their ids; deleted ones are missing. */
export function managersById(from: Reader, ids: Ids): Promise<Map<number, RunnerManager>> {
  return byId(ids, (wanted) =>
    from.db.selectFrom('runner_managers').select(managerColumns).where('id', 'in', wanted).execute(),
  )
}

/** Jobs by their ids. */
export function jobsById(from: Reader, ids: Ids): Promise<Map<number, Job>> {
  return byId(ids, (wanted) => from.db.selectFrom('jobs').select(jobColumns).where('id', 'in', wanted).execute())
}

/** Environments by their ids. */
export function environmentsById(from: Reader, ids: Ids): Promise<Map<number, Environment>> {
  return byId(ids, (wanted) =>
    from.db.selectFrom('environments').select(environmentColumns).where('id', 'in', wanted).execute(),
  )
}

/** The pipelines that trigger jobs made, by the ids of these. */
export async function pipelinesBySource(from: Reader, jobIds: Ids): Promise<Map<number, Pipeline>> {
  const wanted = known(jobIds)
  if (wanted.length === 0) return new Map()
  const rows = await from.db
    .selectFrom('pipelines')
    .select(pipelineColumns)
    .where('source_job_id', 'in', wanted)
    .where('source_job_id', 'is not', null)
    .execute()
  return new Map(rows.map((row) => [row.sourceJobId!, row]))
}

/** Users by their ids. */
export function usersById(from: Reader | Tx, ids: Ids): Promise<Map<number, User>> {
  return byId(ids, (wanted) => from.db.selectFrom('users').select(userColumns).where('id', 'in', wanted).execute())
}

/** What jobs do, by the id of their definition. */
export async function definitionsById(from: Reader, ids: Ids): Promise<Map<number, JobPlan>> {
  const rows = await byId(ids, (wanted) =>
    from.db.selectFrom('job_definitions').select(['id', 'body']).where('id', 'in', wanted).execute(),
  )
  return new Map([...rows].map(([id, row]) => [id, JSON.parse(row.body)]))
}

/** The newest manager of each runner: what `version`, `platform` and the like of a runner mean. */
export async function newestManagers(from: Reader, runnerIds: Ids): Promise<Map<number, RunnerManager>> {
  const wanted = known(runnerIds)
  if (wanted.length === 0) return new Map()
  const rows = await from.db
    .selectFrom('runner_managers')
    .select(managerColumns)
    .where('runner_id', 'in', wanted)
    .orderBy('contacted_at')
    .orderBy('id')
    .execute()
  return new Map(rows.map((row) => [row.runnerId, row]))
}

/** Those of the runners that have a job. */
export async function busyRunners(from: Reader, runnerIds: Ids): Promise<Set<number>> {
  const wanted = known(runnerIds)
  if (wanted.length === 0) return new Set()
  const rows = await from.db
    .selectFrom('runner_managers')
    .select('runner_id')
    .where('runner_id', 'in', wanted)
    .where(hasJob)
    .distinct()
    .execute()
  return new Set(rows.map((row) => row.runner_id))
}

/** Those of the managers that have a job. */
export async function busyManagers(from: Reader, managerIds: Ids): Promise<Set<number>> {
  const wanted = known(managerIds)
  if (wanted.length === 0) return new Set()
  const rows = await from.db
    .selectFrom('runner_managers')
    .select('id')
    .where('id', 'in', wanted)
    .where(hasJob)
    .execute()
  return new Set(rows.map((row) => row.id))
}

// The first condition is the one of the index.
const hasJob = sql<boolean>`exists (
  select 1 from leases
  where manager_id = runner_managers.id and status in ('offered', 'held') and status = 'held'
)`

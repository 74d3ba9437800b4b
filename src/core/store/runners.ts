/** Rows of runners and their managers. */
import { sql } from 'kysely'
import { SignalboxError } from '../errors.js'
import type { ManagerInfo, Runner, RunnerManager } from '../runner.js'
import { managerColumns, runnerColumns } from './columns.js'
import { hotQuery } from './hot-query.js'
import type { Reader, Tx } from './write.js'

/** Returns the runner of this id; undefined: there is none. */
export function findRunner(from: Reader | Tx, id: number): Promise<Runner | undefined> {
  return from.first(runnerById, { id })
}

/** The runner; throws `not_found`. */
export async function getRunner(from: Reader | Tx, id: number): Promise<Runner> {
  const runner = await findRunner(from, id)
  if (!runner) throw new SignalboxError('not_found', `no runner ${id}`)
  return runner
}

/** Returns the runner by the hash of its token, expired ones too: who asks decides what that means. */
export function findRunnerByToken(from: Reader | Tx, tokenHash: string): Promise<Runner | undefined> {
  return from.first(runnerByToken, { hash: tokenHash })
}

/** Returns a page of all runners, the newest first. */
export function listRunners(from: Reader, page: { limit: number; offset: number }): Promise<Runner[]> {
  return from.db
    .selectFrom('runners')
    .select(runnerColumns)
    .orderBy('id', 'desc')
    .limit(page.limit)
    .offset(page.offset)
    .execute()
}

/** The projects that a project runner serves, or the groups of a group runner. */
export async function runnerScope(
  from: Reader | Tx,
  runnerId: number,
): Promise<{ projectIds: number[]; groupIds: number[] }> {
  const projects = await from.all(projectsOfRunner, { runnerId })
  const groups = await from.all(groupsOfRunner, { runnerId })
  return { projectIds: projects.map((row) => row.id), groupIds: groups.map((row) => row.id) }
}

/** What is said of a runner as it is made, with the project or group that it belongs to. */
export type NewRunner = Omit<Runner, 'id' | 'createdAt' | 'contactedAt'> & { projectId?: number; groupId?: number }

/** Inserts a runner and what it belongs to. */
export async function insertRunner(tx: Tx, runner: NewRunner): Promise<Runner> {
  const { id } = await tx.db
    .insertInto('runners')
    .values({
      type: runner.type,
      token_hash: runner.tokenHash,
      token_hint: runner.tokenHint,
      token_expires_at: runner.tokenExpiresAt,
      registered: runner.registered,
      description: runner.description,
      maintenance_note: runner.maintenanceNote,
      active: runner.active,
      locked: runner.locked,
      run_untagged: runner.runUntagged,
      protected_only: runner.protectedOnly,
      tags: runner.tags,
      maximum_timeout_s: runner.maximumTimeoutS,
      job_limit: runner.jobLimit,
      created_at: tx.now,
      contacted_at: null,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  if (runner.projectId !== undefined) {
    await tx.db.insertInto('runner_projects').values({ runner_id: id, project_id: runner.projectId }).execute()
  }
  if (runner.groupId !== undefined) {
    await tx.db.insertInto('runner_groups').values({ runner_id: id, group_id: runner.groupId }).execute()
  }
  return getRunner(tx, id)
}

/** Enables a project runner for a project. Safe to repeat. */
export async function addRunnerProject(tx: Tx, runnerId: number, projectId: number): Promise<void> {
  await tx.db
    .insertInto('runner_projects')
    .values({ runner_id: runnerId, project_id: projectId })
    .onConflict((c) => c.columns(['runner_id', 'project_id']).doNothing())
    .execute()
}

/** Takes the runner from a project; it goes on serving its others. */
export async function removeRunnerProject(tx: Tx, runnerId: number, projectId: number): Promise<void> {
  await tx.db
    .deleteFrom('runner_projects')
    .where('runner_id', '=', runnerId)
    .where('project_id', '=', projectId)
    .execute()
}

/**
 * Whether the runner has as many open leases as it may have. Holds its row until the end of the transaction, so that two
 * of its managers do not both take the last place.
 */
export async function isFull(tx: Tx, runnerId: number, limit: number): Promise<boolean> {
  if (tx.engine === 'postgres') {
    await tx.db.selectFrom('runners').select('id').where('id', '=', runnerId).forUpdate().execute()
  }
  const row = await tx.db
    .selectFrom('leases')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where('runner_id', '=', runnerId)
    .where(sql<boolean>`status in ('offered', 'held')`)
    .executeTakeFirstOrThrow()
  return Number(row.count) >= limit
}

/** What may be changed of a runner; what is absent stays. */
export interface RunnerChanges {
  description?: string
  maintenanceNote?: string | null
  active?: number
  locked?: number
  runUntagged?: number
  protectedOnly?: number
  tags?: string
  maximumTimeoutS?: number | null
  jobLimit?: number | null
  tokenHash?: string
  tokenHint?: string
}

/** Changes a runner and gives it as it is now. Throws `not_found`. */
export async function updateRunner(tx: Tx, id: number, changes: RunnerChanges): Promise<Runner> {
  const set = Object.fromEntries(
    Object.entries(changes).flatMap(([field, value]) =>
      value === undefined ? [] : [[changeColumns[field as keyof RunnerChanges], value]],
    ),
  )
  if (Object.keys(set).length > 0) await tx.db.updateTable('runners').set(set).where('id', '=', id).execute()
  return getRunner(tx, id)
}

const changeColumns: Record<keyof RunnerChanges, string> = {
  description: 'description',
  maintenanceNote: 'maintenance_note',
  active: 'active',
  locked: 'locked',
  runUntagged: 'run_untagged',
  protectedOnly: 'protected_only',
  tags: 'tags',
  maximumTimeoutS: 'maximum_timeout_s',
  jobLimit: 'job_limit',
  tokenHash: 'token_hash',
  tokenHint: 'token_hint',
}

/** Deletes a runner with its managers. Its leases stay: what runs goes on. */
export async function deleteRunner(tx: Tx, id: number): Promise<void> {
  await tx.db.deleteFrom('runners').where('id', '=', id).execute()
}

/** Deletes one manager. Returns whether there was one. */
export async function deleteManager(tx: Tx, runnerId: number, systemId: string): Promise<boolean> {
  const rows = await tx.db
    .deleteFrom('runner_managers')
    .where('runner_id', '=', runnerId)
    .where('system_id', '=', systemId)
    .returning('id')
    .execute()
  return rows.length > 0
}

/** Returns the manager that a runner has under this system id, which its machine chose. */
export function findManager(from: Reader | Tx, runnerId: number, systemId: string): Promise<RunnerManager | undefined> {
  return from.first(managerByIdentity, { runnerId, systemId })
}

/** Returns the manager of this id; undefined: there is none. */
export function findManagerById(from: Reader | Tx, id: number): Promise<RunnerManager | undefined> {
  return from.first(managerById, { id })
}

/** Lets no other transaction hold the manager until this one has ended. */
export async function holdManager(tx: Tx, id: number): Promise<void> {
  if (tx.engine === 'postgres') await tx.all(heldManager, { id })
}

/** Jobs that the runner has or has been offered. */
export async function countOpenLeasesOf(from: Reader, runnerId: number): Promise<number> {
  const row = await from.db
    .selectFrom('leases')
    .select((e) => e.fn.countAll<number | string>().as('count'))
    .where('runner_id', '=', runnerId)
    .where(sql<boolean>`status in ('offered', 'held')`)
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** Returns all managers of a runner, the oldest first. */
export function listManagers(from: Reader, runnerId: number): Promise<RunnerManager[]> {
  return from.db
    .selectFrom('runner_managers')
    .select(managerColumns)
    .where('runner_id', '=', runnerId)
    .orderBy('id')
    .execute()
}

/**
 * A runner by its token and one of its managers, as a text that changes with whatever changes in their rows: all settings
 * of the runner, and the time of the manager's contact, which is written with everything else of it. For polls: most find
 * what they found before, and a text is read in a third of the time of the rows.
 */
export function findPollerStamp(
  from: Reader,
  tokenHash: string,
  systemId: string,
): Promise<{ stamp: string; contactedAt: number } | undefined> {
  return from.first(pollerStamp, { hash: tokenHash, systemId })
}

/** Writes what a manager says of itself, and that it was heard now. Makes its row at the first contact. */
export async function saveManager(tx: Tx, runnerId: number, info: ManagerInfo): Promise<RunnerManager> {
  const row = {
    runner_id: runnerId,
    system_id: info.systemId,
    name: info.name,
    version: info.version,
    revision: info.revision,
    platform: info.platform,
    architecture: info.architecture,
    executor: info.executor,
    features: JSON.stringify(info.features),
    // Where it came from may not be known; then what was known before stays.
    ...(info.ipAddress === null ? {} : { ip_address: info.ipAddress }),
    contacted_at: tx.now,
  }
  await tx.db
    .insertInto('runner_managers')
    .values({ ...row, created_at: tx.now })
    .onConflict((c) => c.columns(['runner_id', 'system_id']).doUpdateSet(row))
    .execute()
  await tx.db.updateTable('runners').set({ contacted_at: tx.now }).where('id', '=', runnerId).execute()
  const manager = await findManager(tx, runnerId, info.systemId)
  return manager!
}

/** Notes that a manager and its runner were heard now. */
export async function saveContact(tx: Tx, runnerId: number, managerId: number): Promise<void> {
  await tx.all(contactRunner, { id: runnerId, now: tx.now })
  await tx.all(contactManager, { id: managerId, now: tx.now })
}

const runnerById = hotQuery<Runner, 'id'>((db, p) =>
  db.selectFrom('runners').select(runnerColumns).where('id', '=', p('id')),
)
const runnerByToken = hotQuery<Runner, 'hash'>((db, p) =>
  db.selectFrom('runners').select(runnerColumns).where('token_hash', '=', p('hash')),
)
const projectsOfRunner = hotQuery<{ id: number }, 'runnerId'>((db, p) =>
  db.selectFrom('runner_projects').select('project_id as id').where('runner_id', '=', p('runnerId')),
)
const groupsOfRunner = hotQuery<{ id: number }, 'runnerId'>((db, p) =>
  db.selectFrom('runner_groups').select('group_id as id').where('runner_id', '=', p('runnerId')),
)
const managerByIdentity = hotQuery<RunnerManager, 'runnerId' | 'systemId'>((db, p) =>
  db
    .selectFrom('runner_managers')
    .select(managerColumns)
    .where('runner_id', '=', p('runnerId'))
    .where('system_id', '=', p('systemId')),
)
const managerById = hotQuery<RunnerManager, 'id'>((db, p) =>
  db.selectFrom('runner_managers').select(managerColumns).where('id', '=', p('id')),
)
const heldManager = hotQuery<{ id: number }, 'id'>((db, p) =>
  db.selectFrom('runner_managers').select('id').where('id', '=', p('id')).forUpdate(),
)
const contactRunner = hotQuery<never, 'id' | 'now'>((db, p) =>
  db
    .updateTable('runners')
    .set({ contacted_at: p('now') })
    .where('id', '=', p('id')),
)
const contactManager = hotQuery<never, 'id' | 'now'>((db, p) =>
  db
    .updateTable('runner_managers')
    .set({ contacted_at: p('now') })
    .where('id', '=', p('id')),
)

const pollerStamp = hotQuery<{ stamp: string; contactedAt: number }, 'hash' | 'systemId'>((db, p) => ({
  compile: () =>
    sql`
      select runner_managers.contacted_at as "contactedAt", concat_ws('|',
        runners.id, runner_managers.id, runner_managers.contacted_at, active, locked, run_untagged, protected_only,
        coalesce(token_expires_at, -1), coalesce(maximum_timeout_s, -1), coalesce(job_limit, -1), tags, description) as stamp
      from runners join runner_managers on runner_managers.runner_id = runners.id
      where token_hash = ${p('hash')} and system_id = ${p('systemId')}`.compile(db),
}))

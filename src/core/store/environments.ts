/** Rows of environments, their protection, and deployments. */
import { sql } from 'kysely'
import type { Deployment, DeploymentStatus, Environment, EnvironmentState } from '../environment.js'
import type { Reader, Tx } from './write.js'

/** The columns of an `Environment`. */
export const environmentColumns = [
  'id',
  'project_id as projectId',
  'name',
  'slug',
  'tier',
  'external_url as externalUrl',
  'description',
  'state',
  'auto_stop_at as autoStopAt',
  'created_at as createdAt',
  'updated_at as updatedAt',
] as const

const deploymentColumns = [
  'id',
  'project_id as projectId',
  'environment_id as environmentId',
  'job_id as jobId',
  'iid',
  'ref',
  'tag',
  'sha',
  'user_id as userId',
  'on_stop as onStop',
  'status',
  'created_at as createdAt',
  'updated_at as updatedAt',
  'finished_at as finishedAt',
] as const

/** Returns the environment, stopped ones too. */
export function findEnvironment(from: Reader | Tx, id: number): Promise<Environment | undefined> {
  return from.db.selectFrom('environments').select(environmentColumns).where('id', '=', id).executeTakeFirst()
}

/** Returns the environment by its name, of which a project has one. */
export function findEnvironmentByName(
  from: Reader | Tx,
  projectId: number,
  name: string,
): Promise<Environment | undefined> {
  return from.db
    .selectFrom('environments')
    .select(environmentColumns)
    .where('project_id', '=', projectId)
    .where('name', '=', name)
    .executeTakeFirst()
}

/** Which environments of a project a list shows. */
export interface EnvironmentFilter {
  projectId: number
  name?: string
  search?: string
  state?: EnvironmentState
}

/** Environments of a project, by name. */
export function listEnvironments(
  from: Reader,
  { projectId, name, search, state }: EnvironmentFilter,
  page: { limit: number; offset: number },
): Promise<Environment[]> {
  return from.db
    .selectFrom('environments')
    .select(environmentColumns)
    .where('project_id', '=', projectId)
    .$if(name !== undefined, (q) => q.where('name', '=', name!))
    .$if(state !== undefined, (q) => q.where('state', '=', state!))
    .$if(search !== undefined, (q) =>
      q.where(sql<boolean>`replace(lower(name), ${search?.toLowerCase()}, '') <> lower(name)`),
    )
    .orderBy('name')
    .limit(page.limit)
    .offset(page.offset)
    .execute()
}

/** Ids of environments whose time to be stopped has come. */
export async function listExpiredEnvironments(from: Reader, now: number): Promise<number[]> {
  const rows = await from.db
    .selectFrom('environments')
    .select('id')
    // The first condition is the one of the index.
    .where(sql<boolean>`auto_stop_at is not null and state <> 'stopped'`)
    .where('auto_stop_at', '<=', now)
    .where('state', '=', 'available')
    .orderBy('id')
    .execute()
  return rows.map((row) => row.id)
}

/** The environment of that name, made if it is new. */
export async function ensureEnvironment(
  tx: Tx,
  wanted: Pick<Environment, 'projectId' | 'name' | 'slug' | 'tier'> &
    Partial<Pick<Environment, 'externalUrl' | 'description'>>,
): Promise<Environment> {
  await tx.db
    .insertInto('environments')
    .values({
      project_id: wanted.projectId,
      name: wanted.name,
      slug: wanted.slug,
      tier: wanted.tier,
      external_url: wanted.externalUrl ?? null,
      description: wanted.description ?? null,
      state: 'available',
      auto_stop_at: null,
      created_at: tx.now,
      updated_at: tx.now,
    })
    .onConflict((c) => c.columns(['project_id', 'name']).doNothing())
    .execute()
  return (await findEnvironmentByName(tx, wanted.projectId, wanted.name))!
}

/** Changes what is given, and leaves the rest as it is. */
export async function saveEnvironment(
  tx: Tx,
  id: number,
  changes: Partial<Pick<Environment, 'state' | 'externalUrl' | 'autoStopAt' | 'tier' | 'description'>>,
): Promise<void> {
  await tx.db
    .updateTable('environments')
    .set({
      updated_at: tx.now,
      ...(changes.state === undefined ? {} : { state: changes.state }),
      ...(changes.externalUrl === undefined ? {} : { external_url: changes.externalUrl }),
      ...(changes.autoStopAt === undefined ? {} : { auto_stop_at: changes.autoStopAt }),
      ...(changes.tier === undefined ? {} : { tier: changes.tier }),
      ...(changes.description === undefined ? {} : { description: changes.description }),
    })
    .where('id', '=', id)
    .execute()
}

/** Deletes an environment with its deployments. */
export async function deleteEnvironment(tx: Tx, id: number): Promise<void> {
  await tx.db.deleteFrom('deployments').where('environment_id', '=', id).execute()
  await tx.db.deleteFrom('environments').where('id', '=', id).execute()
}

/** The deployment of a job, made if it has none; the job's pipeline is locked. */
export async function ensureDeployment(
  tx: Tx,
  wanted: Pick<Deployment, 'projectId' | 'environmentId' | 'jobId' | 'ref' | 'tag' | 'sha' | 'userId' | 'onStop'>,
): Promise<Deployment> {
  const known = await findDeploymentOf(tx, wanted.jobId)
  if (known) return known
  // Numbers are the project's: one transaction at a time takes the next.
  if (tx.engine === 'postgres') {
    await tx.db.selectFrom('projects').select('id').where('id', '=', wanted.projectId).forUpdate().execute()
  }
  await tx.db
    .insertInto('deployments')
    .values({
      project_id: wanted.projectId,
      environment_id: wanted.environmentId,
      job_id: wanted.jobId,
      iid: sql<number>`(select coalesce(max(iid), 0) + 1 from deployments as others where others.project_id = ${wanted.projectId})`,
      ref: wanted.ref,
      tag: wanted.tag,
      sha: wanted.sha,
      user_id: wanted.userId,
      on_stop: wanted.onStop,
      status: 'created',
      created_at: tx.now,
      updated_at: tx.now,
      finished_at: null,
    })
    .execute()
  return (await findDeploymentOf(tx, wanted.jobId))!
}

/** Returns the deployment that the job makes; undefined: it makes none. */
export function findDeploymentOf(from: Reader | Tx, jobId: number): Promise<Deployment | undefined> {
  return from.db.selectFrom('deployments').select(deploymentColumns).where('job_id', '=', jobId).executeTakeFirst()
}

/** Returns the deployment of this id; undefined: there is none. */
export function findDeployment(from: Reader | Tx, id: number): Promise<Deployment | undefined> {
  return from.db.selectFrom('deployments').select(deploymentColumns).where('id', '=', id).executeTakeFirst()
}

/** The newest deployment of an environment, of this status if one is given. */
export function findLastDeployment(
  from: Reader | Tx,
  environmentId: number,
  status?: DeploymentStatus,
): Promise<Deployment | undefined> {
  return from.db
    .selectFrom('deployments')
    .select(deploymentColumns)
    .where('environment_id', '=', environmentId)
    .$if(status !== undefined, (q) => q.where('status', '=', status!))
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
}

/** Writes how far a deployment is; with a status that ends it, its end is now. */
export async function saveDeploymentStatus(tx: Tx, id: number, status: DeploymentStatus): Promise<void> {
  const ended = status === 'success' || status === 'failed' || status === 'canceled'
  await tx.db
    .updateTable('deployments')
    .set({ status, updated_at: tx.now, ...(ended ? { finished_at: tx.now } : {}) })
    .where('id', '=', id)
    .execute()
}

/** Deployments of a project, or of one of its environments, in the order in which they were made. */
export async function listDeployments(
  from: Reader,
  filter: { projectId: number; environment?: string; status?: DeploymentStatus },
  page: { limit: number; offset: number },
  sort: 'asc' | 'desc',
): Promise<Deployment[]> {
  const { projectId, environment, status } = filter
  const query = from.db
    .selectFrom('deployments')
    .select(deploymentColumns)
    .$if(status !== undefined, (q) => q.where('status', '=', status!))
    .limit(page.limit)
    .offset(page.offset)
  // Numbers of a project are given one after another, and so in the order of the ids: each has an index by one of them.
  if (environment === undefined) return query.where('project_id', '=', projectId).orderBy('iid', sort).execute()
  const found = await findEnvironmentByName(from, projectId, environment)
  if (!found) return []
  return query.where('environment_id', '=', found.id).orderBy('id', sort).execute()
}

/** One user by id, or whoever has this access level in the project. */
export type Deployer = number | { level: 30 | 40 | 60 }

/** Who may deploy to a protected environment; undefined: it is not protected. */
export async function findDeployers(
  from: Reader | Tx,
  projectId: number,
  name: string,
): Promise<readonly Deployer[] | undefined> {
  const row = await from.db
    .selectFrom('protected_environments')
    .select('deployers')
    .where('project_id', '=', projectId)
    .where('name', '=', name)
    .executeTakeFirst()
  return row && JSON.parse(row.deployers)
}

/** Returns the project's protected environments by name, each with the ids of the users who may deploy. */
export async function listProtectedEnvironments(
  from: Reader,
  projectId: number,
): Promise<{ name: string; deployers: Deployer[] }[]> {
  const rows = await from.db
    .selectFrom('protected_environments')
    .select(['name', 'deployers'])
    .where('project_id', '=', projectId)
    .orderBy('name')
    .execute()
  return rows.map((row) => ({ name: row.name, deployers: JSON.parse(row.deployers) }))
}

/** Protects an environment, or replaces its protection: `deployers` are the ids of the users who may deploy. */
export async function saveProtectedEnvironment(
  tx: Tx,
  projectId: number,
  name: string,
  deployers: readonly Deployer[],
): Promise<void> {
  await tx.db
    .insertInto('protected_environments')
    .values({ project_id: projectId, name, deployers: JSON.stringify(deployers) })
    .onConflict((c) => c.columns(['project_id', 'name']).doUpdateSet({ deployers: JSON.stringify(deployers) }))
    .execute()
}

/** Returns whether it was protected. */
export async function deleteProtectedEnvironment(tx: Tx, projectId: number, name: string): Promise<boolean> {
  const rows = await tx.db
    .deleteFrom('protected_environments')
    .where('project_id', '=', projectId)
    .where('name', '=', name)
    .returning('name')
    .execute()
  return rows.length > 0
}

/** Deletes all rows of a pipeline, a project or a group, those that refer to others first. */
import { type RawBuilder, sql } from 'kysely'
import { refreshShares } from './queue.js'
import type { Reader, Tx } from './write.js'

/** Tables of which each row belongs to one job (`job_id`). A test says which table is missing here. */
export const ofJobs = [
  'job_needs',
  'payloads',
  'dotenv_variables',
  'job_variables',
  'external_statuses',
  'verdicts',
  'pipeline_mirrors',
  'leases',
  'trace_pieces',
  'traces',
  'artifacts',
  'reports',
  'deployments',
] as const

/** Tables of which each row belongs to one project (`project_id`). */
export const ofProjects = [
  'old_paths',
  'job_token_allowances',
  'project_mirrors',
  'merge_train_cars',
  'merge_requests',
  'project_subscriptions',
  'subscribed_runs',
  'default_configs',
  'forge_statuses',
  'fork_requests',
  'forge_connections',
  'hook_secrets',
  'hook_deliveries',
  'pushes',
  'pipeline_schedules',
  'triggers',
  'release_links',
  'releases',
  'deployments',
  'environments',
  'protected_environments',
  'resource_groups',
  'webhooks',
  'caches',
  'lanes',
  'runner_projects',
  'registration_tokens',
  'members',
  'group_shares',
] as const

/** The pipeline must be locked, and its jobs must have ended. */
export async function deletePipelineRows(tx: Tx, pipelineId: number): Promise<void> {
  const jobs = sql`(select id from jobs where pipeline_id = ${pipelineId})`
  await sql`update resource_groups set holder_job_id = null where holder_job_id in ${jobs}`.execute(tx.db)
  await sql`update pipelines set source_job_id = null where source_job_id in ${jobs}`.execute(tx.db)
  await deletePartsWhere(tx, jobs)
  await sql`
    delete from job_definitions where id in (select definition_id from jobs where pipeline_id = ${pipelineId})
  `.execute(tx.db)
  await tx.db.deleteFrom('jobs').where('pipeline_id', '=', pipelineId).execute()
  await tx.db.deleteFrom('pipeline_mirrors').where('pipeline_id', '=', pipelineId).execute()
  await tx.db.deleteFrom('forge_statuses').where('pipeline_id', '=', pipelineId).execute()
  await tx.db.deleteFrom('stages').where('pipeline_id', '=', pipelineId).execute()
  await tx.db
    .updateTable('pipeline_schedules')
    .set({ last_pipeline_id: null })
    .where('last_pipeline_id', '=', pipelineId)
    .execute()
  await tx.db.deleteFrom('pipelines').where('id', '=', pipelineId).execute()
}

/** All that belongs to these jobs, which have ended and whose pipeline is about to go. */
export function deletePartsOf(tx: Tx, jobIds: readonly number[]): Promise<void> {
  return deletePartsWhere(tx, sql`(${sql.join(jobIds)})`)
}

async function deletePartsWhere(tx: Tx, jobs: RawBuilder<unknown>): Promise<void> {
  for (const table of ofJobs) await sql`delete from ${sql.table(table)} where job_id in ${jobs}`.execute(tx.db)
}

/** The project must have no pipelines any more. */
export async function deleteProjectRows(tx: Tx, projectId: number): Promise<void> {
  for (const table of ofProjects) {
    await sql`delete from ${sql.table(table)} where project_id = ${projectId}`.execute(tx.db)
  }
  await tx.db.deleteFrom('project_subscriptions').where('upstream_id', '=', projectId).execute()
  // Who its tokens acted as stays, blocked: other projects may tell of what was done.
  await sql`delete from access_tokens where user_id in (select id from users where project_id = ${projectId})`.execute(
    tx.db,
  )
  await tx.db.updateTable('users').set({ state: 'blocked' }).where('project_id', '=', projectId).execute()
  await sql`delete from job_token_allowances where kind = 'project' and allowed_id = ${projectId}`.execute(tx.db)
  await tx.db.deleteFrom('variables').where('owner_type', '=', 'project').where('owner_id', '=', projectId).execute()
  await tx.db.deleteFrom('projects').where('id', '=', projectId).execute()
}

/** The group must have neither projects nor subgroups any more. */
export async function deleteGroupRows(tx: Tx, groupId: number): Promise<void> {
  for (const table of ['runner_groups', 'registration_tokens', 'members', 'group_shares'] as const) {
    await sql`delete from ${sql.table(table)} where group_id = ${groupId}`.execute(tx.db)
  }
  await sql`delete from job_token_allowances where kind = 'group' and allowed_id = ${groupId}`.execute(tx.db)
  await tx.db.deleteFrom('group_shares').where('shared_with_id', '=', groupId).execute()
  await tx.db.deleteFrom('variables').where('owner_type', '=', 'group').where('owner_id', '=', groupId).execute()
  await tx.db.deleteFrom('groups').where('id', '=', groupId).execute()
}

/** From now on the project is not found, its path is free, and no runner is given a job of it. */
export async function markProjectDeleted(tx: Tx, projectId: number): Promise<void> {
  await sql`
    update projects set deleted_at = ${tx.now},
      path = path || '+deleted+' || id, full_path = full_path || '+deleted+' || id,
      builds_enabled = 0, instance_runners_enabled = 0, group_runners_enabled = 0
    where id = ${projectId}`.execute(tx.db)
  await tx.db.deleteFrom('runner_projects').where('project_id', '=', projectId).execute()
  await refreshShares(tx, projectId)
  // Its repository may be connected to another project from now on.
  await tx.db.deleteFrom('forge_connections').where('project_id', '=', projectId).execute()
}

/** The same for a group. */
export async function markGroupDeleted(tx: Tx, groupId: number): Promise<void> {
  await sql`
    update groups set deleted_at = ${tx.now}, path = path || '+deleted+' || id, full_path = full_path || '+deleted+' || id
    where id = ${groupId}`.execute(tx.db)
  // Whoever was let in somewhere as its member is out at once.
  await tx.db.deleteFrom('members').where('group_id', '=', groupId).execute()
  await tx.db.deleteFrom('group_shares').where('shared_with_id', '=', groupId).execute()
}

/** Ids of a project's pipelines, oldest first, one that is being deleted included. */
export async function listPipelineIds(from: Reader, projectId: number, limit: number): Promise<number[]> {
  const rows = await from.db
    .selectFrom('pipelines')
    .select('id')
    .where('project_id', '=', projectId)
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows.map((row) => row.id)
}

/** Rows of groups and projects. Those that are being deleted are not found. */
import { sql } from 'kysely'
import { SignalboxError } from '../errors.js'
import type { Group, Project } from '../project.js'
import type { ProjectFacts } from '../scheduler/match.js'
import { groupColumns, projectColumns } from './columns.js'
import { hotQuery } from './hot-query.js'
import { findMovedProject, forgetOldPath } from './old-paths.js'
import type { Reader, Tx } from './write.js'

/** Returns the project of this id; undefined: there is none, or it is being deleted. */
export async function findProject(from: Reader | Tx, id: number): Promise<Project | undefined> {
  const known = from.known?.projects.get(id)
  if (known) return known
  const project = await from.first(projectById, { id })
  if (project) from.known?.projects.set(id, project)
  return project
}

/** By `group/name`, whatever its case; also by a path that it had before, as long as nothing else has it. */
export async function findProjectByPath(from: Reader | Tx, fullPath: string): Promise<Project | undefined> {
  const project = await findProjectAt(from, fullPath)
  if (project) return project
  const moved = await findMovedProject(from, fullPath)
  return moved === undefined ? undefined : findProject(from, moved)
}

/** The same for a path that it has now, whatever else had it before. */
export function findProjectAt(from: Reader | Tx, fullPath: string): Promise<Project | undefined> {
  return from.first(projectByPath, { path: fullPath.toLowerCase() })
}

/** The project; throws `not_found`. */
export async function getProject(from: Reader | Tx, id: number): Promise<Project> {
  const project = await findProject(from, id)
  if (!project) throw new SignalboxError('not_found', `no project ${id}`)
  return project
}

/** Inserts a project and gives it; throws `conflict` if the path is taken. */
export async function insertProject(
  tx: Tx,
  project: { groupId: number; path: string; fullPath: string; name: string } & Partial<Project>,
): Promise<Project> {
  if (await findProjectAt(tx, project.fullPath)) {
    throw new SignalboxError('conflict', `${project.fullPath} has already been taken`)
  }
  await forgetOldPath(tx, project.fullPath)
  const { id } = await tx.db
    .insertInto('projects')
    .values({
      group_id: project.groupId,
      path: project.path,
      full_path: project.fullPath,
      name: project.name,
      description: project.description ?? '',
      visibility: project.visibility ?? 'private',
      default_branch: project.defaultBranch ?? 'main',
      protections: null,
      config_path: project.configPath ?? '.gitlab-ci.yml',
      timeout_s: project.timeoutS ?? 3600,
      builds_enabled: 1,
      instance_runners_enabled: 1,
      group_runners_enabled: 1,
      auto_cancel: 1,
      forward_deployment: 1,
      job_token_scope: 1,
      cache_index: 0,
      mirrored: 0,
      merged_results: 0,
      followed: 0,
      over_quota: 0,
      last_pipeline_iid: 0,
      last_request_iid: 0,
      instance_jobs: 0,
      created_at: tx.now,
      updated_at: tx.now,
      deleted_at: null,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return getProject(tx, id)
}

/** What may be changed of a project; what is absent stays. */
export interface ProjectChanges {
  name?: string
  description?: string
  visibility?: Project['visibility']
  defaultBranch?: string
  configPath?: string
  timeoutS?: number
  buildsEnabled?: number
  instanceRunnersEnabled?: number
  groupRunnersEnabled?: number
  autoCancel?: number
  forwardDeployment?: number
  deletePipelinesS?: number | null
  keepLatest?: number
  mergedResults?: number
  jobTokenScope?: number
}

const changeColumns: Record<keyof ProjectChanges, string> = {
  name: 'name',
  description: 'description',
  visibility: 'visibility',
  defaultBranch: 'default_branch',
  configPath: 'config_path',
  timeoutS: 'timeout_s',
  buildsEnabled: 'builds_enabled',
  instanceRunnersEnabled: 'instance_runners_enabled',
  groupRunnersEnabled: 'group_runners_enabled',
  autoCancel: 'auto_cancel',
  forwardDeployment: 'forward_deployment',
  deletePipelinesS: 'delete_pipelines_s',
  keepLatest: 'keep_latest',
  mergedResults: 'merged_results',
  jobTokenScope: 'job_token_scope',
}

/** Changes a project and gives it as it is now. Throws `not_found`. */
export async function updateProject(tx: Tx, id: number, changes: ProjectChanges): Promise<Project> {
  const set = Object.fromEntries(
    Object.entries(changes).flatMap(([field, value]) =>
      value === undefined ? [] : [[changeColumns[field as keyof ProjectChanges], value]],
    ),
  )
  await tx.db
    .updateTable('projects')
    .set({ ...set, updated_at: tx.now })
    .where('id', '=', id)
    .execute()
  return getProject(tx, id)
}

/** Gives a project its place, and gives it as it is then. Throws `not_found`. */
export async function placeProject(
  tx: Tx,
  id: number,
  { groupId, path, fullPath }: { groupId: number; path: string; fullPath: string },
): Promise<Project> {
  await tx.db
    .updateTable('projects')
    .set({ group_id: groupId, path, full_path: fullPath, updated_at: tx.now })
    .where('id', '=', id)
    .execute()
  return getProject(tx, id)
}

/** Gives a project another default branch, on condition that it still has the one that it was read with. */
export async function replaceDefaultBranch(
  tx: Tx,
  project: Pick<Project, 'id' | 'defaultBranch'>,
  name: string,
): Promise<void> {
  await tx.db
    .updateTable('projects')
    .set({ default_branch: name, updated_at: tx.now })
    .where('id', '=', project.id)
    .where('default_branch', '=', project.defaultBranch)
    .execute()
}

export async function saveProtections(tx: Tx, id: number, protections: string): Promise<void> {
  await tx.db.updateTable('projects').set({ protections, updated_at: tx.now }).where('id', '=', id).execute()
}

/** Lets others wait who fold over rows of the project. */
export async function lockProject(tx: Tx, id: number): Promise<void> {
  if (tx.engine !== 'postgres') return
  await tx.db.selectFrom('projects').select('id').where('id', '=', id).forUpdate().execute()
  tx.known.projects.forget(id)
  tx.known.projectFacts.forget(id)
}

/** Lets others wait who move projects into the group. */
export async function lockGroup(tx: Tx, id: number): Promise<void> {
  if (tx.engine !== 'postgres') return
  await tx.db.selectFrom('groups').select('id').where('id', '=', id).forUpdate().execute()
}

/**
 * Lets others wait who give the same path to a project, a group or a user: each is unique among its own kind alone. A
 * transaction that takes several takes those above first.
 */
export async function lockPath(tx: Tx, fullPath: string): Promise<void> {
  if (tx.engine !== 'postgres') return
  await sql`select pg_advisory_xact_lock(hashtextextended(${fullPath.toLowerCase()}, 0))`.execute(tx.db)
}

/** Moves the number that every cache key of the project carries. */
export async function raiseCacheIndex(tx: Tx, id: number): Promise<void> {
  await tx.db
    .updateTable('projects')
    .set((e) => ({ cache_index: e('cache_index', '+', 1), updated_at: tx.now }))
    .where('id', '=', id)
    .execute()
}

/** Returns the group by its full path, whatever its case. */
export async function findGroupByPath(from: Reader | Tx, fullPath: string): Promise<Group | undefined> {
  return from.db
    .selectFrom('groups')
    .select(groupColumns)
    .where(sql<boolean>`lower(full_path) = ${fullPath.toLowerCase()}`)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
}

/** Returns the group of this id; undefined: there is none, or it is being deleted. */
export async function findGroup(from: Reader | Tx, id: number): Promise<Group | undefined> {
  return from.db
    .selectFrom('groups')
    .select(groupColumns)
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
}

/** Inserts a group; without a name it is called as its path, and without a visibility it is private. */
export async function insertGroup(
  tx: Tx,
  group: Pick<Group, 'path' | 'fullPath' | 'parentId' | 'kind' | 'ownerId'> &
    Partial<Pick<Group, 'name' | 'description' | 'visibility'>>,
): Promise<Group> {
  const row = { name: group.path, description: '', visibility: 'private' as const, ...group, createdAt: tx.now }
  const { id } = await tx.db
    .insertInto('groups')
    .values({
      parent_id: row.parentId,
      path: row.path,
      full_path: row.fullPath,
      name: row.name,
      kind: row.kind,
      owner_id: row.ownerId,
      description: row.description,
      visibility: row.visibility,
      created_at: tx.now,
      deleted_at: null,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return { ...row, id }
}

/** What the matcher looks at in a project. */
export async function projectFacts(from: Reader | Tx, projectId: number): Promise<ProjectFacts | undefined> {
  const known = from.known?.projectFacts.get(projectId)
  if (known) return known
  const rows = await from.all(factsOfProject, { projectId })
  const first = rows[0]
  if (!first) return undefined
  const facts: ProjectFacts = {
    id: projectId,
    groupIds: rows.map((row) => row.groupId),
    buildsEnabled: first.buildsEnabled === 1,
    instanceRunnersEnabled: first.instanceRunnersEnabled === 1,
    groupRunnersEnabled: first.groupRunnersEnabled === 1,
    overQuota: first.overQuota === 1,
  }
  from.known?.projectFacts.set(projectId, facts)
  return facts
}

const projectById = hotQuery<Project, 'id'>(
  (db, p) =>
    db.selectFrom('projects').select(projectColumns).where('id', '=', p('id')).where(sql<boolean>`deleted_at is null`),
  { remembered: ['projects'] },
)

const projectByPath = hotQuery<Project, 'path'>(
  (db, p) =>
    db
      .selectFrom('projects')
      .select(projectColumns)
      .where(sql<boolean>`lower(full_path) = ${p('path')} and deleted_at is null`),
  { remembered: ['projects'] },
)

const factsOfProject = hotQuery<
  {
    groupId: number
    buildsEnabled: number
    instanceRunnersEnabled: number
    groupRunnersEnabled: number
    overQuota: number
  },
  'projectId'
>((db, p) => ({
  compile: () =>
    sql`
      with recursive above (id, parent_id) as (
        select groups.id, groups.parent_id from groups join projects on projects.group_id = groups.id
        where projects.id = ${p('projectId')}
        union select groups.id, groups.parent_id from groups join above on groups.id = above.parent_id
      )
      select above.id as "groupId", builds_enabled as "buildsEnabled",
        instance_runners_enabled as "instanceRunnersEnabled", group_runners_enabled as "groupRunnersEnabled",
        over_quota as "overQuota"
      from above, projects where projects.id = ${p('projectId')}`.compile(db),
}))

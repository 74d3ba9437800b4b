/** Groups for people: lists, and the tree that they are. */
import { type ExpressionBuilder, sql } from 'kysely'
import { levels, type Place } from '../member.js'
import type { Group } from '../project.js'
import { groupColumns } from './columns.js'
import { groupsOf, groupsSeenBy, type Viewer } from './member-levels.js'
import type { Page } from './page.js'
import type { Database } from './schema.js'
import type { Reader, Tx } from './write.js'

/** Which groups a list shows; what is absent does not count. */
export interface GroupFilter {
  kinds: readonly Group['kind'][]
  /** Part of the path or name, whatever its case. */
  search?: string
  /** Only those right below this group; null: only those below none. */
  parentId?: number | null
  /** Only those in this list. */
  ids?: readonly number[]
  /** Only those that this user may see: its own, internal and public ones. */
  visibleTo?: Viewer
  /** Only those in which this user has at least this level. */
  of?: { viewer: Viewer; level: number }
}

/** Groups by their path. */
export function listGroups(from: Reader, filter: GroupFilter, page: Page): Promise<Group[]> {
  return from.db
    .selectFrom('groups')
    .select(groupColumns)
    .where((e) => groupsWhere(e, filter))
    .orderBy('full_path')
    .limit(page.limit)
    .offset(page.offset)
    .execute()
}

/** How many groups the filter lets through. */
export async function countGroups(from: Reader, filter: GroupFilter): Promise<number> {
  const row = await from.db
    .selectFrom('groups')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where((e) => groupsWhere(e, filter))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

function groupsWhere(e: ExpressionBuilder<Database, 'groups'>, filter: GroupFilter) {
  const { kinds, search, parentId, ids, visibleTo, of } = filter
  const sought = search?.toLowerCase() ?? ''
  return e.and([
    e('deleted_at', 'is', null),
    e('kind', 'in', kinds),
    ...(sought === ''
      ? []
      : [
          sql<boolean>`(replace(lower(full_path), ${sought}, '') <> lower(full_path)
            or replace(lower(name), ${sought}, '') <> lower(name))`,
        ]),
    ...(parentId === undefined ? [] : [e('parent_id', parentId === null ? 'is' : '=', parentId)]),
    ...(ids === undefined ? [] : [e('id', 'in', ids)]),
    ...(visibleTo === undefined
      ? []
      : [e.or([e('visibility', '<>', 'private'), e('id', 'in', groupsSeenBy(visibleTo, levels.guest))])]),
    ...(of === undefined ? [] : [e('id', 'in', groupsOf(of.viewer, of.level))]),
  ])
}

/** The group and all below it, those nearest to it first. */
export async function listSubtree(from: Reader | Tx, groupId: number): Promise<{ id: number; fullPath: string }[]> {
  const { rows } = await sql<{ id: number; fullPath: string }>`
    with recursive below (id, full_path, depth) as (
      select id, full_path, 0 from groups where id = ${groupId} and deleted_at is null
      union all
      select groups.id, groups.full_path, below.depth + 1 from groups join below on groups.parent_id = below.id
      where groups.deleted_at is null
    )
    select id, full_path as "fullPath" from below order by depth, id`.execute(from.db)
  return rows
}

/** What may be changed of a group; what is absent stays. */
export interface GroupChanges {
  name?: string
  path?: string
  description?: string
  visibility?: Group['visibility']
}

/** Changes the row alone: the paths of what is below the group are `renameTree`'s. */
export async function saveGroup(tx: Tx, id: number, changes: GroupChanges): Promise<void> {
  if (Object.keys(changes).length > 0) await tx.db.updateTable('groups').set(changes).where('id', '=', id).execute()
}

/** Puts the row alone below another group; null: at the top. */
export async function placeGroup(tx: Tx, id: number, parentId: number | null): Promise<void> {
  await tx.db.updateTable('groups').set({ parent_id: parentId }).where('id', '=', id).execute()
}

/** Gives the group, all groups below it and all their projects the paths that follow from the group's new one. */
export async function renameTree(tx: Tx, groupId: number, from: string, to: string): Promise<void> {
  const ids = (await listSubtree(tx, groupId)).map((group) => group.id)
  const renamed = sql<string>`${to} || substr(full_path, ${from.length + 1})`
  await tx.db.updateTable('groups').set({ full_path: renamed }).where('id', 'in', ids).execute()
  await tx.db
    .updateTable('projects')
    .set({ full_path: renamed })
    .where('group_id', 'in', ids)
    .where('deleted_at', 'is', null)
    .execute()
}

/** Ids of the projects of these groups. */
export async function listProjectIdsIn(from: Reader | Tx, groupIds: readonly number[]): Promise<number[]> {
  const rows = await from.db
    .selectFrom('projects')
    .select('id')
    .where('group_id', 'in', groupIds)
    .where('deleted_at', 'is', null)
    .orderBy('id')
    .execute()
  return rows.map((row) => row.id)
}

/** The groups and projects below a group. */
export async function listBelow(tx: Tx, groupId: number): Promise<Place[]> {
  const groups = (await listSubtree(tx, groupId)).map((group) => group.id)
  const projects = await listProjectIdsIn(tx, groups)
  return [...groups.slice(1).map((id) => ({ groupId: id })), ...projects.map((id) => ({ projectId: id }))]
}

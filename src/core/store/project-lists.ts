/** Lists of projects for people and scripts, by filter, a page at a time. Nothing here is on a hot path. */
import { type ExpressionBuilder, sql } from 'kysely'
import { levels } from '../member.js'
import type { Project } from '../project.js'
import { projectColumns } from './columns.js'
import { projectsOf, type Viewer } from './member-levels.js'
import type { Page } from './page.js'
import type { Database } from './schema.js'
import type { Reader } from './write.js'

/** Which projects a list shows; what is absent does not count. */
export interface ProjectFilter {
  /** Part of the path, whatever its case. */
  search?: string
  /** Only those that this user may read: its own, internal and public ones. */
  visibleTo?: Viewer
  /** Only those in which this user has at least this level. */
  of?: { viewer: Viewer; level: number }
  /** Only those in these groups. */
  groupIds?: readonly number[]
}

/** Projects, newest first. */
export function listProjectsBy(from: Reader, filter: ProjectFilter, page: Page): Promise<Project[]> {
  return from.db
    .selectFrom('projects')
    .select(projectColumns)
    .where((e) => projectsWhere(e, filter))
    .orderBy('id', 'desc')
    .limit(page.limit)
    .offset(page.offset)
    .execute()
}

/** How many projects the filter lets through. */
export async function countProjectsBy(from: Reader, filter: ProjectFilter): Promise<number> {
  const row = await from.db
    .selectFrom('projects')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where((e) => projectsWhere(e, filter))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

function projectsWhere(e: ExpressionBuilder<Database, 'projects'>, filter: ProjectFilter) {
  const { search, visibleTo, of, groupIds } = filter
  // The user of a project's token is at home in that project only; what is internal is for people.
  const home = (user: number) => sql`(select project_id from users where users.id = ${user})`
  const owner = (user: number) => sql`(select coalesce(project_id, group_id) from users where users.id = ${user})`
  const visible = (user: number) =>
    sql<boolean>`(visibility = 'public' or (visibility = 'internal' and ${owner(user)} is null)
      or projects.id = ${home(user)})`
  return e.and([
    e('deleted_at', 'is', null),
    // Not LIKE: a search for `%` or `_` means just that.
    ...(search === undefined
      ? []
      : [sql<boolean>`replace(lower(full_path), ${search.toLowerCase()}, '') <> lower(full_path)`]),
    ...(visibleTo === undefined
      ? []
      : [e.or([visible(visibleTo.userId), e('projects.id', 'in', projectsOf(visibleTo, levels.guest))])]),
    ...(of === undefined ? [] : [e('projects.id', 'in', projectsOf(of.viewer, of.level))]),
    ...(groupIds === undefined ? [] : [e('group_id', 'in', groupIds)]),
  ])
}

/**
 * The level that follows from rows of members and shares: a member of a group is one of all groups and projects below it, the
 * highest level wins, and what has expired counts no more. Members of a group that is let in, and of its parents, get at most
 * the level of the share; who is let into that group in turn gets nothing.
 * https://docs.gitlab.com/user/project/members/, https://docs.gitlab.com/user/project/members/sharing_projects_groups/
 */
import { type RawBuilder, sql } from 'kysely'
import { levels } from '../member.js'
import { hotQuery } from './hot-query.js'
import type { Reader, Tx } from './write.js'

/** The user's level in a project, `fromGroups` included; 0: it is no member. The owner of a namespace is its owner. */
export async function levelInProject(from: Reader | Tx, userId: number, projectId: number): Promise<number> {
  const row = await from.first(projectLevel, { userId, projectId, now: from.now })
  return Number(row!.level)
}

/** The same in a group. */
export async function levelInGroup(from: Reader | Tx, userId: number, groupId: number): Promise<number> {
  const row = await from.first(groupLevel, { userId, groupId, now: from.now })
  return Number(row!.level)
}

/** What the level follows from: `above` (the groups of the place), and the place's own rows. */
function levelOf(above: RawBuilder<unknown>, own: RawBuilder<unknown>, user: unknown, now: unknown) {
  return sql`
    with recursive above (id, parent_id) as (
      ${above} union select groups.id, groups.parent_id from groups join above on groups.id = above.parent_id
    ),
    guests (id, parent_id, cap) as (
      select groups.id, groups.parent_id, group_shares.access_level
      from group_shares join groups on groups.id = group_shares.shared_with_id
      where (group_shares.group_id in (select id from above) or ${own})
        and (group_shares.expires_at is null or group_shares.expires_at > ${now})
      union select groups.id, groups.parent_id, guests.cap from groups join guests on groups.id = guests.parent_id
    )
    select coalesce(max(level), 0) as level from (
      select access_level as level from members
      where user_id = ${user} and (members.group_id in (select id from above) or ${own})
        and (expires_at is null or expires_at > ${now})
      union all
      select case when members.access_level < guests.cap then members.access_level else guests.cap end as level
      from members join guests on guests.id = members.group_id
      where members.user_id = ${user} and (members.expires_at is null or members.expires_at > ${now})
      union all
      select 50 as level from groups where owner_id = ${user} and id in (select id from above)
    ) as granted`
}

const projectLevel = hotQuery<{ level: number }, 'userId' | 'projectId' | 'now'>((db, p) => ({
  compile: () =>
    levelOf(
      sql`select groups.id, groups.parent_id from groups join projects on projects.group_id = groups.id
        where projects.id = ${p('projectId')}`,
      sql`project_id = ${p('projectId')}`,
      p('userId'),
      p('now'),
    ).compile(db),
}))

const groupLevel = hotQuery<{ level: number }, 'userId' | 'groupId' | 'now'>((db, p) => ({
  compile: () =>
    levelOf(
      sql`select id, parent_id from groups where id = ${p('groupId')}`,
      sql`1 = 0`,
      p('userId'),
      p('now'),
    ).compile(db),
}))

/** Somebody's view of what there is. */
export interface Viewer {
  userId: number
  /** Milliseconds since 1970: what has expired by then counts no more. */
  now: number
}

/** The groups and projects in which the viewer has at least this level, as two tables `mine` and `my_projects`. */
function mine({ userId, now }: Viewer, level: number): RawBuilder<unknown> {
  return sql`
    member_of (id) as (
      select id from groups where owner_id = ${userId}
      union select group_id from members
        where user_id = ${userId} and group_id is not null and access_level >= ${level}
          and (expires_at is null or expires_at > ${now})
      union select groups.id from groups join member_of on groups.parent_id = member_of.id
    ),
    let_into (group_id, project_id) as (
      select group_id, project_id from group_shares
      where shared_with_id in (select id from member_of) and access_level >= ${level}
        and (expires_at is null or expires_at > ${now})
    ),
    mine (id) as (
      select id from member_of
      union select group_id from let_into where group_id is not null
      union select groups.id from groups join mine on groups.parent_id = mine.id
    ),
    my_projects (id) as (
      select projects.id from projects where group_id in (select id from mine)
      union select project_id from members
        where user_id = ${userId} and project_id is not null and access_level >= ${level}
          and (expires_at is null or expires_at > ${now})
      union select project_id from let_into where project_id is not null
    )`
}

/** A query for the ids of the projects in which the viewer has at least this level. */
export function projectsOf(viewer: Viewer, level: number): RawBuilder<number> {
  return sql`(with recursive ${mine(viewer, level)} select id from my_projects)`
}

/** A query for the ids of the groups in which the viewer has at least this level. */
export function groupsOf(viewer: Viewer, level: number): RawBuilder<number> {
  return sql`(with recursive ${mine(viewer, level)} select id from mine)`
}

/** A query for the ids of the groups that the viewer has something in: those of `groupsOf`, and those above its projects. */
export function groupsSeenBy(viewer: Viewer, level: number): RawBuilder<number> {
  return sql`(with recursive ${mine(viewer, level)},
    seen (id) as (
      select id from mine
      union select group_id from projects where id in (select id from my_projects)
      union select groups.parent_id from groups join seen on groups.id = seen.id where groups.parent_id is not null
    )
    select id from seen)`
}

/** Whether the viewer has something in the group. */
export async function seesInGroup(from: Reader | Tx, viewer: Viewer, groupId: number): Promise<boolean> {
  const { rows } = await sql`
    select id from groups where id = ${groupId} and id in ${groupsSeenBy(viewer, levels.guest)}`.execute(from.db)
  return rows.length > 0
}

/** Lists of runners for people and scripts, by filter, a page at a time. Nothing here is on a hot path. */
import { type ExpressionBuilder, sql } from 'kysely'
import { levels } from '../member.js'
import { onlineMs, type Runner, type RunnerStatus, type RunnerType, staleMs } from '../runner.js'
import { runnerColumns } from './columns.js'
import { groupsOf, projectsOf } from './member-levels.js'
import type { Page } from './page.js'
import type { Database } from './schema.js'
import type { Reader } from './write.js'

/** Which runners a list shows; what is absent does not count. */
export interface RunnerFilter {
  type?: RunnerType
  status?: RunnerStatus | 'active'
  paused?: boolean
  /** All of these. */
  tags?: readonly string[]
  versionPrefix?: string
  /** Project runners of projects, and group runners of groups, that this user manages. */
  managedBy?: number
  /** Runners that serve this project: its own, and those of the instance and of groups, as far as it takes them. */
  serves?: { projectId: number; instance: boolean; groupIds: readonly number[] }
  /** Runners of this group. */
  groupId?: number
  /** The time that `status` is told at, in milliseconds since 1970. */
  now: number
}

/** Runners, newest first. */
export function listRunnersBy(from: Reader, filter: RunnerFilter, page: Page): Promise<Runner[]> {
  return from.db
    .selectFrom('runners')
    .select(runnerColumns)
    .where((e) => runnersWhere(e, filter))
    .orderBy('id', 'desc')
    .limit(page.limit)
    .offset(page.offset)
    .execute()
}

/** How many runners the filter lets through. */
export async function countRunnersBy(from: Reader, filter: RunnerFilter): Promise<number> {
  const row = await from.db
    .selectFrom('runners')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where((e) => runnersWhere(e, filter))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

function runnersWhere(e: ExpressionBuilder<Database, 'runners'>, filter: RunnerFilter) {
  const { type, status, paused, tags = [], versionPrefix, managedBy, serves, groupId, now } = filter
  return e.and([
    ...(type === undefined ? [] : [e('type', '=', type)]),
    ...(paused === undefined ? [] : [e('active', '=', paused ? 0 : 1)]),
    ...(status === undefined ? [] : [hasStatus(status, filter.now)]),
    // The column holds a JSON list of tags in canonical form, so a tag is there if its JSON text is.
    ...tags.map((tag) => sql<boolean>`replace(tags, ${JSON.stringify(tag)}, '') <> tags`),
    ...(versionPrefix === undefined
      ? []
      : [
          e.exists(
            e
              .selectFrom('runner_managers')
              .select('runner_managers.id')
              .whereRef('runner_managers.runner_id', '=', 'runners.id')
              .where(sql<boolean>`substr(version, 1, ${versionPrefix.length}) = ${versionPrefix}`),
          ),
        ]),
    ...(serves === undefined
      ? []
      : [
          e.or([
            e(
              'id',
              'in',
              e.selectFrom('runner_projects').select('runner_id').where('project_id', '=', serves.projectId),
            ),
            ...(serves.instance ? [e('type', '=', 'instance')] : []),
            ...(serves.groupIds.length === 0
              ? []
              : [
                  e(
                    'id',
                    'in',
                    e.selectFrom('runner_groups').select('runner_id').where('group_id', 'in', serves.groupIds),
                  ),
                ]),
          ]),
        ]),
    ...(groupId === undefined
      ? []
      : [e('id', 'in', e.selectFrom('runner_groups').select('runner_id').where('group_id', '=', groupId))]),
    ...(managedBy === undefined
      ? []
      : [
          e.or([
            e(
              'id',
              'in',
              e
                .selectFrom('runner_projects')
                .select('runner_id')
                .where('project_id', 'in', projectsOf({ userId: managedBy, now }, levels.maintainer)),
            ),
            e(
              'id',
              'in',
              e
                .selectFrom('runner_groups')
                .select('runner_id')
                .where('group_id', 'in', groupsOf({ userId: managedBy, now }, levels.owner)),
            ),
          ]),
        ]),
  ])
}

/** The same decision as `runnerStatus`, in SQL. */
function hasStatus(status: RunnerStatus | 'active', now: number) {
  const staleSince = now - staleMs
  const onlineSince = now - onlineMs
  const fresh = sql`(created_at > ${staleSince} or coalesce(contacted_at, 0) > ${staleSince})`
  switch (status) {
    case 'active':
      return sql<boolean>`active = 1`
    case 'paused':
      return sql<boolean>`active = 0`
    case 'stale':
      return sql<boolean>`not ${fresh}`
    case 'never_contacted':
      return sql<boolean>`${fresh} and contacted_at is null`
    case 'online':
      return sql<boolean>`${fresh} and contacted_at > ${onlineSince}`
    case 'offline':
      return sql<boolean>`${fresh} and contacted_at <= ${onlineSince}`
  }
}

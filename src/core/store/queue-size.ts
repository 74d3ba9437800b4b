/** How many jobs a runner could be given now, counted as far as is cheap: for figures, never for a decision. */
import { sql } from 'kysely'
import { hotQuery } from './hot-query.js'
import { groupsBelow, listOf, type Seeker } from './queue.js'
import type { Engine, Tx } from './write.js'

/** So many are counted at the most: a claim must not cost more where the queue is longer. */
const countedUpTo = 100

/** Jobs in the queue that the seeker could be given, `countedUpTo` at the most. */
export async function countCandidates(tx: Tx, { facts, demandIds }: Seeker): Promise<number> {
  const demands = JSON.stringify(demandIds)
  switch (facts.type) {
    case 'instance':
      return (await tx.first(forInstance, { demands }))?.count ?? 0
    case 'project':
      return (await tx.first(forProject, { projects: JSON.stringify([...facts.projectIds]), demands }))?.count ?? 0
    case 'group':
      return (await tx.first(forGroup, { groups: JSON.stringify([...facts.groupIds]), demands }))?.count ?? 0
  }
}

/** The jobs of each lane, read lane by lane until there are enough: the order of a join is not left to the planner. */
const jobsOfLane = (engine: Engine) =>
  engine === 'postgres'
    ? sql`cross join lateral (
        select 1 from jobs where lane_id = lanes.id and in_queue = 1 limit ${sql.lit(countedUpTo)}
      ) as waiting where true`
    : sql`cross join jobs where jobs.lane_id = lanes.id and jobs.in_queue = 1`

const forInstance = hotQuery<{ count: number }, 'demands'>((db, p, engine) => ({
  compile: () =>
    sql`
      select count(*) as count from (
        select 1 from lanes ${jobsOfLane(engine)}
          and demand_id in ${listOf(engine, p('demands'))} and head_job_id is not null and instance_share is not null
        limit ${sql.lit(countedUpTo)}
      ) as candidates`.compile(db),
}))

const forProject = hotQuery<{ count: number }, 'projects' | 'demands'>((db, p, engine) => ({
  compile: () =>
    sql`
      select count(*) as count from (
        select 1 from projects cross join lanes ${jobsOfLane(engine)}
          and projects.id in ${listOf(engine, p('projects'))} and builds_enabled = 1
          and lanes.project_id = projects.id and demand_id in ${listOf(engine, p('demands'))} and head_job_id is not null
        limit ${sql.lit(countedUpTo)}
      ) as candidates`.compile(db),
}))

const forGroup = hotQuery<{ count: number }, 'groups' | 'demands'>((db, p, engine) => ({
  compile: () =>
    sql`
      with recursive ${groupsBelow(engine, p('groups'))}
      select count(*) as count from (
        select 1 from projects cross join lanes ${jobsOfLane(engine)}
          and projects.group_id in (select id from below) and builds_enabled = 1 and group_runners_enabled = 1
          and lanes.project_id = projects.id and demand_id in ${listOf(engine, p('demands'))} and head_job_id is not null
        limit ${sql.lit(countedUpTo)}
      ) as candidates`.compile(db),
}))

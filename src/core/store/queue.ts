/**
 * The queue: pending jobs without an open lease, found through lanes. A lane is a project and a demand; its row keeps the
 * head of the lane, so a claim looks at lanes and never at jobs. `enterLane` and `lowerHead` keep the heads true in the
 * transaction that puts a job in or takes it out.
 */
import { sql } from 'kysely'
import type { Demand, RunnerFacts } from '../scheduler/match.js'
import { bestHead, type LaneHead } from '../scheduler/order.js'
import { hotQuery } from './hot-query.js'
import type { Engine, Reader, Tx } from './write.js'

/** Demands known to this process: they are never changed or deleted. */
export class DemandCache {
  readonly #ids = new Map<string, number>()
  readonly #demands = new Map<number, Demand>()

  get size(): number {
    return this.#demands.size
  }

  entries(): IterableIterator<[number, Demand]> {
    return this.#demands.entries()
  }

  get(id: number): Demand | undefined {
    return this.#demands.get(id)
  }

  idOf(key: string): number | undefined {
    return this.#ids.get(key)
  }

  add(id: number, key: string, demand: Demand): void {
    this.#ids.set(key, id)
    this.#demands.set(id, demand)
  }

  /** Reads the demands that this process has not seen: all of them at start, those of other nodes later. */
  async refresh(read: Reader): Promise<void> {
    const rows = await read.all(demandsAfter, { id: Math.max(0, ...this.#demands.keys()) })
    for (const row of rows) {
      this.add(row.id, row.key, {
        tags: JSON.parse(row.tags),
        protected: row.protected === 1,
        features: JSON.parse(row.features),
      })
    }
  }
}

/** The id of a demand, made if it is new. */
export async function demandId(tx: Tx, cache: DemandCache, demand: Demand): Promise<number> {
  const tags = JSON.stringify(demand.tags)
  const features = JSON.stringify(demand.features)
  const key = `${demand.protected ? 'p' : '-'}${features}${tags}`
  const known = cache.idOf(key)
  if (known !== undefined) return known
  const row = { key, tags, protected: demand.protected ? 1 : 0, features }
  await tx.db
    .insertInto('demands')
    .values(row)
    .onConflict((c) => c.column('key').doNothing())
    .execute()
  const { id } = await tx.db.selectFrom('demands').select('id').where('key', '=', key).executeTakeFirstOrThrow()
  tx.afterCommit(() => cache.add(id, key, demand))
  return id
}

/**
 * The lane of a project and a demand, made if it is not there, with a job that enters it: its head, if the job is to be
 * taken before the present one. The job's row must say so by the end of the transaction.
 */
export async function enterLane(
  tx: Tx,
  job: { id: number; projectId: number; priority: number },
  demand: number,
): Promise<number> {
  const { id: jobId, projectId, priority } = job
  // Heads stand in indexes: they are written only when they change.
  const lane = await tx.first(touchedLane, { projectId, demandId: demand, now: tx.now })
  if (lane && !comesBefore(job, lane)) return lane.id
  const row = await tx.first(enteredLane, { projectId, demandId: demand, jobId, priority, now: tx.now })
  return row!.id
}

function comesBefore(
  job: { id: number; priority: number },
  lane: { headId: number | null; headPriority: number | null },
): boolean {
  if (lane.headId === null || lane.headPriority === null) return true
  return job.priority === lane.headPriority ? job.id < lane.headId : job.priority > lane.headPriority
}

/** Looks for the lane's next head, if the job that has left it was the head. The job's row must say so already. */
export async function lowerHead(tx: Tx, job: { id: number; laneId: number }): Promise<void> {
  const params = { laneId: job.laneId, jobId: job.id }
  // A statement sees what was there when it began, also after it has waited for the row. One that has entered meanwhile is
  // seen by a statement of its own, once the lane is held.
  if (tx.engine === 'postgres' && !(await tx.first(heldHead, params))) return
  await tx.all(nextHead, params)
}

/** Looks for the lane's head anew, when the order of its jobs has changed. */
export async function renewHead(tx: Tx, laneId: number): Promise<void> {
  if (tx.engine === 'postgres') {
    await tx.db.selectFrom('lanes').select('id').where('id', '=', laneId).forUpdate().execute()
  }
  await sql`
    update lanes set (head_job_id, head_priority) = (
      select id, priority from jobs where lane_id = ${laneId} and in_queue = 1 order by priority desc, id limit 1
    ) where id = ${laneId}`.execute(tx.db)
}

/** Who asks, as far as finding a job goes. */
export interface Seeker {
  facts: RunnerFacts
  managerId: number
  /** Ids of the demands that it can meet. */
  demandIds: readonly number[]
  /** Jobs to be passed over for now. */
  aside?: readonly number[]
}

/**
 * The job that the seeker should get now, by its lane's head; undefined when there is none. Jobs whose offers to this
 * manager came to nothing lately are passed over.
 */
export async function findCandidate(from: Reader | Tx, seeker: Seeker, now: number): Promise<LaneHead | undefined> {
  if (seeker.demandIds.length === 0) return undefined
  // Most who ask find no head at all, and need not be asked what they are excluded from.
  const heads = await headsFor(from, seeker)
  if (heads.length === 0) return undefined
  const refused = await from.all(excludedJobs, { managerId: seeker.managerId, now })
  const excluded = [...refused.map((row) => row.jobId), ...(seeker.aside ?? [])]
  return excluded.length > 0 ? findBeyond(from, seeker, excluded) : bestHead(seeker.facts.type, heads)
}

/** Every lane that has a job waiting, for the sweep that heals lost wake-ups. */
export async function waitingLanes(
  from: Reader,
): Promise<{ laneId: number; projectId: number; demandId: number; jobId: number; queuedAt: number }[]> {
  return from.all(lanesWithHeads, {})
}

/** Removes lanes that have been empty for a while. Returns their number. */
export async function removeIdleLanes(tx: Tx, touchedBefore: number): Promise<number> {
  const rows = await tx.db
    .deleteFrom('lanes')
    .where('head_job_id', 'is', null)
    .where('touched_at', '<', touchedBefore)
    .where(sql<boolean>`not exists (select 1 from jobs where lane_id = lanes.id and in_queue = 1)`)
    .returning('id')
    .execute()
  return rows.length
}

/** Whether instance runners take jobs of the project. */
const servedByInstance = sql.raw('builds_enabled = 1 and instance_runners_enabled = 1 and over_quota = 0')

/** Sets the lanes' share anew after a project's runner settings have changed. */
export async function refreshShares(tx: Tx, projectId: number): Promise<void> {
  await sql`
    update lanes set instance_share = (
      select case when ${servedByInstance} then instance_jobs end
      from projects where projects.id = ${projectId}
    ) where project_id = ${projectId}`.execute(tx.db)
}

async function headsFor(from: Reader | Tx, seeker: Seeker): Promise<LaneHead[]> {
  const { facts, demandIds } = seeker
  const demands = JSON.stringify(demandIds)
  switch (facts.type) {
    case 'instance':
      return instanceHeads(from, demandIds)
    case 'project':
      return from.all(projectHeads, { projects: JSON.stringify([...facts.projectIds]), demands })
    case 'group':
      return from.all(groupHeads, { groups: JSON.stringify([...facts.groupIds]), demands })
  }
}

/** One seek a demand: the index gives each demand's best lane as its first entry. */
async function instanceHeads(from: Reader | Tx, demandIds: readonly number[]): Promise<LaneHead[]> {
  const heads: LaneHead[] = []
  for (let i = 0; i < demandIds.length; i += probesAtOnce) {
    const some = demandIds.slice(i, i + probesAtOnce)
    const params = Object.fromEntries(some.map((id, at) => [`d${at}`, id]))
    heads.push(...(await from.all(instanceProbes(some.length), params)))
  }
  return heads
}

const probesAtOnce = 16
const probeQueries = new Map<number, ReturnType<typeof hotQuery<LaneHead, string>>>()

function instanceProbes(count: number) {
  let query = probeQueries.get(count)
  if (!query) {
    query = hotQuery<LaneHead, string>((db, p) => ({
      compile: () => {
        const probe = (at: number) => sql`
          select * from (
            select id as "laneId", head_job_id as "jobId", head_priority as "priority", instance_share as "share"
            from lanes
            where demand_id = ${p(`d${at}`)} and head_job_id is not null and instance_share is not null
            order by demand_id, instance_share, head_priority desc, head_job_id
            limit 1
          ) as probe${sql.raw(String(at))}`
        return sql`${sql.join(
          Array.from({ length: count }, (_, at) => probe(at)),
          sql` union all `,
        )}`.compile(db)
      },
    }))
    probeQueries.set(count, query)
  }
  return query
}

/** The slow way, while offers to this manager have come to nothing: the best job of each lane that is not one of those. */
async function findBeyond(from: Reader | Tx, seeker: Seeker, excluded: number[]): Promise<LaneHead | undefined> {
  const lanes = await lanesInScope(from, seeker)
  const heads: LaneHead[] = []
  for (const lane of lanes) {
    const row = await from.db
      .selectFrom('jobs')
      .select(['id as jobId', 'priority'])
      .where('lane_id', '=', lane.laneId)
      .where(sql<boolean>`in_queue = 1`)
      .where('id', 'not in', excluded)
      .orderBy('priority', 'desc')
      .orderBy('id')
      .limit(1)
      .executeTakeFirst()
    if (row) heads.push({ ...lane, ...row })
  }
  return bestHead(seeker.facts.type, heads)
}

async function lanesInScope(from: Reader | Tx, seeker: Seeker): Promise<{ laneId: number; share: number }[]> {
  if (seeker.facts.type !== 'instance') return headsFor(from, seeker)
  const rows = await from.db
    .selectFrom('lanes')
    .select(['id as laneId', 'instance_share as share'])
    .where('demand_id', 'in', [...seeker.demandIds])
    .where('head_job_id', 'is not', null)
    .where('instance_share', 'is not', null)
    .execute()
  return rows.map((row) => ({ laneId: row.laneId, share: row.share ?? 0 }))
}

/** The numbers of a JSON array that is a parameter. */
export const listOf = (engine: Engine, param: unknown) =>
  engine === 'postgres'
    ? sql`(select value::bigint from json_array_elements_text(${param}::json) as value)`
    : sql`(select value from json_each(${param}))`

/** `below`: these groups and all within them. */
export const groupsBelow = (engine: Engine, groups: unknown) => sql`
  below (id) as (
    select id from groups where id in ${listOf(engine, groups)}
    union select groups.id from groups join below on groups.parent_id = below.id
  )`

const projectHeads = hotQuery<LaneHead, 'projects' | 'demands'>((db, p, engine) => ({
  compile: () =>
    sql`
      select lanes.id as "laneId", head_job_id as "jobId", head_priority as "priority", 0 as "share"
      from lanes join projects on projects.id = lanes.project_id
      where lanes.project_id in ${listOf(engine, p('projects'))} and demand_id in ${listOf(engine, p('demands'))}
        and head_job_id is not null and builds_enabled = 1
      order by head_priority desc, head_job_id limit 1`.compile(db),
}))

const groupHeads = hotQuery<LaneHead, 'groups' | 'demands'>((db, p, engine) => ({
  compile: () =>
    sql`
      with recursive ${groupsBelow(engine, p('groups'))}
      select lanes.id as "laneId", head_job_id as "jobId", head_priority as "priority", 0 as "share"
      from projects join lanes on lanes.project_id = projects.id
      where projects.group_id in (select id from below) and demand_id in ${listOf(engine, p('demands'))}
        and head_job_id is not null and builds_enabled = 1 and group_runners_enabled = 1
      order by head_priority desc, head_job_id limit 1`.compile(db),
}))

const demandsAfter = hotQuery<{ id: number; key: string; tags: string; protected: number; features: string }, 'id'>(
  (db, p) => db.selectFrom('demands').selectAll().where('id', '>', p('id')).orderBy('id'),
)

const touchedLane = hotQuery<
  { id: number; headId: number | null; headPriority: number | null },
  'projectId' | 'demandId' | 'now'
>((db, p) =>
  db
    .updateTable('lanes')
    .set({ touched_at: p('now') })
    .where('project_id', '=', p('projectId'))
    .where('demand_id', '=', p('demandId'))
    .returning(['id', 'head_job_id as headId', 'head_priority as headPriority']),
)

const comesFirst = sql`(lanes.head_job_id is null or lanes.head_priority < excluded.head_priority
  or (lanes.head_priority = excluded.head_priority and lanes.head_job_id > excluded.head_job_id))`

const enteredLane = hotQuery<{ id: number }, 'projectId' | 'demandId' | 'jobId' | 'priority' | 'now'>((db, p) => ({
  compile: () =>
    sql`
      insert into lanes (project_id, demand_id, instance_share, head_priority, head_job_id, touched_at)
      select id, cast(${p('demandId')} as bigint), case when ${servedByInstance} then instance_jobs end,
        cast(${p('priority')} as integer), cast(${p('jobId')} as bigint), cast(${p('now')} as bigint)
      from projects where id = ${p('projectId')}
      on conflict (project_id, demand_id) do update set
        touched_at = excluded.touched_at,
        head_job_id = case when ${comesFirst} then excluded.head_job_id else lanes.head_job_id end,
        head_priority = case when ${comesFirst} then excluded.head_priority else lanes.head_priority end
      returning id`.compile(db),
}))

const heldHead = hotQuery<{ id: number }, 'laneId' | 'jobId'>((db, p) =>
  db.selectFrom('lanes').select('id').where('id', '=', p('laneId')).where('head_job_id', '=', p('jobId')).forUpdate(),
)

const nextHead = hotQuery<never, 'laneId' | 'jobId'>((db, p) => ({
  compile: () =>
    sql`
      update lanes set (head_job_id, head_priority) = (
        select id, priority from jobs where lane_id = ${p('laneId')} and in_queue = 1
        order by priority desc, id limit 1
      ) where id = ${p('laneId')} and head_job_id = ${p('jobId')}`.compile(db),
}))

const excludedJobs = hotQuery<{ jobId: number }, 'managerId' | 'now'>((db, p) =>
  db
    .selectFrom('leases')
    .select('job_id as jobId')
    .where('manager_id', '=', p('managerId'))
    .where('excluded_until', '>', p('now'))
    .where('excluded_until', 'is not', null),
)

const lanesWithHeads = hotQuery<
  { laneId: number; projectId: number; demandId: number; jobId: number; queuedAt: number },
  never
>((db) =>
  db
    .selectFrom('lanes')
    .innerJoin('jobs', 'jobs.id', 'lanes.head_job_id')
    .select([
      'lanes.id as laneId',
      'lanes.project_id as projectId',
      'lanes.demand_id as demandId',
      'jobs.id as jobId',
      'jobs.queued_at as queuedAt',
    ])
    .where('lanes.head_job_id', 'is not', null),
)

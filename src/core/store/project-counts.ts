/**
 * What a project counts: its pipelines, and the jobs that instance runners have of it. A body counts in memory and writes once
 * at its end, with the shares of the project's lanes; one that must know a number holds the row from then on.
 */
import { sql } from 'kysely'
import { SignalboxError } from '../errors.js'
import { hotQuery } from './hot-query.js'
import type { ProjectCounts } from './known-rows.js'
import type { Tx } from './write.js'

/** The next pipeline number of the project. Throws `not_found`. */
export async function takePipelineIid(tx: Tx, projectId: number): Promise<number> {
  const stored = await holdCounts(tx, projectId)
  if (!stored) throw new SignalboxError('not_found', `no project ${projectId}`)
  const counted = countedIn(tx, projectId)
  counted.pipelines += 1
  return stored.lastIid + counted.pipelines
}

/** Counts a job of the project that an instance runner has been given. Returns how many it has now, with others. */
export async function countInstanceJob(tx: Tx, projectId: number): Promise<number> {
  const stored = await holdCounts(tx, projectId)
  const counted = countedIn(tx, projectId)
  counted.jobs += 1
  return (stored?.instanceJobs ?? 0) + counted.jobs
}

/** Counts a job that an instance runner is done with. */
export function uncountInstanceJob(tx: Tx, projectId: number): void {
  countedIn(tx, projectId).jobs -= 1
}

/** How many of the project's jobs instance runners have, as it is stored. */
export async function instanceJobsOf(tx: Tx, projectId: number): Promise<number> {
  const row = await tx.db.selectFrom('projects').select('instance_jobs').where('id', '=', projectId).executeTakeFirst()
  return row?.instance_jobs ?? 0
}

/** The counters as they are stored, held until the body ends; undefined: there is no such project. */
export function holdCounts(tx: Tx, projectId: number): Promise<ProjectCounts | undefined> {
  return tx.once(`counts of project ${projectId}`, async () => {
    const known = tx.known.projectCounts.get(projectId)
    if (known) return known
    const stored = await tx.first(heldCounts, { projectId })
    if (stored) tx.known.projectCounts.set(projectId, stored)
    return stored
  })
}

/** What a body has counted and not written yet. */
interface Counted {
  pipelines: number
  jobs: number
}

function countedIn(tx: Tx, projectId: number): Counted {
  return tx.once(`counted in project ${projectId}`, () => {
    const counted: Counted = { pipelines: 0, jobs: 0 }
    tx.atEnd(() => writeCounted(tx, projectId, counted))
    return counted
  })
}

async function writeCounted(tx: Tx, projectId: number, { pipelines, jobs }: Counted): Promise<void> {
  if (pipelines === 0 && jobs === 0) return
  const params = { projectId, pipelines, jobs }
  // A statement more costs less than waiting for whether it is needed.
  if (tx.engine === 'postgres') {
    await tx.later(writtenCounts, params)
    return jobs === 0 ? undefined : tx.later(countOnLanes, { projectId })
  }
  const written = await tx.first(writtenCounts, params)
  tx.known.projectCounts.change(projectId, ({ lastIid, instanceJobs }) => ({
    lastIid: lastIid + pipelines,
    instanceJobs: instanceJobs + jobs,
  }))
  if (jobs !== 0 && written?.hasShares) await tx.all(countOnLanes, { projectId })
}

const heldCounts = hotQuery<ProjectCounts & { id: number }, 'projectId'>((db, p, engine) =>
  db
    .selectFrom('projects')
    .select(['id', 'last_pipeline_iid as lastIid', 'instance_jobs as instanceJobs'])
    .where('id', '=', p('projectId'))
    .$if(engine === 'postgres', (q) => q.forNoKeyUpdate()),
)

const writtenCounts = hotQuery<{ hasShares: number | boolean }, 'projectId' | 'pipelines' | 'jobs'>(
  (db, p) => ({
    compile: () =>
      sql`
      update projects set last_pipeline_iid = last_pipeline_iid + ${p('pipelines')},
        instance_jobs = instance_jobs + ${p('jobs')}
      where id = ${p('projectId')}
      returning exists (
        select 1 from lanes where lanes.project_id = projects.id and instance_share is not null
      ) as "hasShares"`.compile(db),
  }),
  { keepsKnown: true },
)

const countOnLanes = hotQuery<never, 'projectId'>((db, p) => ({
  compile: () =>
    sql`
      update lanes set instance_share = (select instance_jobs from projects where id = lanes.project_id)
      where project_id = ${p('projectId')} and instance_share is not null`.compile(db),
}))

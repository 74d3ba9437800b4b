/** What is wrong with the plans of statements: those that read more as history grows. */
import { countedTo } from '../../src/core/store/page.js'
import type { Asked } from './asked.js'
import type { Scene } from './scene.js'

/** Tables with rows for each job or pipeline, or for something else that is never or long after taken away. */
const growing = new Set(
  `pipelines stages jobs job_definitions job_needs job_variables leases traces artifacts deployments reports events verdicts
  dotenv_variables external_statuses pipeline_mirrors schedule_pipelines hook_deliveries usage`.split(/\s+/),
)

/**
 * Indexes that hold what is under way, and may be read as a whole therefore; the last one is read by who changes all of
 * a project's artifacts.
 */
const ofTheMoment = new Set(
  `jobs_due jobs_preparing jobs_finish_work leases_by_expiry leases_by_accept_by leases_by_manager leases_one_open
  leases_reported jobs_queue_order pipelines_created pipelines_living hook_deliveries_waiting artifacts_by_project`.split(
    /\s+/,
  ),
)

/** Columns that a history is under, however long: a search by one of them alone must be one in order, for a page. */
const broad = /^(project_id|runner_id|manager_id|environment_id)=\?$/

const isQuery = ({ sql }: Asked) => /^\s*(select|with|update|delete)/i.test(sql)
const shown = ({ sql, by }: Asked) => `${by}: ${sql.replace(/\s+/g, ' ').slice(0, 400)}`

export async function faultsOnSqlite(run: Scene['run'], asked: readonly Asked[]): Promise<string[]> {
  const faults: string[] = []
  for (const one of asked.filter(isQuery)) {
    const steps: { detail: string }[] = await run(`explain query plan ${one.sql}`, one.params)
    const isSorted = steps.some(({ detail }) => detail.startsWith('USE TEMP B-TREE FOR ORDER BY'))
    for (const { detail } of steps) {
      const [, verb, name, index, terms] =
        /^(SCAN|SEARCH) (\w+)(?: USING (?:AUTOMATIC )?(?:COVERING )?(?:INDEX (\w+)|INTEGER PRIMARY KEY))?(?: \((.*)\))?/.exec(
          detail,
        ) ?? []
      if (verb === undefined || !growing.has(tableOf(one.sql, name!)) || ofTheMoment.has(index ?? '')) continue
      // The first or last row of all.
      if (verb === 'SCAN' && / limit \?$/.test(one.sql) && !/ where /.test(one.sql)) continue
      const walksRows = terms === 'rowid>?' && name !== 'events'
      const isBroad =
        verb === 'SCAN' || walksRows || (broad.test(terms ?? '') && (isSorted || !/ limit /.test(one.sql)))
      if (isBroad) faults.push(`${shown(one)}\n  ${detail}${isSorted ? ', and sorts' : ''}`)
    }
  }
  return faults
}

/** The table that a plan calls by the name that the statement has given it. */
function tableOf(sql: string, name: string): string {
  return new RegExp(`\\b(\\w+)"? as "?${name}\\b`).exec(sql)?.[1] ?? name
}

/** Rows that a step may read and leave out; more was a search through what does not matter. */
const mostSkipped = 300
/** Rows that a step may read for a page, or for a task's next transaction. */
const mostRead = 600

export async function faultsOnPostgres(run: Scene['run'], asked: readonly Asked[]): Promise<string[]> {
  const faults: string[] = []
  for (const one of asked.filter(isQuery)) {
    for (const { what, read, skipped } of await visits(run, one)) {
      const most = /^\s*select count\(\*\)/.test(one.sql) ? countedTo + 1 : mostRead
      if (read > most || skipped > mostSkipped)
        faults.push(`${shown(one)}\n  ${what}: ${read} rows, ${skipped} for nothing`)
    }
  }
  return faults
}

interface Visit {
  what: string
  read: number
  skipped: number
}

interface Node {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  'Rows Removed by Index Recheck'?: number
  Plans?: Node[]
}

/** What the statement read, in a transaction that is rolled back. A small table is read as a large one would be. */
async function visits(run: Scene['run'], { sql, params }: Asked): Promise<Visit[]> {
  await run('begin')
  try {
    await run('set local enable_seqscan = off')
    const [row] = await run(`explain (analyze, format json) ${sql}`, params)
    return [...readBy(row['QUERY PLAN'][0].Plan)]
  } finally {
    await run('rollback')
  }
}

function* readBy(node: Node): Generator<Visit> {
  const loops = node['Actual Loops']
  const skipped = ((node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0)) * loops
  if (node['Relation Name'] !== undefined && growing.has(node['Relation Name'])) {
    const what = `${node['Node Type']} ${node['Relation Name']} ${node['Index Name'] ?? ''}`
    yield { what, read: node['Actual Rows'] * loops + skipped, skipped }
  }
  for (const inner of node.Plans ?? []) yield* readBy(inner)
}

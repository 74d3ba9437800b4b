/** The rows that the rules are about, at one moment between two transactions. */
import type { Selectable } from 'kysely'
import type { PipelineVariables } from '../core/pipeline.js'
import type { Database } from '../core/store/schema.js'
import type { SimDatabase } from './database.js'
import { simKeys } from './node.js'

/** What is looked at: pictures are taken after each step, and whole rows would take most of a simulation's time. */
const columns = {
  jobs: [
    'id',
    'pipeline_id',
    'project_id',
    'stage_id',
    'stage_position',
    'scheduling',
    'run_when',
    'retry_of',
    'definition_id',
    'name',
    'kind',
    'status',
    'allow_failure',
    'retried',
    'lane_id',
    'in_queue',
    'fence',
    'failure_reason',
    'failure_message',
    'token_expires_at',
    'created_at',
    'queued_at',
    'started_at',
    'finished_at',
    'resource_key',
    'payload_kept',
  ],
  leases: [
    'id',
    'job_id',
    'fence',
    'project_id',
    'runner_id',
    'manager_id',
    'instance_runner',
    'status',
    'term_ms',
    'offered_at',
    'accepted_at',
    'excluded_until',
  ],
  traces: ['job_id', 'length', 'crc32'],
  pipelines: ['id', 'project_id', 'sha', 'status', 'source_job_id'],
  stages: ['id', 'pipeline_id', 'name', 'status'],
  projects: ['id', 'instance_jobs'],
  lanes: ['id', 'head_job_id'],
  resource_groups: ['project_id', 'key', 'holder_job_id'],
  payloads: ['job_id'],
} as const satisfies { [Table in keyof Database]?: readonly (keyof Database[Table])[] }

type Columns = typeof columns

/** Rows of each table in the order of their ids. */
export type Picture = {
  readonly [Table in keyof Columns]: readonly Pick<
    Selectable<Database[Table]>,
    Columns[Table][number] & keyof Selectable<Database[Table]>
  >[]
}

/** Takes pictures of one database, and knows when the last one still holds. */
export class Camera {
  readonly #raw
  readonly #statements
  readonly #changes
  readonly #taking
  readonly #retries
  readonly #byHand
  readonly #needs
  readonly #runner
  readonly #variables
  readonly #endedTwice
  readonly #lastId
  #taken: { changes: number; picture: Picture } | undefined

  constructor({ connection }: SimDatabase) {
    this.#raw = connection.raw
    this.#changes = this.#raw.prepare('select total_changes()').pluck()
    this.#statements = Object.entries(columns).map(
      ([table, names]) =>
        [table, this.#raw.prepare(`select ${names.join(', ')} from ${table} order by rowid`)] as const,
    )
    this.#taking = this.#raw.prepare(`
      select json_extract(body, '$.tags') as asked, tags as has, run_untagged as untagged
      from jobs join job_definitions on job_definitions.id = definition_id, runners
      where jobs.id = ? and runners.id = ?`)
    this.#retries = this.#raw.prepare(`
      select coalesce(json_extract(body, '$.retry.max'), 0) as most, old.failure_reason as reason
      from jobs join job_definitions on job_definitions.id = jobs.definition_id join jobs as old on old.id = jobs.retry_of
      where jobs.id = ?`)
    this.#byHand = this.#raw
      .prepare("select json_extract(data, '$.by') is not null from events where job_id = ? and kind = 'job.retried'")
      .pluck()
    this.#needs = this.#raw.prepare('select name from job_needs where job_id = ?').pluck()
    this.#variables = this.#raw.prepare('select variables from pipelines where id = ?').pluck()
    this.#lastId = this.#raw.prepare('select seq from sqlite_sequence where name = ?').pluck()
    this.#endedTwice = this.#raw
      .prepare(`
        select job_id from events join jobs on jobs.id = job_id
        where events.kind = 'job.finished' and jobs.kind = 'build' group by job_id having count(*) > 1`)
      .pluck()
    this.#runner = this.#raw.prepare(`
      select type, (select json_group_array(project_id) from runner_projects where runner_id = runners.id) as projects
      from runners where id = ?`)
  }

  /** Whether a transaction is open, so that what could be seen does not count yet. */
  get busy(): boolean {
    return this.#raw.inTransaction
  }

  /** The picture of now; the same object as before if nothing has been written since. */
  take(): Picture {
    const changes = this.#changes.get() as number
    if (this.#taken?.changes !== changes) {
      const picture = Object.fromEntries(this.#statements.map(([table, statement]) => [table, statement.all()]))
      this.#taken = { changes, picture: picture as unknown as Picture }
    }
    return this.#taken.picture
  }

  /** The last ids that were given to rows; 0: none has been. */
  lastIds(): { pipelines: number; demands: number } {
    const last = (table: string) => (this.#lastId.get(table) as number | undefined) ?? 0
    return { pipelines: last('pipelines'), demands: last('demands') }
  }

  /** A job of a runner that has more than one end, if there is one. */
  endedTwice(): number | undefined {
    return this.#endedTwice.get() as number | undefined
  }

  /** What a job asks of a runner, and what the runner has. */
  tagsOf(jobId: number, runnerId: number): { asked: string[]; has: string[]; untagged: boolean } {
    const row = this.#taking.get(jobId, runnerId) as { asked: string; has: string; untagged: number }
    return { asked: JSON.parse(row.asked), has: JSON.parse(row.has), untagged: row.untagged === 1 }
  }

  /** How often the job that a retry has made may be tried by itself, and why the one before it failed. */
  retriesOf(jobId: number): { most: number; reason: string | null } {
    return this.#retries.get(jobId) as { most: number; reason: string | null }
  }

  /** Whether a person has asked for this retry. */
  isRetriedByHand(jobId: number): boolean {
    return this.#byHand.get(jobId) === 1
  }

  /** Names of the jobs that the job needs. */
  needsOf(jobId: number): Set<string> {
    return new Set(this.#needs.all(jobId) as string[])
  }

  /** The variables that stand in a pipeline's row. */
  variablesOf(pipelineId: number): PipelineVariables {
    return JSON.parse(simKeys.open(this.#variables.get(pipelineId) as Uint8Array).toString('utf8'))
  }

  /** What a runner serves. */
  runnerOf(runnerId: number): { type: string; projectIds: Set<number> } {
    const { type, projects } = this.#runner.get(runnerId) as { type: string; projects: string }
    return { type, projectIds: new Set(JSON.parse(projects) as number[]) }
  }
}

/**
 * What a transaction knows of rows without asking: what it has read or written once, it does not read again.
 *
 * On SQLite a node is the only one that writes its store, one body after another on one connection: there a row stands until
 * this connection writes it again, and what is known outlives the body (a job's life would read its rows five times, and each
 * read costs what the rest of a short body costs). On PostgreSQL others write beside a body: there it is known for the body
 * alone, and forgotten when the body takes the lock that makes it true (`lockPipeline`, `lockProject`).
 *
 * It never holds more than the database: whatever writes such a table without keeping this up to date makes it forget the
 * table, and any body or commit that fails makes it forget everything.
 */
import type { Job } from '../job.js'
import type { Lease } from '../lease.js'
import type { Pipeline, Stage } from '../pipeline.js'
import type { Project } from '../project.js'
import { RecentMap } from '../recent-map.js'
import type { ProjectFacts } from '../scheduler/match.js'
import type { TraceRow } from '../trace.js'
import type { CurrentJobs } from './current-jobs.js'

/** Rows kept a table: those that were not asked for lately go. */
const limit = 8192
/** Pipelines of which all current jobs are kept. */
const pipelineLimit = 512

/** The counters of a project (`project-counts.ts`). */
export interface ProjectCounts {
  /** The number of its newest pipeline. */
  lastIid: number
  instanceJobs: number
}

/** Rows of one table by an id. They are not to be changed: who wants to takes a copy. */
class KnownTable<Row extends object> {
  readonly #limit: number
  #rows: RecentMap<number, Readonly<Row>>
  #isEmpty = true
  /** For tests: is shown each row that is taken, to compare it with the database. */
  check: ((row: Readonly<Row>) => void) | undefined
  readonly #isAhead: () => boolean

  constructor(isAhead: () => boolean, most = limit) {
    this.#isAhead = isAhead
    this.#limit = most
    this.#rows = new RecentMap(most)
  }

  get(id: number): Readonly<Row> | undefined {
    const row = this.#rows.get(id)
    if (row && this.check && !this.#isAhead()) this.check(row)
    return row
  }

  set(id: number, row: Readonly<Row>): void {
    this.#rows.set(id, row)
    this.#isEmpty = false
  }

  /** The row, if it is known, as what has been written makes it; undefined: it is to be forgotten. */
  change(id: number, written: (row: Readonly<Row>) => Readonly<Row> | undefined): void {
    const row = this.#rows.get(id)
    const now = row && written(row)
    if (now) this.#rows.set(id, now)
    else if (row) this.#rows.delete(id)
  }

  forget(id: number): void {
    this.#rows.delete(id)
  }

  clear(): void {
    if (this.#isEmpty) return
    this.#rows = new RecentMap(this.#limit)
    this.#isEmpty = true
  }
}

/** Rows that one connection has written or read, by job. Transactions that fail make it forget. */
export class KnownRows {
  /** What the body under way has not inserted yet, and is known all the same. */
  unwritten: { readonly isEmpty: boolean } | undefined
  /** By table: the last id that was given, where this connection is the only one that gives them. */
  readonly lastIds = new Map<string, number>()
  readonly #isAhead = () => this.unwritten !== undefined && !this.unwritten.isEmpty
  readonly jobs = new KnownTable<Job>(this.#isAhead)
  /** The newest lease of each job, by the job. */
  readonly leases = new KnownTable<Lease>(this.#isAhead)
  /** By job. */
  readonly traces = new KnownTable<TraceRow>(this.#isAhead)
  readonly pipelines = new KnownTable<Pipeline>(this.#isAhead)
  /** All stages of a pipeline in their order, by the pipeline. */
  readonly stages = new KnownTable<readonly Stage[]>(this.#isAhead)
  /** By pipeline. */
  readonly currentJobs = new KnownTable<CurrentJobs>(this.#isAhead, pipelineLimit)
  readonly projectCounts = new KnownTable<ProjectCounts>(this.#isAhead)
  readonly projects = new KnownTable<Project>(this.#isAhead)
  /** By project; made of it and of the groups above it. */
  readonly projectFacts = new KnownTable<ProjectFacts>(this.#isAhead)

  /** A statement wrote this table without telling what became of its rows. */
  forgetWritten(table: string | undefined): void {
    if (table === undefined) return
    for (const known of this.#madeOf[table] ?? []) known.clear()
    if (table === 'unknown') this.lastIds.clear()
    else this.lastIds.delete(table)
  }

  clear(): void {
    this.forgetWritten('unknown')
  }

  readonly #madeOf: Readonly<Record<string, readonly { clear(): void }[]>> = {
    jobs: [this.jobs, this.currentJobs],
    leases: [this.leases],
    traces: [this.traces],
    pipelines: [this.pipelines],
    stages: [this.stages],
    projects: [this.projects, this.projectFacts, this.projectCounts],
    groups: [this.projectFacts],
    unknown: [
      this.jobs,
      this.currentJobs,
      this.leases,
      this.traces,
      this.pipelines,
      this.stages,
      this.projects,
      this.projectFacts,
      this.projectCounts,
    ],
  }
}

/**
 * The table that a statement writes; undefined: it only reads; `unknown`: it may write several, as a deletion does that
 * takes dependent rows with it.
 */
export function writtenTable(sql: string): string | undefined {
  const written = /^\s*(?:insert into|update)\s+"?(\w+)"?/i.exec(sql)
  if (written) return written[1]!.toLowerCase()
  return /^\s*(?:select|begin|commit|savepoint|release|pragma|with\b(?!.*\b(?:insert|update|delete)\b))/is.test(sql)
    ? undefined
    : 'unknown'
}

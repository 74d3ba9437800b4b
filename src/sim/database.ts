/**
 * The durable state of a coordinator: a real SQLite database in memory, of which each process of the coordinator has a
 * connection as long as it lives. A crash at a commit loses everything after the last commit that went through, since
 * the open transaction is rolled back; what the dead process still asks for is not carried out.
 */
import type { CompiledQuery, QueryResult } from 'kysely'
import type { HotQuery, Params, Row } from '../core/store/hot-query.js'
import { migrateSqlite } from '../core/store/migrate.js'
import { SqliteConnection, type WritingConnection } from '../core/store/sqlite-connection.js'

/** The process dies at a commit: `before` it, so that it is lost, or `after`, so that nobody is told of it. */
export interface CommitCrash {
  /** Commits that go through before. */
  in: number
  when: 'before' | 'after'
}

/**
 * A statement of a transaction fails, and the process lives on: the disk is `full`, with the transaction left open or
 * `rolledBack` by SQLite itself, or BEGIN finds the file `locked`. An I/O error is `fatal`: the process must end.
 */
export interface StatementFault {
  /** Statements that are carried out before. */
  in: number
  kind: 'full' | 'rolledBack' | 'locked' | 'fatal'
}

const faultCodes: Record<StatementFault['kind'], string> = {
  full: 'SQLITE_FULL',
  rolledBack: 'SQLITE_FULL',
  locked: 'SQLITE_BUSY',
  fatal: 'SQLITE_IOERR_WRITE',
}

export class SimDatabase {
  readonly connection: SqliteConnection
  /** What the writer took for known and was not so, if there was anything. */
  mistaken: string | undefined
  readonly #clear: readonly { run(): unknown }[]

  private constructor(connection: SqliteConnection) {
    this.connection = connection
    const { raw } = connection
    const tables = raw
      .prepare(
        "select name from sqlite_master where type = 'table' and name not like 'kysely%' and name <> 'sqlite_sequence'",
      )
      .pluck()
      .all() as string[]
    this.#watch('jobs')
    this.#watch('leases')
    this.#watch('pipelines')
    this.#watch('stages')
    this.#clear = [...tables, 'sqlite_sequence'].map((table) => raw.prepare(`delete from "${table}"`))
  }

  /** A migrated, empty database. */
  static async open(): Promise<SimDatabase> {
    const connection = new SqliteConnection(':memory:', { durable: false })
    await migrateSqlite(connection)
    connection.raw.pragma('foreign_keys = OFF')
    return new SimDatabase(connection)
  }

  /** Compares each row that is taken for known with the one that there is. */
  #watch(table: 'jobs' | 'leases' | 'pipelines' | 'stages'): void {
    const status = this.connection.raw.prepare(`select status from ${table} where id = ?`).pluck()
    const compare = (row: { id: number; status: string }) => {
      const real = status.get(row.id)
      if (real !== row.status) this.mistaken = `${table} ${row.id} is ${String(real)} and was taken for ${row.status}`
    }
    const { known } = this.connection
    if (table === 'stages') known.stages.check = (stages) => stages.forEach(compare)
    else known[table].check = compare
  }

  /** Empties every table, for the next life; prepared statements stay. */
  clear(): void {
    this.mistaken = undefined
    const { raw } = this.connection
    if (raw.inTransaction) raw.exec('rollback')
    for (const statement of this.#clear) statement.run()
  }

  close(): void {
    this.connection.close()
  }
}

export interface LifeOptions {
  moved: () => void
  /** The process has died at a commit. */
  crashed: () => void
}

/** The connection of one process. */
export class LifeConnection implements WritingConnection {
  crash: CommitCrash | undefined
  /** So many of the next commits fail, as on a full disk, and the process lives on. */
  refusals = 0
  fault: StatementFault | undefined
  readonly #shared: SqliteConnection
  readonly #options: LifeOptions
  #dead = false

  constructor(shared: SqliteConnection, options: LifeOptions) {
    this.#shared = shared
    this.#options = options
    shared.known.clear()
    shared.remembered.clear()
  }

  get known(): WritingConnection['known'] {
    return this.#shared.known
  }

  get remembered(): WritingConnection['remembered'] {
    return this.#shared.remembered
  }

  get writes(): number {
    return this.#shared.writes
  }

  get raw(): WritingConnection['raw'] {
    return this.#dead ? Object.create(this.#shared.raw, { inTransaction: { value: false } }) : this.#shared.raw
  }

  exec(sql: string): void {
    if (this.#dead) return
    this.#options.moved()
    this.#mayFail(sql)
    if (sql === 'commit' && this.crash && this.crash.in-- === 0) {
      if (this.crash.when === 'after') this.#shared.exec(sql)
      this.#options.crashed()
      throw new Error('the process has died')
    }
    if (sql === 'commit' && this.refusals > 0) {
      this.refusals--
      throw Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' })
    }
    this.#shared.exec(sql)
  }

  all<Result, Names extends string>(query: HotQuery<Result, Names>, params: Params<Names>): Result[] {
    this.#use()
    this.#mayFail('query')
    return this.#shared.all(query, params)
  }

  change<Names extends string>(query: HotQuery<unknown, Names>, params: Params<Names>, rows?: readonly Row[]): number {
    this.#use()
    this.#mayFail('query')
    return this.#shared.change(query, params, rows)
  }

  newIds(table: string, count: number, after?: number): number[] {
    this.#use()
    return this.#shared.newIds(table, count, after)
  }

  executeQuery<Result>(query: CompiledQuery): Promise<QueryResult<Result>> {
    this.#use()
    this.#mayFail('query')
    return this.#shared.executeQuery(query)
  }

  streamQuery<Result>(): AsyncIterableIterator<QueryResult<Result>> {
    return this.#shared.streamQuery()
  }

  close(): void {
    this.end()
  }

  /** The process is gone, and with it the transaction that it had open. */
  end(): void {
    if (this.#dead) return
    this.#dead = true
    if (this.#shared.raw.inTransaction) this.#shared.raw.exec('rollback')
  }

  #mayFail(sql: string): void {
    const { fault } = this
    if (!fault || (sql !== 'begin immediate' && !this.#shared.raw.inTransaction)) return
    // These write memory only.
    if (/^(?:savepoint|release|rollback)/.test(sql)) return
    if (fault.in-- > 0 || (fault.kind === 'locked' && sql !== 'begin immediate')) return
    this.fault = undefined
    if (fault.kind === 'rolledBack' && this.#shared.raw.inTransaction) this.#shared.raw.exec('rollback')
    throw Object.assign(new Error(`a statement fails: ${fault.kind}`), { code: faultCodes[fault.kind] })
  }

  #use(): void {
    if (this.#dead) throw new Error('the process has died')
    this.#options.moved()
  }
}

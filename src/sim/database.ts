/**
 * The durable state of a coordinator: a real SQLite database in memory, of which each process of the coordinator has a
 * connection as long as it lives. A crash at a commit loses everything after the last commit that went through, since
 * the open transaction is rolled back; what the dead process still asks for is not carried out.
 */
import type { CompiledQuery, QueryResult } from 'kysely'
import type { HotQuery, Params } from '../core/store/hot-query.js'
import { migrateSqlite } from '../core/store/migrate.js'
import { SqliteConnection, type WritingConnection } from '../core/store/sqlite-connection.js'

/** The process dies at a commit: `before` it, so that it is lost, or `after`, so that nobody is told of it. */
export interface CommitCrash {
  /** Commits that go through before. */
  in: number
  when: 'before' | 'after'
}

export class SimDatabase {
  readonly connection: SqliteConnection
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
    this.#clear = [...tables, 'sqlite_sequence'].map((table) => raw.prepare(`delete from "${table}"`))
  }

  /** A migrated, empty database. */
  static async open(): Promise<SimDatabase> {
    const connection = new SqliteConnection(':memory:', { durable: false })
    await migrateSqlite(connection)
    connection.raw.pragma('foreign_keys = OFF')
    return new SimDatabase(connection)
  }

  /** Empties every table, for the next life; prepared statements stay. */
  clear(): void {
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
  readonly #shared: SqliteConnection
  readonly #options: LifeOptions
  #dead = false

  constructor(shared: SqliteConnection, options: LifeOptions) {
    this.#shared = shared
    this.#options = options
    shared.known.clear()
  }

  get known(): WritingConnection['known'] {
    return this.#shared.known
  }

  get raw(): WritingConnection['raw'] {
    return this.#dead ? Object.create(this.#shared.raw, { inTransaction: { value: false } }) : this.#shared.raw
  }

  exec(sql: string): void {
    if (this.#dead) return
    this.#options.moved()
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
    return this.#shared.all(query, params)
  }

  executeQuery<Result>(query: CompiledQuery): Promise<QueryResult<Result>> {
    this.#use()
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

  #use(): void {
    if (this.#dead) throw new Error('the process has died')
    this.#options.moved()
  }
}

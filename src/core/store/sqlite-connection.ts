/** One better-sqlite3 connection as Kysely sees it, with every statement prepared once and kept by its text. */
import Sqlite from 'better-sqlite3'
import {
  type CompiledQuery,
  type ConnectionProvider,
  type DatabaseConnection,
  DefaultQueryExecutor,
  DummyDriver,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import { bind, type CompiledHotQuery, type HotQuery, type Params, type Row, type Value } from './hot-query.js'
import { KnownRows, writtenTable } from './known-rows.js'
import { Remembered } from './remembered.js'
import type { Database } from './schema.js'

/**
 * Oldest SQLite that adds constraints to a table (https://sqlite.org/lang_altertable.html), as migrations do. It is without
 * the WAL-reset corruption race too (https://sqlite.org/wal.html#walresetbug).
 */
const minimumVersion = [3, 53, 0]

/** Statements kept prepared; the product has fewer, so nothing is evicted but the one-off. */
const cacheLimit = 500

/** A connection for one user at a time, to write or to read with. */
export class SqliteConnection implements DatabaseConnection {
  readonly raw: Sqlite.Database
  /** What this connection knows of rows without asking; whoever else writes them through it makes it forget. */
  readonly known = new KnownRows()
  /** Shared by the connections of a store: the one that writes it and those that only read. */
  readonly remembered: Remembered
  readonly #readonly: boolean
  readonly #statements = new Map<string, Prepared>()
  #writes = 0

  /**
   * Opens `file` (or `:memory:`). Sets and reads back the pragmas that durability rests on; throws when one does not hold.
   * `durable` (the default) syncs each commit; without it commits survive this process, but not a loss of power.
   */
  constructor(
    file: string,
    options: { readonly?: boolean; durable?: boolean; busyTimeoutMs?: number; remembered?: Remembered } = {},
  ) {
    const { readonly = false, durable = true, busyTimeoutMs = 5000 } = options
    this.remembered = options.remembered ?? new Remembered()
    this.#readonly = readonly
    this.raw = new Sqlite(file, { readonly, timeout: busyTimeoutMs })
    try {
      this.#configure(file, readonly, durable)
    } catch (error) {
      this.raw.close()
      throw error
    }
  }

  /** Statements so far that may have changed rows. */
  get writes(): number {
    return this.#writes
  }

  executeQuery<Result>(query: CompiledQuery): Promise<QueryResult<Result>> {
    try {
      return Promise.resolve(this.#run(query))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  // biome-ignore lint/correctness/useYield: part of Kysely's interface, and not offered
  async *streamQuery<Result>(): AsyncIterableIterator<QueryResult<Result>> {
    throw new Error('this connection does not stream')
  }

  /** `before` is called if the database is asked at all. */
  all<Result, Names extends string>(
    query: HotQuery<Result, Names>,
    params: Params<Names>,
    before?: () => void,
  ): Result[] {
    const compiled = query.compiledFor('sqlite')
    const values = bind(compiled, params)
    const ask = () => {
      before?.()
      return this.#ask(compiled, values)
    }
    return (compiled.remembered ? this.remembered.rows(compiled, values, !this.#readonly, ask) : ask()) as Result[]
  }

  /** Runs a statement that gives no rows, or of which nobody needs them. Returns how many it has changed. `rows`: to insert. */
  change<Names extends string>(query: HotQuery<unknown, Names>, params: Params<Names>, rows?: readonly Row[]): number {
    const compiled = query.compiledFor('sqlite')
    const values = bind(compiled, params, rows)
    const { statement } = this.#prepare(compiled)
    return statement.reader ? statement.all(values).length : statement.run(values).changes
  }

  #ask(compiled: CompiledHotQuery, values: Value[]): Record<string, unknown>[] {
    const prepared = this.#prepare(compiled)
    if (prepared.statement.reader) return prepared.rows(values)
    prepared.statement.run(values)
    return []
  }

  /** The statement, which is about to run. */
  #prepare({ sql, forgets }: CompiledHotQuery): Prepared {
    const prepared = this.#statement(sql)
    if (forgets !== undefined) this.#forget(forgets)
    if (prepared.writes !== undefined) this.#writes++
    return prepared
  }

  /** Runs a statement without parameters or rows, such as BEGIN. */
  exec(sql: string): void {
    this.#statement(sql).statement.run()
    // What ends on a connection that only reads is no transaction that has written anything.
    if (!this.#readonly && (sql === 'commit' || sql === 'rollback')) this.remembered.settle()
  }

  /** Ids for new rows of the table: nobody else gives any. They are larger than `after`. */
  newIds(table: string, count: number, after = 0): number[] {
    const { lastIds } = this.known
    const last = Math.max(lastIds.get(table) ?? this.#lastId(table), after)
    lastIds.set(table, last + count)
    return Array.from({ length: count }, (_, i) => last + 1 + i)
  }

  /** The largest id that the table has ever had: https://sqlite.org/autoinc.html */
  #lastId(table: string): number {
    const row = this.#statement('select seq from sqlite_sequence where name = ?').rows([table])[0]
    return (row?.seq as number | undefined) ?? 0
  }

  close(): void {
    this.#statements.clear()
    this.raw.close()
  }

  #run<Result>({ sql, parameters }: CompiledQuery): QueryResult<Result> {
    const prepared = this.#statement(sql)
    this.#forget(prepared.writes)
    if (prepared.writes !== undefined) this.#writes++
    if (prepared.statement.reader) return { rows: prepared.rows(parameters as unknown[]) as Result[] }
    const { changes, lastInsertRowid } = prepared.statement.run(parameters as unknown[])
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) }
  }

  #forget(table: string | undefined): void {
    this.known.forgetWritten(table)
    this.remembered.wrote(table)
  }

  #statement(sql: string): Prepared {
    const known = this.#statements.get(sql)
    if (known) return known
    const prepared = new Prepared(this.raw.prepare(sql), sql)
    if (this.#statements.size >= cacheLimit) {
      const oldest = this.#statements.keys().next().value
      if (oldest !== undefined) this.#statements.delete(oldest)
    }
    this.#statements.set(sql, prepared)
    return prepared
  }

  #configure(file: string, readonly: boolean, durable: boolean): void {
    const version = this.raw.prepare('select sqlite_version()').pluck().get() as string
    if (compareVersions(version, minimumVersion) < 0) {
      throw new Error(`SQLite ${version} is too old: ${minimumVersion.join('.')} or newer is needed`)
    }
    const inMemory = file === ':memory:'
    // better-sqlite3 is compiled with a weaker default for WAL: an acknowledged commit could be lost with the power.
    if (durable) this.#expect('synchronous', 'FULL', 2)
    else this.#expect('synchronous', 'OFF', 0)
    if (!readonly && !inMemory) this.#expect('journal_mode', 'WAL', 'wal')
    this.#expect('foreign_keys', 'ON', 1)
    if (!inMemory) this.#expect('mmap_size', '0', 0)
    // A worker moves the log into the file, or each thousandth page would stop the committing thread.
    if (!readonly && !inMemory) this.#expect('wal_autocheckpoint', '0', 0)
    this.raw.pragma('cache_size = -65536')
    this.raw.pragma('temp_store = MEMORY')
  }

  #expect(pragma: string, wanted: string, readBack: string | number): void {
    this.raw.pragma(`${pragma} = ${wanted}`)
    const value = this.raw.pragma(pragma, { simple: true })
    if (value !== readBack) throw new Error(`SQLite keeps ${pragma} at ${String(value)}; ${wanted} is needed`)
  }
}

/**
 * A prepared statement. Its rows are read as arrays and made objects here: half the cost of the driver's own objects, and
 * all of one statement have the same hidden class.
 */
class Prepared {
  readonly statement: Sqlite.Statement
  /** The table that it writes, if it does. */
  readonly writes: string | undefined
  #names: string[] = []
  #blank: Record<string, unknown> = {}

  constructor(statement: Sqlite.Statement, sql: string) {
    this.statement = statement
    this.writes = writtenTable(sql)
    if (statement.reader) statement.raw()
  }

  rows(values: unknown[]): Record<string, unknown>[] {
    const found = this.statement.all(values) as unknown[][]
    // SQLite prepares a statement anew when the schema has changed: `*` may mean more columns now.
    if (found.length > 0 && found[0]!.length !== this.#names.length) this.#readNames()
    const names = this.#names
    return found.map((raw) => {
      const row = { ...this.#blank }
      for (let i = 0; i < names.length; i++) row[names[i]!] = raw[i]
      return row
    })
  }

  #readNames(): void {
    this.#names = this.statement.columns().map((column) => column.name)
    this.#blank = Object.fromEntries(this.#names.map((name) => [name, null]))
  }
}
/** What a store asks of the connection that it writes through: the real one, or one that stands before it. */
export type WritingConnection = Pick<SqliteConnection, keyof SqliteConnection>

/** A Kysely instance whose every query goes where `provider` says. Cheap: made for each body. */
export function kyselyOn(provider: ConnectionProvider): Kysely<Database> {
  return new Kysely<Database>({
    config: { dialect },
    dialect,
    driver,
    executor: new DefaultQueryExecutor(compiler, adapter, provider),
  })
}

const adapter = new SqliteAdapter()
const compiler = new SqliteQueryCompiler()
const driver = new DummyDriver()
const dialect = {
  createAdapter: () => adapter,
  createDriver: () => driver,
  createIntrospector: (db: Kysely<Database>) => new SqliteIntrospector(db),
  createQueryCompiler: () => compiler,
}

function compareVersions(version: string, than: readonly number[]): number {
  const parts = version.split('.').map(Number)
  for (let i = 0; i < than.length; i++) {
    const difference = (parts[i] ?? 0) - than[i]!
    if (difference !== 0) return difference
  }
  return 0
}

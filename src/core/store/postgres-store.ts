/**
 * The store on PostgreSQL: a transaction for each body, READ COMMITTED. A body that folds over rows locks the parent row
 * first, and every UPDATE repeats the guard of its decision. Serialization failures and deadlocks are run again.
 *
 * As on SQLite a body awaits nothing but its own queries: when it has none under way and has not settled by the next
 * macrotask, it has awaited something foreign, would hold its locks for who knows how long, and is rolled back.
 */
import {
  type CompiledQuery,
  type ConnectionProvider,
  type DatabaseConnection,
  DefaultQueryExecutor,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
} from 'kysely'
import pg from 'pg'
import type { Clock, Random } from '../clock.js'
import { SignalboxError } from '../errors.js'
import { bind, type HotQuery, type Params } from './hot-query.js'
import type { Database } from './schema.js'
import { type Body, Effects, type Reader, type Store, type StoreStats, type Tx } from './write.js'

export interface PostgresStoreOptions {
  /** `postgres://user:password@host:port/database`. */
  url: string
  clock: Clock
  random: Random
  /** A bug or a failed effect, for the log. */
  report: (error: unknown, what: string) => void
  /** Connections in all; default 10. */
  connections?: number
}

const attempts = 5
const retryable = new Set(['40001', '40P01'])
/** Lost connections, a server that stops or starts, too many connections. */
const unavailable = /^(08|57P0|53)/

// Ids and times fit a double exactly; text would have to be converted at every use.
const types = new pg.TypeOverrides()
types.setTypeParser(pg.types.builtins.INT8, Number)

export class PostgresStore implements Store {
  readonly engine = 'postgres' as const
  readonly read: Reader
  readonly stats: StoreStats = { commits: 0, bodies: 0 }
  readonly pool: pg.Pool
  readonly #options: PostgresStoreOptions
  readonly #open = new Set<Promise<unknown>>()
  #closed: Promise<void> | undefined

  constructor(options: PostgresStoreOptions) {
    this.#options = options
    this.pool = new pg.Pool({
      connectionString: options.url,
      max: options.connections ?? 10,
      types,
      allowExitOnIdle: true,
    })
    this.pool.on('error', (error) => options.report(error, 'an idle database connection'))
    this.read = {
      db: kyselyOn({ provideConnection: (consumer) => consumer(connectionOn((query) => this.pool.query(query))) }),
      all: async (query, params) => (await this.pool.query(statement(query, params))).rows,
      first: async (query, params) => (await this.pool.query(statement(query, params))).rows[0],
    }
  }

  write<T>(body: Body<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new SignalboxError('unavailable', 'the store is closed'))
    const work = this.#attempt(body)
    const settled = work.then(
      () => undefined,
      () => undefined,
    )
    this.#open.add(settled)
    void settled.then(() => this.#open.delete(settled))
    return work
  }

  close(): Promise<void> {
    this.#closed ??= Promise.all(this.#open).then(() => this.pool.end())
    return this.#closed
  }

  async #attempt<T>(body: Body<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const effects = new Effects()
      try {
        const value = await this.#transaction(body, effects)
        this.stats.commits++
        this.stats.bodies++
        effects.committed((error) => this.#options.report(error, 'effect'))
        return value
      } catch (error) {
        effects.rolledBack((fault) => this.#options.report(fault, 'undo'))
        const code = String((error as { code?: unknown })?.code)
        if (retryable.has(code) && attempt < attempts) continue
        if (retryable.has(code) || unavailable.test(code) || isConnectionError(error)) {
          throw new SignalboxError('unavailable', 'the store is not available', { cause: error })
        }
        throw error
      }
    }
  }

  async #transaction<T>(body: Body<T>, effects: Effects): Promise<T> {
    const client = await this.pool.connect()
    // Without a listener a connection lost between two queries would end the process.
    const ignore = () => undefined
    client.on('error', ignore)
    let broken = false
    const scope = new BodyScope(client, this.#options, effects)
    try {
      await client.query('begin')
      const value = await scope.run(body)
      await client.query('commit')
      return value
    } catch (error) {
      await client.query('rollback').catch(() => {
        broken = true
      })
      throw error
    } finally {
      scope.close()
      client.off('error', ignore)
      client.release(broken)
    }
  }
}

/** What one body may touch, and only until it has ended. */
class BodyScope {
  readonly #client: pg.PoolClient
  readonly #options: PostgresStoreOptions
  readonly #effects: Effects
  readonly #tx: Tx
  #open = true
  #underWay = 0
  #caught: ((bug: Error) => void) | undefined

  constructor(client: pg.PoolClient, options: PostgresStoreOptions, effects: Effects) {
    this.#client = client
    this.#effects = effects
    this.#options = options
    const guarded = connectionOn((query) => this.#query(query))
    const all = async <Result, Names extends string>(query: HotQuery<Result, Names>, params: Params<Names>) =>
      (await this.#query(statement(query, params))).rows as Result[]
    this.#tx = {
      engine: 'postgres',
      // One query at a time: a transaction is a conversation.
      db: kyselyOn({ provideConnection: (consumer) => consumer(guarded) }),
      now: options.clock.now(),
      random: options.random,
      all,
      first: async (query, params) => (await all(query, params))[0],
      atEnd: (step) => effects.atEnd(step),
      afterCommit: (effect) => effects.afterCommit(effect),
      onRollback: (undo) => effects.onRollback(undo),
    }
  }

  run<T>(body: Body<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#caught = (bug) => {
        this.#options.report(bug, 'write')
        reject(new SignalboxError('internal', 'internal error', { cause: bug }))
      }
      const ended = this.#effects.complete(body, this.#tx)
      ended.then(resolve, reject).finally(() => this.close())
      this.#watch()
    })
  }

  close(): void {
    this.#open = false
  }

  async #query(query: pg.QueryConfig): Promise<pg.QueryResult> {
    if (!this.#open) throw new Error('this transaction body has ended')
    this.#underWay++
    try {
      return await this.#client.query(query)
    } finally {
      this.#underWay--
      this.#watch()
    }
  }

  #watch(): void {
    setImmediate(() => {
      if (!this.#open || this.#underWay > 0) return
      this.close()
      this.#caught?.(new Error('a transaction body awaited something other than its own queries'))
    })
  }
}

function connectionOn(run: (query: pg.QueryConfig) => Promise<pg.QueryResult>): DatabaseConnection {
  return {
    async executeQuery<Result>(query: CompiledQuery): Promise<QueryResult<Result>> {
      const result = await run({ text: query.sql, values: [...query.parameters] })
      return {
        rows: result.rows as Result[],
        ...(result.command === 'SELECT' ? {} : { numAffectedRows: BigInt(result.rowCount ?? 0) }),
      }
    },
    // biome-ignore lint/correctness/useYield: part of Kysely's interface, and not offered
    async *streamQuery() {
      throw new Error('this connection does not stream')
    },
  }
}

function statement<Names extends string>(query: HotQuery<unknown, Names>, params: Params<Names>): pg.QueryConfig {
  const compiled = query.compiledFor('postgres')
  return { name: compiled.name, text: compiled.sql, values: bind(compiled, params) }
}

function isConnectionError(error: unknown): boolean {
  return /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND)$/.test(String((error as { code?: unknown })?.code))
}

function kyselyOn(provider: ConnectionProvider): Kysely<Database> {
  return new Kysely<Database>({
    config: { dialect },
    dialect,
    driver,
    executor: new DefaultQueryExecutor(compiler, adapter, provider),
  })
}

const adapter = new PostgresAdapter()
const compiler = new PostgresQueryCompiler()
const driver = new DummyDriver()
const dialect = {
  createAdapter: () => adapter,
  createDriver: () => driver,
  createIntrospector: (db: Kysely<Database>) => new PostgresIntrospector(db),
  createQueryCompiler: () => compiler,
}

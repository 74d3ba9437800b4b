/**
 * The store on PostgreSQL: a transaction for each body, READ COMMITTED. A body that folds over rows locks the parent row
 * first, and every UPDATE repeats the guard of its decision. Serialization failures, deadlocks and what another has just made are run again. A COMMIT
 * whose answer is lost is neither done nor undone until the server has said what became of it.
 *
 * The server may be far away, so a body waits for as few answers as it can: statements are sent as they come, and only who
 * needs an answer waits for it (`pipeline` of the client). BEGIN goes with the first of them. What a body writes it does not
 * wait for; before COMMIT is sent all answers are there, none says that a statement failed, and each guarded UPDATE has found
 * its row.
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
  sql,
} from 'kysely'
import pg from 'pg'
import { asFault } from '../as-fault.js'
import type { Clock, Random } from '../clock.js'
import { SignalboxError } from '../errors.js'
import { bind, type HotQuery, hotQuery, type Params } from './hot-query.js'
import { insertions, type Row } from './insert-many.js'
import { KnownRows, writtenTable } from './known-rows.js'
import { askFate, type Fate, type SentCommit, statisticsSince } from './postgres-commit.js'
import { asUnavailable, isAway, leavesOpen } from './postgres-faults.js'
import { channel, hearOn } from './postgres-hear.js'
import type { Database } from './schema.js'
import { Unwritten } from './unwritten.js'
import { seesUnwritten, type UnwrittenTable, unwrittenTables } from './unwritten-tables.js'
import { type Body, Effects, type Hearing, type Reader, type Store, type StoreStats, type Tx } from './write.js'

/** Where the database is, and what the store takes from its node. */
export interface PostgresStoreOptions {
  /** `postgres://user:password@host:port/database`. */
  url: string
  clock: Clock
  random: Random
  /** A bug or a failed effect, for the log. */
  report: (error: unknown, what: string) => void
  /** Connections in all; default 10. */
  connections?: number
  /** How long an answer to COMMIT, and then what became of it, is waited for, in milliseconds; default 10 s each. */
  commitWaitMs?: number
}

const attempts = 5
const retryable = new Set(['40001', '40P01'])
/** A unique index has refused: somebody else has committed the same since the body looked. It looks again, and says so itself. */
const taken = '23505'
/** How long a connection, or one that is free, is waited for. */
const connectWithinMs = 10_000
/** No query of ours takes a minute: whoever is silent for longer is gone without a word. */
const answerWithinMs = 60_000
const defaultCommitWaitMs = 10_000
/** Between two questions about a lost commit. */
const askAgainMs = 250

// Ids and times fit a double exactly; text would have to be converted at every use.
const types = new pg.TypeOverrides()
types.setTypeParser(pg.types.builtins.INT8, Number)

/** The store on PostgreSQL. Several nodes may use one database. */
export class PostgresStore implements Store {
  readonly engine = 'postgres' as const
  readonly read: Reader
  readonly stats: StoreStats = { commits: 0, bodies: 0 }
  readonly pool: pg.Pool
  readonly #options: PostgresStoreOptions
  readonly #open = new Set<Promise<unknown>>()
  /** When the statistics of its server began, by connection. */
  readonly #since = new WeakMap<pg.PoolClient, string>()
  #closed: Promise<void> | undefined

  constructor(options: PostgresStoreOptions) {
    this.#options = options
    this.pool = openPool(options, {
      max: options.connections ?? 10,
      pipeline: true,
      query_timeout: answerWithinMs,
      idle_in_transaction_session_timeout: answerWithinMs,
    })
    const ask = (query: pg.QueryConfig) => this.#ask(query)
    this.read = {
      get now() {
        return options.clock.now()
      },
      engine: 'postgres',
      db: kyselyOn({ provideConnection: (consumer) => consumer(connectionOn(ask)) }),
      all: async (query, params) => (await ask(statement(query, params))).rows,
      first: async (query, params) => (await ask(statement(query, params))).rows[0],
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
    settled.then(() => this.#open.delete(settled)).catch(asFault)
    return work
  }

  hear(hearing: Hearing): () => Promise<void> {
    return hearOn(this.#options, hearing)
  }

  close(): Promise<void> {
    this.#closed ??= Promise.all(this.#open).then(() => this.pool.end())
    return this.#closed
  }

  async #ask(query: pg.QueryConfig): Promise<pg.QueryResult> {
    try {
      return await this.pool.query(query)
    } catch (error) {
      throw asUnavailable(error)
    }
  }

  async #attempt<T>(body: Body<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const effects = new Effects()
      try {
        const value = await this.#transaction(body, effects)
        this.#committed(effects)
        return value
      } catch (error) {
        if (error instanceof LostCommit) return this.#settle(error, effects)
        this.#rolledBack(effects)
        const code = String((error as { code?: unknown })?.code)
        if (code === taken && attempt === 1) continue
        const again = retryable.has(code)
        if (again && attempt < attempts) continue
        if (again) throw new SignalboxError('unavailable', 'the store is not available', { cause: error })
        throw asUnavailable(error)
      }
    }
  }

  #committed(effects: Effects): void {
    this.stats.commits++
    this.stats.bodies++
    effects.committed((error) => this.#options.report(error, 'effect'))
  }

  #rolledBack(effects: Effects): void {
    effects.rolledBack((fault) => this.#options.report(fault, 'undo'))
  }

  /**
   * Effects follow as soon as the server has told what became of the commit, however long that takes; whoever waits is
   * told after a while that it is not known.
   */
  async #settle<T>(lost: LostCommit, effects: Effects): Promise<T> {
    const settled = this.#fate(lost.sent).then((fate) => {
      if (fate === 'committed') this.#committed(effects)
      else this.#rolledBack(effects)
      return fate
    })
    let stop = () => {}
    const late = new Promise<Fate>((resolve) => {
      const timer = setTimeout(() => resolve('unknown'), this.#options.commitWaitMs ?? defaultCommitWaitMs)
      stop = () => clearTimeout(timer)
    })
    const fate = await Promise.race([settled, late]).finally(stop)
    if (fate === 'committed') return lost.value as T
    throw new SignalboxError('unavailable', 'the store is not available', {
      cause: lost.cause,
      details: { away: true, ...(fate === 'unknown' ? { uncertain: true } : {}) },
    })
  }

  /** Asks until there is an answer, or nobody to ask any more. */
  async #fate(sent: SentCommit): Promise<Fate> {
    while (!this.#closed) {
      try {
        const fate = await askFate((query) => this.pool.query(query), sent)
        if (fate === 'unknown')
          this.#options.report(new Error(`transaction ${sent.xid}`), 'a commit of unknown outcome')
        if (fate) return fate
      } catch (error) {
        if (!isAway(error)) {
          this.#options.report(error, 'asking about a commit')
          return 'unknown'
        }
      }
      await new Promise((resolve) => setTimeout(resolve, askAgainMs).unref())
    }
    return 'unknown'
  }

  async #transaction<T>(body: Body<T>, effects: Effects): Promise<T> {
    const client = await this.pool.connect()
    let broken = false
    const scope = new BodyScope(client, this.#options, effects)
    try {
      const begun = this.#begin(client)
      const value = await scope.run(body, begun)
      await this.#commit(client, await begun, value)
      return value
    } catch (error) {
      // Of a connection that has failed nothing more is asked: it might take a minute to say so.
      broken = error instanceof LostCommit || isAway(error)
      if (!broken) {
        await client.query('rollback').catch(() => {
          broken = true
        })
      }
      throw error
    } finally {
      scope.close()
      client.release(broken)
    }
  }

  /** Begins, and learns what the server will know the transaction by. What is sent meanwhile belongs to the transaction. */
  async #begin(client: pg.PoolClient): Promise<SentCommit> {
    const known = this.#since.get(client)
    const asked = known ?? statisticsSince((query) => client.query(query))
    const begin: Promise<unknown> = client.query('begin; select pg_current_xact_id()::text as xid')
    const [since, answers] = await Promise.all([asked, begin])
    this.#since.set(client, since)
    const { processID } = client as unknown as { processID: number }
    return { xid: (answers as pg.QueryResult[])[1]!.rows[0].xid, backend: processID, statisticsSince: since }
  }

  async #commit(client: pg.PoolClient, sent: SentCommit, value: unknown): Promise<void> {
    try {
      const config = { text: 'commit', query_timeout: this.#options.commitWaitMs ?? defaultCommitWaitMs }
      const { command } = await client.query(config)
      // What PostgreSQL answers when a query of the transaction had failed and the body has gone on all the same.
      if (command !== 'COMMIT') throw new Error('a query failed, and its transaction body has not')
    } catch (error) {
      if (error instanceof pg.DatabaseError || isAway(error)) {
        if (leavesOpen(error)) throw new LostCommit(sent, value, error)
      }
      throw error
    }
  }
}

/** COMMIT was sent, and what became of it is not known. */
class LostCommit extends Error {
  constructor(
    readonly sent: SentCommit,
    /** What the body gave. */
    readonly value: unknown,
    override readonly cause: unknown,
  ) {
    super('the answer to a commit was lost')
  }
}

/** A pool that survives whatever happens to its connections. Migrations, which may take long, have one of their own. */
export function openPool(
  { url, report }: Pick<PostgresStoreOptions, 'url' | 'report'>,
  config: pg.PoolConfig = {},
): pg.Pool {
  // The pool listens to a client only while it is idle; an error that nobody listens for would end the process.
  class Client extends pg.Client {
    constructor(options?: pg.ClientConfig) {
      super(options)
      this.on('error', () => undefined)
    }
  }
  const pool = new pg.Pool({
    connectionString: url,
    types,
    allowExitOnIdle: true,
    keepAlive: true,
    connectionTimeoutMillis: connectWithinMs,
    ...config,
    Client,
  })
  pool.on('error', (error) => report(error, 'an idle database connection'))
  return pool
}

/** What one body may touch, and only until it has ended. */
class BodyScope {
  readonly #client: pg.PoolClient
  readonly #options: PostgresStoreOptions
  readonly #effects: Effects
  readonly #tx: Tx
  readonly #unwritten: Unwritten
  /** By table: ids that were drawn and have not been used. */
  readonly #ids = new Map<UnwrittenTable, number[]>()
  #open = true
  #begun: Promise<unknown> | undefined
  #underWay = 0
  /** Statements that were sent and not waited for. */
  #sent: Promise<void>[] = []
  /** Why the first of them failed; whatever comes after it in the transaction is refused. */
  #failure: { error: unknown } | undefined
  #caught: ((bug: Error) => void) | undefined

  constructor(client: pg.PoolClient, options: PostgresStoreOptions, effects: Effects) {
    this.#client = client
    this.#effects = effects
    this.#options = options
    const known = new KnownRows()
    const unwritten = new Unwritten()
    known.unwritten = unwritten
    this.#unwritten = unwritten
    const guarded = connectionOn(async (query) => {
      if (this.#begun) await this.#ready(query.text)
      if (seesUnwritten(query.text)) this.#insertUnwritten()
      known.forgetWritten(writtenTable(query.text))
      return this.#query(query)
    })
    const prepare = (query: { compiledFor: HotQuery<unknown, never>['compiledFor'] }) => {
      const { forgets, seesUnwritten } = query.compiledFor('postgres')
      if (seesUnwritten) this.#insertUnwritten()
      known.forgetWritten(forgets)
    }
    const all = async <Result, Names extends string>(query: HotQuery<Result, Names>, params: Params<Names>) => {
      if (this.#begun) await this.#ready(query.compiledFor('postgres').sql)
      prepare(query)
      return (await this.#query(statement(query, params))).rows as Result[]
    }
    const change = async <Names extends string>(query: HotQuery<unknown, Names>, params: Params<Names>) => {
      if (this.#begun) await this.#ready(query.compiledFor('postgres').sql)
      prepare(query)
      return (await this.#query(statement(query, params))).rowCount ?? 0
    }
    const draw = async (table: UnwrittenTable, count: number) =>
      (await all(idQueries.get(table)!, { count })).map(({ id }) => id)
    this.#tx = {
      engine: 'postgres',
      // One query at a time: a transaction is a conversation.
      db: kyselyOn({ provideConnection: (consumer) => consumer(guarded) }),
      now: options.clock.now(),
      random: options.random,
      known,
      unwritten,
      newIds: async (table, count) => {
        const ids = this.#ids.get(table)?.splice(0, count) ?? []
        const more = count - ids.length
        return more === 0 ? ids : [...ids, ...(await draw(table, more))]
      },
      prepareIds: async (counts) => {
        const wanted = Object.entries(counts) as [UnwrittenTable, number][]
        await Promise.all(wanted.map(async ([table, count]) => this.#ids.set(table, await draw(table, count))))
      },
      all,
      first: async (query, params) => (await all(query, params))[0],
      later: async (query, params, unless) => {
        if (this.#begun) await this.#ready(query.compiledFor('postgres').sql)
        prepare(query)
        this.#send(statement(query, params), unless)
      },
      change,
      insert: async (statements, rows) => {
        for (const { query, rows: some } of insertions(statements, rows)) {
          if (this.#begun) await this.#ready(query.compiledFor('postgres').sql)
          prepare(query)
          this.#send(statement(query, {}, some))
        }
      },
      tell: async (text) => {
        if (this.#begun) await this.#begun
        this.#send({ name: 'tell', text: 'select pg_notify($1, $2)', values: [channel, text] })
      },
      together: async (queries) => {
        await Promise.all(queries.map((query) => query()))
      },
      once: (key, make) => effects.once(key, make),
      atEnd: (step) => effects.atEnd(step),
      afterCommit: (effect) => effects.afterCommit(effect),
      onRollback: (undo) => effects.onRollback(undo),
    }
  }

  run<T>(body: Body<T>, begun: Promise<unknown>): Promise<T> {
    // A query of the body as any other.
    this.#underWay++
    this.#begun = begun
      .then(() => {
        this.#begun = undefined
      })
      .finally(() => this.#answered())
    this.#begun.catch(() => undefined)
    return new Promise<T>((resolve, reject) => {
      this.#caught = (bug) => {
        this.#options.report(bug, 'write')
        reject(new SignalboxError('internal', 'internal error', { cause: bug }))
      }
      const ended = this.#effects.complete(body, this.#tx, () => this.#settle())
      ended.then(resolve, (error) => reject(this.#failure?.error ?? error)).finally(() => this.close())
      this.#watch()
    })
  }

  /** Sends what the body has left to write, and waits until the answers say that all is well. */
  async #settle(): Promise<void> {
    this.#insertUnwritten()
    await Promise.all(this.#sent)
    if (this.#failure) throw this.#failure.error
  }

  /** What writes must not be sent before the transaction has begun: it would be none of its. */
  async #ready(sql: string): Promise<void> {
    if (writtenTable(sql) !== undefined) await this.#begun
  }

  #insertUnwritten(): void {
    for (const { query, rows } of this.#unwritten.take()) this.#send(statement(query, {}, rows))
  }

  #send(query: pg.QueryConfig, unless?: () => Error): void {
    const answered = this.#query(query).then(
      ({ rowCount }) => {
        if (unless && rowCount === 0) this.#failure ??= { error: unless() }
      },
      (error: unknown) => {
        this.#failure ??= { error }
      },
    )
    this.#sent.push(answered)
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
      this.#answered()
    }
  }

  #answered(): void {
    this.#underWay--
    this.#watch()
  }

  #watch(): void {
    setImmediate(() => {
      if (!this.#open || this.#underWay > 0) return
      this.close()
      this.#caught?.(new Error('a transaction body awaited something other than its own queries'))
    })
  }
}

/** Draws from the sequence of the table's ids. */
function idQuery(table: UnwrittenTable): HotQuery<{ id: number }, 'count'> {
  const draw = (count: unknown) =>
    sql`select nextval('${sql.raw(table)}_id_seq') as id from generate_series(1, ${count}::integer)`
  return hotQuery((db, p) => ({ compile: () => draw(p('count')).compile(db) }))
}

const idQueries = new Map(unwrittenTables.map((table) => [table, idQuery(table)] as const))

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

function statement<Names extends string>(
  query: HotQuery<unknown, Names>,
  params: Params<Names>,
  rows?: readonly Row[],
): pg.QueryConfig {
  const compiled = query.compiledFor('postgres')
  return { name: compiled.name, text: compiled.sql, values: bind(compiled, params, rows) }
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

/**
 * A store on the same database with the manners of PostgreSQL at READ COMMITTED, as far as one connection can have them
 * honestly. Each body has a transaction and a commit of its own, bodies begin in any order, and:
 *
 * - Until its first write a body may be stopped before any of its queries while others run and commit: each of its queries
 *   sees what was committed before that query. From its first write to its end nothing comes between.
 * - Rows that a stopped body has locked (`for update`, `for share`) are its own: a body that wants to lock or write one
 *   starts over when the stopped one has ended, which is where PostgreSQL would have let it go on, or begin again.
 * - A body may be run a second time, as after a serialisation failure (40001): all that the first run did is undone.
 *
 * What is lost against PostgreSQL are histories in which two transactions both have uncommitted writes; those are the
 * same as one of the histories here, or a deadlock, as long as bodies see one another's writes only through commits.
 */
import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely'
import { asFault } from '../core/as-fault.js'
import type { Clock, Random } from '../core/clock.js'
import { SignalboxError } from '../core/errors.js'
import type { HotQuery, Params, Row } from '../core/store/hot-query.js'
import { insertions } from '../core/store/insert-many.js'
import { KnownRows, writtenTable } from '../core/store/known-rows.js'
import { kyselyOn, type WritingConnection } from '../core/store/sqlite-connection.js'
import { Unwritten } from '../core/store/unwritten.js'
import { seesUnwritten } from '../core/store/unwritten-tables.js'
import { type Body, Effects, type Reader, type Store, type StoreStats, type Tx } from '../core/store/write.js'
import type { SimRandom } from './random.js'

export interface ReadCommittedOptions {
  connection: WritingConnection
  clock: Clock
  /** For what bodies draw. */
  random: Random
  /** For the order of things. */
  order: SimRandom
  /** How often, at a query, other bodies come between. */
  interleaving: number
  /** How often a body is run a second time. */
  repeating: number
  report: (error: unknown, what: string) => void
}

interface Pending {
  body: Body<unknown>
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
}

/** The body must start over: what it wants is held by one that is stopped, or it was chosen to. */
class StartOver extends Error {}

const lockClause = /\s+for (?:no key )?(?:update|share)\s*$/i
/** Nobody else takes a path meanwhile: two bodies that make places are never at it at once here. */
const pathLock = /^\s*select pg_advisory_xact_lock\(hashtextextended\((.*), 0\)\)\s*$/i
const databaseTime = '(extract(epoch from clock_timestamp()) * 1000)::bigint'
const write = /^\s*(?:insert|update|delete)\b/i
const changedTable = /^\s*(?:insert into|update|delete from)\s+"?(\w+)/i
const readTable = /\bfrom\s+"?(\w+)/i

export class ReadCommittedStore implements Store {
  /** What it speaks; bodies are told that they are on PostgreSQL, so that they lock. */
  readonly engine = 'sqlite' as const
  readonly read: Reader
  readonly stats: StoreStats = { commits: 0, bodies: 0 }
  readonly #options: ReadCommittedOptions
  #queue: Pending[] = []
  #state: 'idle' | 'running' | 'closed' = 'idle'
  /** The body that others have come between, if there is one. */
  #stopped: Running | undefined
  #writing: Promise<void> | undefined
  /** By table: the last id that was drawn. */
  readonly #lastIds = new Map<string, number>()

  constructor(options: ReadCommittedOptions) {
    this.#options = options
    const { connection, clock } = options
    const committed = async <T>(read: () => T | Promise<T>): Promise<T> => {
      while (this.#writing) await this.#writing
      return read()
    }
    this.read = {
      get now() {
        return clock.now()
      },
      engine: this.engine,
      db: kyselyOn({ provideConnection: (consumer) => committed(() => consumer(connection)) }),
      all: (query, params) => committed(() => connection.all(query, params)),
      first: (query, params) => committed(() => connection.all(query, params)[0]),
    }
  }

  write<T>(body: Body<T>): Promise<T> {
    if (this.#state === 'closed') return Promise.reject(new SignalboxError('unavailable', 'the store is closed'))
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ body, resolve: resolve as (value: unknown) => void, reject })
      if (this.#state === 'running') return
      this.#state = 'running'
      setImmediate(() => {
        this.#pump().catch(asFault)
      })
    })
  }

  hear(): () => Promise<void> {
    return async () => undefined
  }

  async close(): Promise<void> {
    this.#state = 'closed'
    this.#options.connection.close()
  }

  async #pump(): Promise<void> {
    while (this.#queue.length > 0) await this.#run(this.#takeOne())
    if (this.#state === 'running') this.#state = 'idle'
  }

  #takeOne(): Pending {
    return this.#queue.splice(this.#options.order.int(this.#queue.length), 1)[0]!
  }

  /** Other bodies come, run and commit, before `running` goes on. */
  async #letOthersBetween(running: Running): Promise<void> {
    const { order, interleaving } = this.#options
    if (this.#stopped || !order.chance(interleaving)) return
    this.#stopped = running
    const later: Pending[] = []
    while (this.#queue.length > 0 && order.chance(0.7)) {
      const other = this.#takeOne()
      if (!(await this.#run(other))) later.push(other)
    }
    this.#queue.push(...later)
    this.#stopped = undefined
  }

  /** Returns false if the body must start over once the stopped one has ended. */
  async #run(pending: Pending): Promise<boolean> {
    const { connection, order, repeating, report } = this.#options
    for (let again = order.chance(repeating); ; again = false) {
      const running = new Running(this.#options, {
        between: (one) => this.#letOthersBetween(one),
        lockedElsewhere: (rows) => this.#stopped !== undefined && rows.some((row) => this.#stopped!.locks.has(row)),
        lockedTable: (table) =>
          this.#stopped !== undefined && [...this.#stopped.locks].some((row) => row.startsWith(`${table} `)),
        writes: (until) => {
          this.#writing = until
        },
        newIds: (table, count) => this.#newIds(table, count),
      })
      try {
        const value = await running.effects.complete(pending.body, running.tx, () => running.insertUnwritten())
        if (again) throw new StartOver()
        if (running.writing) connection.exec('commit')
        this.#ended(running)
        this.stats.commits++
        this.stats.bodies++
        running.effects.committed((error) => report(error, 'effect'))
        pending.resolve(value)
        return true
      } catch (error) {
        if (running.writing && connection.raw.inTransaction) connection.exec('rollback')
        this.#ended(running)
        running.effects.rolledBack((fault) => report(fault, 'undo'))
        if (error instanceof StartOver) {
          if (again) continue
          return false
        }
        // As PostgreSQL's classes 53 and 57 are told.
        const away = /^SQLITE_/.test(String((error as { code?: unknown })?.code))
        pending.reject(away ? new SignalboxError('unavailable', 'the store is not available', { cause: error }) : error)
        return true
      }
    }
  }

  /** As from a sequence: nobody gets one twice, whatever becomes of the body that drew it. */
  #newIds(table: string, count: number): number[] {
    const ids = this.#options.connection.newIds(table, count, this.#lastIds.get(table))
    this.#lastIds.set(table, ids.at(-1)!)
    return ids
  }

  #ended(running: Running): void {
    running.end()
    this.#writing = undefined
  }
}

interface Neighbours {
  between(running: Running): Promise<void>
  lockedElsewhere(rows: readonly string[]): boolean
  lockedTable(table: string): boolean
  writes(until: Promise<void>): void
  newIds(table: string, count: number): number[]
}

const plain = new WeakMap<object, HotQuery<never, never>>()

/** The query without its locking clause, which SQLite does not know. */
function plainly<Result, Names extends string>(query: HotQuery<Result, Names>): HotQuery<Result, Names> {
  let known = plain.get(query) as HotQuery<Result, Names> | undefined
  if (!known) {
    const compiled = query.compiledFor('sqlite')
    const stripped = { ...compiled, sql: compiled.sql.replace(lockClause, '') }
    known = { ...query, compiledFor: () => stripped }
    plain.set(query, known as unknown as HotQuery<never, never>)
  }
  return known
}

/** One run of a body. */
class Running {
  readonly tx: Tx
  readonly effects = new Effects()
  /** `TABLE ID` of the rows that it has locked. */
  readonly locks = new Set<string>()
  readonly #known = new KnownRows()
  readonly #unwritten = new Unwritten()
  writing = false
  readonly #connection: WritingConnection
  readonly #neighbours: Neighbours
  #end: () => void = () => undefined
  #over = false

  constructor({ connection, clock, random }: ReadCommittedOptions, neighbours: Neighbours) {
    this.#connection = connection
    this.#neighbours = neighbours
    const { effects } = this
    const guarded: DatabaseConnection = {
      executeQuery: (query) => this.#execute(query),
      streamQuery: () => connection.streamQuery(),
    }
    const all = <Result, Names extends string>(query: HotQuery<Result, Names>, params: Params<Names>) =>
      this.#all(query, params)
    this.tx = {
      engine: 'postgres',
      db: kyselyOn({ provideConnection: (consumer) => consumer(guarded) }),
      now: clock.now(),
      random,
      known: this.#known,
      unwritten: this.#unwritten,
      newIds: async (table, count) => neighbours.newIds(table, count),
      prepareIds: async () => undefined,
      all,
      first: async (query, params) => (await all(query, params))[0],
      later: async (query, params, unless) => {
        const changed = await this.#change(query, params)
        if (unless && changed === 0) throw unless()
      },
      change: (query, params) => this.#change(query, params),
      insert: async (statements, rows) => {
        for (const { query, rows: some } of insertions(statements, rows)) await this.#change(query, {}, some)
      },
      // The simulation has one node.
      tell: async () => undefined,
      together: async (queries) => {
        for (const query of queries) await query()
      },
      once: (key, make) => effects.once(key, make),
      atEnd: (step) => effects.atEnd(step),
      afterCommit: (effect) => effects.afterCommit(effect),
      onRollback: (undo) => effects.onRollback(undo),
    }
  }

  /** Inserts the rows that wait. */
  async insertUnwritten(): Promise<void> {
    for (const { query, rows } of this.#unwritten.take()) await this.#change(query, {}, rows)
  }

  end(): void {
    this.#over = true
    this.#end()
  }

  async #all<Result, Names extends string>(query: HotQuery<Result, Names>, params: Params<Names>): Promise<Result[]> {
    const sql = await this.#beforeHot(query, params)
    const locks = lockClause.test(query.compiledFor('postgres').sql)
    const rows = this.#connection.all(locks ? plainly(query) : query, params)
    if (locks) this.#lock(sql, rows as { id: number }[])
    return rows
  }

  async #change<Names extends string>(
    query: HotQuery<unknown, Names>,
    params: Params<Names>,
    rows?: readonly Row[],
  ): Promise<number> {
    await this.#beforeHot(query, params)
    return this.#connection.change(query, params, rows)
  }

  /** What comes before a hot query. Returns its text. */
  async #beforeHot<Names extends string>(query: HotQuery<unknown, Names>, params: Params<Names>): Promise<string> {
    const { sql, forgets, seesUnwritten } = query.compiledFor('sqlite')
    if (seesUnwritten) await this.insertUnwritten()
    this.#known.forgetWritten(forgets)
    const given = params as Readonly<Record<string, unknown>>
    await this.#before(sql, given.id === undefined ? undefined : `${given.id as number}`)
    return sql
  }

  async #execute<Result>(query: CompiledQuery): Promise<QueryResult<Result>> {
    if (seesUnwritten(query.sql)) await this.insertUnwritten()
    this.#known.forgetWritten(writtenTable(query.sql))
    const locks = lockClause.test(query.sql)
    const plain = { ...query, sql: this.#inSqlite(query.sql) }
    await this.#before(plain.sql, undefined)
    const result = await this.#connection.executeQuery<Result>(plain)
    if (locks) this.#lock(plain.sql, result.rows as { id: number }[])
    return result
  }

  /** The same without what SQLite has no words for: locks, which are kept here, and the time of a database's machine. */
  #inSqlite(sql: string): string {
    return sql.replace(lockClause, '').replace(pathLock, 'select $1').replaceAll(databaseTime, String(this.tx.now))
  }

  /** What comes before a query: others, as long as nothing is written; then the transaction that the first write opens. */
  async #before(sql: string, id: string | undefined): Promise<void> {
    if (this.#over) throw new Error('this transaction body has ended')
    if (!this.writing) await this.#neighbours.between(this)
    if (!write.test(sql)) return
    const table = changedTable.exec(sql)?.[1] ?? ''
    const taken =
      id === undefined ? this.#neighbours.lockedTable(table) : this.#neighbours.lockedElsewhere([`${table} ${id}`])
    if (taken && !sql.trimStart().toLowerCase().startsWith('insert')) throw new StartOver()
    if (this.writing) return
    this.#connection.exec('begin immediate')
    this.writing = true
    this.#neighbours.writes(
      new Promise((resolve) => {
        this.#end = resolve
      }),
    )
  }

  #lock(sql: string, rows: readonly { id: number }[]): void {
    const table = readTable.exec(sql)?.[1] ?? ''
    const keys = rows.map(({ id }) => `${table} ${id}`)
    if (this.#neighbours.lockedElsewhere(keys)) throw new StartOver()
    for (const key of keys) this.locks.add(key)
  }
}

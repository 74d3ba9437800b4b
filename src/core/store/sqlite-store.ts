/**
 * The store on SQLite: one connection that writes, on the main thread, and one that only reads.
 *
 * Bodies run strictly one after another and share commits: BEGIN, then the bodies, then one COMMIT when no body waits (or
 * after 256, or 10 ms). Two bodies must never interleave on the connection: rolling one back would take rows of the other
 * with it.
 *
 * A savepoint for each body would cost as much as a short body's own statements, and hardly ever is one needed: who refuses
 * something does so before it writes. When a body fails that has written, all of the batch is rolled back, and those before it
 * run again, each with a savepoint from then on.
 *
 * Nothing is said before the commit: values, errors and effects of all bodies of a batch leave after it. When the COMMIT
 * fails, or SQLite rolled the transaction back by itself, every body of the batch is rejected.
 *
 * A body must settle within microtasks, since its queries do; one that is still open at the next macrotask has awaited
 * something foreign. It is rolled back, and what it does later is refused.
 */
import { setImmediate as turn } from 'node:timers/promises'
import type { DatabaseConnection } from 'kysely'
import type { Clock, Random } from '../clock.js'
import { SignalboxError } from '../errors.js'
import type { HotQuery, Params } from './hot-query.js'
import { insertions, type Row } from './insert-many.js'
import { Checkpointer } from './sqlite-checkpoint.js'
import { kyselyOn, SqliteConnection, type WritingConnection } from './sqlite-connection.js'
import { Unwritten } from './unwritten.js'
import { seesUnwritten } from './unwritten-tables.js'
import { type Body, Effects, type Reader, type Store, type StoreStats, type Tx } from './write.js'

/** Where the database is, and what the store takes from its node. */
export interface SqliteStoreOptions {
  /** Path of the database file, or `:memory:`. */
  file: string
  clock: Clock
  random: Random
  /** A bug or a failed effect, for the log. */
  report: (error: unknown, what: string) => void
  /** Storage can no longer be trusted (a failed sync or write): the process must end and start again. */
  fatal: (error: unknown) => void
  /** Checkpoints in a worker thread; off for stores that live for one command. */
  checkpoints?: boolean
  /** Syncs each commit (default true); off for stores that live for one command. */
  durable?: boolean
  /** The writing connection, if not one of its own. */
  connection?: WritingConnection
}

const batchLimit = 256
/** A batch that has taken 10 ms ends, and what has come in meanwhile has its turn. */
const longBatchMs = 10
const storageFaults = /^SQLITE_(FULL|IOERR|NOMEM|CORRUPT|NOTADB|BUSY|LOCKED)/

interface Pending {
  body: Body<unknown>
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
}

interface Settled {
  pending: Pending
  effects: Effects
  outcome: { ok: true; value: unknown } | { ok: false; error: unknown }
  /** It has failed, and what it wrote is still there. */
  leavesRows: boolean
}

/** The store on SQLite. One process at a time may use a database. */
export class SqliteStore implements Store {
  readonly engine = 'sqlite' as const
  readonly read: Reader
  readonly stats: StoreStats = { commits: 0, bodies: 0 }
  readonly #options: SqliteStoreOptions
  readonly #connection: WritingConnection
  readonly #reading: SqliteConnection | undefined
  readonly #snapshot: Snapshot | undefined
  readonly #checkpointer: Checkpointer | undefined
  #queue: Pending[] = []
  #state: 'idle' | 'armed' | 'running' | 'closed' = 'idle'
  #drained: (() => void)[] = []

  constructor(options: SqliteStoreOptions) {
    this.#options = options
    this.#connection = options.connection ?? new SqliteConnection(options.file, { durable: options.durable ?? true })
    if (options.file === ':memory:') {
      this.read = this.#readThroughQueue()
    } else {
      const reading = new SqliteConnection(options.file, { readonly: true, remembered: this.#connection.remembered })
      this.#reading = reading
      this.#snapshot = new Snapshot(reading)
      this.read = readerOn(this.#snapshot, options.clock)
      if (options.checkpoints !== false) {
        this.#checkpointer = new Checkpointer(options.file, (error) => options.report(error, 'checkpoint'))
      }
    }
  }

  /** The writing connection, for migrations before the first write. */
  get connection(): WritingConnection {
    return this.#connection
  }

  write<T>(body: Body<T>): Promise<T> {
    if (this.#state === 'closed') return Promise.reject(new SignalboxError('unavailable', 'the store is closed'))
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ body, resolve: resolve as (value: unknown) => void, reject })
      if (this.#state !== 'idle') return
      this.#state = 'armed'
      // Not at once: whatever else this turn of the event loop wants to write shares the commit.
      setImmediate(() => {
        // What is left after a fault here is a store that settles nothing any more.
        this.#pump().catch((error: unknown) => this.#options.fatal(error))
      })
    })
  }

  hear(): () => Promise<void> {
    return async () => undefined
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return
    if (this.#state !== 'idle') await new Promise<void>((resolve) => this.#drained.push(resolve))
    this.#state = 'closed'
    await this.#checkpointer?.close()
    this.#snapshot?.end()
    this.#reading?.close()
    this.#connection.close()
  }

  async #pump(): Promise<void> {
    this.#state = 'running'
    while (this.#queue.length > 0) {
      const began = this.#options.clock.now()
      await this.#runBatch()
      if (this.#options.clock.now() - began >= longBatchMs) await turn()
    }
    this.#state = 'idle'
    for (const resolve of this.#drained.splice(0)) resolve()
  }

  async #runBatch(): Promise<void> {
    const batch: Settled[] = []
    const failed = (error: unknown) => this.#rejectBatch(batch, error)
    // The log starts over only while nobody reads from it.
    this.#snapshot?.end()
    try {
      this.#connection.exec('begin immediate')
    } catch (error) {
      // Nobody's body has run. A store that stays locked would spin here, so everything that waits is told.
      const waiting = this.#queue.splice(0)
      for (const pending of waiting) pending.reject(this.#storageError(error))
      return
    }
    const began = this.#options.clock.now()
    let withSavepoints = false
    const isLong = () => this.#options.clock.now() - began >= longBatchMs
    while (this.#queue.length > 0 && batch.length < batchLimit && !(batch.length > 0 && isLong())) {
      const settled = await this.#runBody(this.#queue.shift()!, withSavepoints)
      batch.push(settled)
      if (this.#hasLostTransaction(batch, settled)) return
      if (!settled.leavesRows) continue
      withSavepoints = true
      if (!(await this.#runAgain(batch))) return
    }
    try {
      this.#connection.exec('commit')
    } catch (error) {
      if (this.#connection.raw.inTransaction) this.#connection.exec('rollback')
      failed(error)
      return
    }
    this.#snapshot?.end()
    this.stats.commits++
    this.stats.bodies += batch.length
    this.#checkpointer?.committed(this.#connection)
    const report = (error: unknown) => this.#options.report(error, 'effect')
    for (const { pending, effects, outcome } of batch) {
      if (outcome.ok) {
        effects.committed(report)
        pending.resolve(outcome.value)
      } else {
        pending.reject(this.#translate(outcome.error))
      }
    }
  }

  /** Whether SQLite has rolled back by itself, during this body; then all of the batch is told. */
  #hasLostTransaction(batch: Settled[], { outcome }: Settled): boolean {
    if (this.#connection.raw.inTransaction) return false
    this.#rejectBatch(batch, outcome.ok ? new Error('SQLite rolled the transaction back') : outcome.error)
    return true
  }

  /** The bodies of the batch once more, without the last, which has failed and left rows. Returns false if all are told. */
  async #runAgain(batch: Settled[]): Promise<boolean> {
    this.#connection.exec('rollback')
    this.#connection.known.clear()
    for (const { effects } of batch.toReversed()) this.#undo(effects)
    try {
      this.#connection.exec('begin immediate')
    } catch (error) {
      this.#rejectBatch(batch, error)
      return false
    }
    for (const [i, { pending, outcome }] of batch.entries()) {
      if (!outcome.ok) continue
      const settled = await this.#runBody(pending, true)
      batch[i] = settled
      if (this.#hasLostTransaction(batch, settled)) return false
    }
    return true
  }

  #undo(effects: Effects): void {
    effects.rolledBack((error) => this.#options.report(error, 'undo'))
  }

  async #runBody(pending: Pending, withSavepoint: boolean): Promise<Settled> {
    const effects = new Effects()
    const scope = new BodyScope(this.#connection, this.#options, effects)
    const { writes } = this.#connection
    if (withSavepoint) this.#connection.exec('savepoint body')
    let outcome: Settled['outcome'] | undefined
    const ended = effects
      .complete(pending.body, scope.tx, () => scope.insertUnwritten())
      .then(
        (value) => {
          outcome = { ok: true, value }
        },
        (error) => {
          outcome = { ok: false, error }
        },
      )
    const patience = nextMacrotask()
    await Promise.race([ended, patience.reached])
    patience.cancel()
    scope.close()
    if (outcome === undefined) {
      const bug = new Error('a transaction body awaited something other than its own queries')
      this.#options.report(bug, 'write')
      outcome = { ok: false, error: new SignalboxError('internal', 'internal error', { cause: bug }) }
    }
    if (withSavepoint && this.#connection.raw.inTransaction) {
      if (!outcome.ok) this.#connection.exec('rollback to body')
      this.#connection.exec('release body')
    }
    if (!outcome.ok) {
      this.#connection.known.clear()
      this.#undo(effects)
    }
    const leavesRows = !outcome.ok && !withSavepoint && this.#connection.writes > writes
    return { pending, effects, outcome, leavesRows }
  }

  #rejectBatch(batch: Settled[], error: unknown): void {
    const refusal = this.#storageError(error)
    this.#connection.known.clear()
    for (const { pending, effects, outcome } of batch) {
      if (outcome.ok) this.#undo(effects)
      pending.reject(outcome.ok || outcome.error === error ? refusal : this.#translate(outcome.error))
    }
  }

  /** What a body threw, as its caller sees it: faults of the storage are ours to explain, the rest is the body's own. */
  #translate(error: unknown): unknown {
    return storageFaults.test(String((error as { code?: unknown })?.code)) ? this.#storageError(error) : error
  }

  #storageError(error: unknown): SignalboxError {
    const code = String((error as { code?: unknown }).code)
    if (/^SQLITE_(IOERR|CORRUPT|NOTADB)/.test(code)) this.#options.fatal(error)
    const message = code === 'SQLITE_FULL' ? 'the disk is full' : 'the store is not available'
    return new SignalboxError('unavailable', message, { cause: error })
  }

  /** `:memory:` has one connection, so reads take their turn between bodies and never see an open batch half done. */
  #readThroughQueue(): Reader {
    const inTurn = <T>(read: (tx: Tx) => Promise<T>) => this.write(read)
    const { clock } = this.#options
    return {
      get now() {
        return clock.now()
      },
      engine: 'sqlite',
      db: kyselyOn({
        provideConnection: (consumer) => inTurn(() => consumer(this.#connection)),
      }),
      all: (query, params) => inTurn((tx) => tx.all(query, params)),
      first: (query, params) => inTurn((tx) => tx.first(query, params)),
    }
  }
}

/** What one body may touch, and only until it has ended. */
class BodyScope {
  readonly tx: Tx
  readonly #connection: WritingConnection
  readonly #unwritten = new Unwritten()
  #open = true

  constructor(connection: WritingConnection, options: SqliteStoreOptions, effects: Effects) {
    this.#connection = connection
    connection.known.unwritten = this.#unwritten
    const use = (sees = false): WritingConnection => {
      if (!this.#open) throw new Error('this transaction body has ended')
      if (sees) this.insertUnwritten()
      return connection
    }
    const guarded: DatabaseConnection = {
      executeQuery: (query) => use(seesUnwritten(query.sql)).executeQuery(query),
      streamQuery: () => use().streamQuery(),
    }
    const all = async <Result, Names extends string>(query: HotQuery<Result, Names>, params: Params<Names>) =>
      use(query.compiledFor('sqlite').seesUnwritten).all(query, params)
    const change = <Names extends string>(
      query: HotQuery<unknown, Names>,
      params: Params<Names>,
      rows?: readonly Row[],
    ) => use(query.compiledFor('sqlite').seesUnwritten).change(query, params, rows)
    let db: Tx['db'] | undefined
    this.tx = {
      engine: 'sqlite',
      // Most bodies run hot queries only.
      get db() {
        db ??= kyselyOn({ provideConnection: (consumer) => consumer(guarded) })
        return db
      },
      now: options.clock.now(),
      random: options.random,
      get known() {
        return use().known
      },
      unwritten: this.#unwritten,
      newIds: async (table, count) => use().newIds(table, count),
      // This connection gives them itself.
      prepareIds: async () => undefined,
      all,
      first: async (query, params) => (await all(query, params))[0],
      later: async (query, params, unless) => {
        const changed = change(query, params)
        if (unless && changed === 0) throw unless()
      },
      change: async (query, params) => change(query, params),
      insert: async (statements, rows) => {
        for (const { query, rows: some } of insertions(statements, rows)) {
          change(query, {}, some)
        }
      },
      // A node is alone with its file.
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

  /** Inserts the rows that wait. At once: whoever waits for one of the body's queries finds them. */
  insertUnwritten(): void {
    for (const { query, rows } of this.#unwritten.take()) this.#connection.change(query, {}, rows)
  }

  close(): void {
    this.#open = false
  }
}

/**
 * What the reads of one turn of the event loop share: taking the read lock and giving it up again costs more than most of
 * the reads themselves. It ends with the turn and with each commit, so no read misses what was committed before it. Many
 * turns read once: the first read of a turn takes and gives up the lock by itself.
 */
class Snapshot {
  readonly #connection: SqliteConnection
  #open = false
  #hasRead = false

  constructor(connection: SqliteConnection) {
    this.#connection = connection
  }

  /** The connection, to be read from at once. */
  use(): SqliteConnection {
    if (!this.#hasRead) {
      this.#hasRead = true
      setImmediate(() => this.end())
    } else if (!this.#open) {
      this.#connection.exec('begin')
      this.#open = true
    }
    return this.#connection
  }

  all<Result, Names extends string>(query: HotQuery<Result, Names>, params: Params<Names>): Result[] {
    return this.#connection.all(query, params, () => this.use())
  }

  end(): void {
    this.#hasRead = false
    if (!this.#open) return
    this.#open = false
    // A failed read may have ended it.
    if (this.#connection.raw.inTransaction) this.#connection.exec('commit')
  }
}

function readerOn(snapshot: Snapshot, clock: Clock): Reader {
  return {
    get now() {
      return clock.now()
    },
    engine: 'sqlite',
    db: kyselyOn({ provideConnection: (consumer) => consumer(snapshot.use()) }),
    all: async (query, params) => snapshot.all(query, params),
    first: async (query, params) => snapshot.all(query, params)[0],
  }
}

function nextMacrotask(): { reached: Promise<void>; cancel: () => void } {
  let handle: NodeJS.Immediate | undefined
  const reached = new Promise<void>((resolve) => {
    handle = setImmediate(resolve)
  })
  return { reached, cancel: () => handle && clearImmediate(handle) }
}

/**
 * How everything is changed. `write(body)` runs a body inside a transaction; what the body wants to be seen outside
 * (replies, pushes, wake-ups) it registers with `afterCommit`, which happens when the commit is durable and not before.
 *
 * A body awaits nothing but its own queries: no network, no file, no timer, no other write. It takes time and randomness
 * from its argument and has no effect outside the transaction, since it may be run a second time.
 */
import type { Kysely } from 'kysely'
import type { Random } from '../clock.js'
import type { Engine } from './engine.js'
import type { HotQuery, Params } from './hot-query.js'
import type { ManyRows, Row } from './insert-many.js'
import type { KnownRows } from './known-rows.js'
import type { Database } from './schema.js'
import type { Unwritten } from './unwritten.js'
import type { UnwrittenTable } from './unwritten-tables.js'

export type { Engine } from './engine.js'

/** What a body works with. Useless once the body has ended. */
export interface Tx {
  readonly engine: Engine
  readonly db: Kysely<Database>
  /** The time of the body, in milliseconds since 1970; the same for all that it does. */
  readonly now: number
  readonly random: Random
  /** What is known of rows without asking. */
  readonly known: KnownRows
  /** Rows that are inserted before a statement that might see them, at the latest when the body ends. */
  readonly unwritten: Unwritten
  /** Takes ids for rows that are to be inserted; they rise. Those that are not used are lost. */
  newIds(table: UnwrittenTable, count: number): Promise<number[]>
  /** Takes ids that `newIds` will be asked for, so that it need not ask the database each time. */
  prepareIds(counts: Partial<Record<UnwrittenTable, number>>): Promise<void>
  /** Runs a query that was compiled once, and gives its rows. */
  all<Result, Names extends string>(query: HotQuery<Result, Names>, params: Params<Names>): Promise<Result[]>
  /** The same for a query that gives one row or none. */
  first<Result, Names extends string>(
    query: HotQuery<Result, Names>,
    params: Params<Names>,
  ): Promise<Result | undefined>
  /**
   * Runs a statement whose rows nobody needs. With `unless` it must change a row, else the body fails with that error: at
   * once, or on PostgreSQL when the answers to all of them have come, before the commit.
   */
  later<Names extends string>(
    query: HotQuery<unknown, Names>,
    params: Params<Names>,
    unless?: () => Error,
  ): Promise<void>
  /** Runs a statement whose rows nobody needs. Returns how many rows it has changed. */
  change<Names extends string>(query: HotQuery<unknown, Names>, params: Params<Names>): Promise<number>
  /** Inserts rows, in few statements, as `later` runs one. */
  insert(statements: ManyRows, rows: readonly Row[]): Promise<void>
  /** Tells other nodes of this store, when the transaction is committed; on SQLite there are none. At most 7,000 bytes. */
  tell(text: string): Promise<void>
  /** Runs queries that do not need one another's answers, in their order, and in one exchange with a database that is away. */
  together(queries: readonly (() => Promise<unknown>)[]): Promise<void>
  /**
   * What `make` returned for this key earlier in this body, or returns now: what a body has read, it reads once. It lives
   * as long as the body. Nothing read or made in a body reaches any other memory before `afterCommit`: the body may be
   * rolled back, and then SQLite gives the ids that it used to other rows.
   */
  once<T>(key: string, make: () => T): T
  /** Registers what the body has yet to write when it has ended: it is part of the body, and of its transaction. */
  atEnd(step: () => Promise<void>): void
  /** Registers an effect for when the commit is durable. Effects run in the order of the commits; one that throws is logged. */
  afterCommit(effect: () => void): void
  /** Registers what gives back memory that the body reserved; runs if the body or its commit fails. */
  onRollback(undo: () => void): void
}

/** What one transaction does. It may run twice, and awaits nothing but its own queries. */
export type Body<T> = (tx: Tx) => Promise<T>

/** Reads outside a transaction: they see committed facts only. */
export interface Reader {
  /** Milliseconds since 1970. */
  readonly now: number
  readonly engine: Engine
  readonly db: Kysely<Database>
  /** Nothing is: others write meanwhile. */
  readonly known?: KnownRows | undefined
  all<Result, Names extends string>(query: HotQuery<Result, Names>, params: Params<Names>): Promise<Result[]>
  first<Result, Names extends string>(
    query: HotQuery<Result, Names>,
    params: Params<Names>,
  ): Promise<Result | undefined>
}

/** The database of a node, and the only way to it. */
export interface Store {
  readonly engine: Engine
  readonly read: Reader
  /**
   * Runs `body` in a transaction and resolves with its value when the commit is durable.
   * Rejects with what the body threw (nothing of it is kept); with `unavailable` when the disk is full or the database
   * is busy or out of reach (nothing of it is kept, try again); with `internal` when the body awaited something foreign.
   * One `unavailable` leaves open whether anything is kept: `isUncertain` tells it, and then nothing may be undone. The
   * effects of the body follow when it is known.
   */
  write<T>(body: Body<T>): Promise<T>
  /** Hears what other nodes tell, until the function that it returns is called; that resolves when nothing is heard any more. */
  hear(hearing: Hearing): () => Promise<void>
  readonly stats: StoreStats
  /** Waits for the bodies under way, then closes every connection. Safe to repeat. */
  close(): Promise<void>
}

/** Who hears what other nodes tell. */
export interface Hearing {
  heard(text: string): void
  /** Others may have told something that was not heard: it begins, or begins again. */
  missed(): void
}

/** What a store has done since it was opened. */
export interface StoreStats {
  commits: number
  bodies: number
}

/** What a body has read once, its registered effects, and what happens to them. Shared by both engines. */
export class Effects {
  #made: Map<string, unknown> | undefined
  #last: (() => Promise<void>)[] = []
  #commit: (() => void)[] = []
  #rollback: (() => void)[] = []

  once<T>(key: string, make: () => T): T {
    this.#made ??= new Map()
    if (!this.#made.has(key)) this.#made.set(key, make())
    return this.#made.get(key) as T
  }

  atEnd(step: () => Promise<void>): void {
    this.#last.push(step)
  }

  /** The body with what it has registered for its end; `write` inserts the rows that wait. */
  async complete<T>(body: Body<T>, tx: Tx, write: () => void | Promise<void>): Promise<T> {
    const value = await body(tx)
    for (let step = this.#last.shift(); step; step = this.#last.shift()) await step()
    await write()
    return value
  }

  afterCommit(effect: () => void): void {
    this.#commit.push(effect)
  }

  onRollback(undo: () => void): void {
    this.#rollback.push(undo)
  }

  committed(report: (error: unknown) => void): void {
    runAll(this.#commit, report)
    this.#clear()
  }

  /** Undone in reverse, since a later reservation may build on an earlier one. */
  rolledBack(report: (error: unknown) => void): void {
    runAll(this.#rollback.reverse(), report)
    this.#clear()
  }

  #clear(): void {
    this.#commit = []
    this.#rollback = []
  }
}

function runAll(list: (() => void)[], report: (error: unknown) => void): void {
  for (const one of list) {
    try {
      one()
    } catch (error) {
      report(error)
    }
  }
}

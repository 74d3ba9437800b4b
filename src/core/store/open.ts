/** Opens the store that a setting names, migrated and ready. */
import { type Clock, type Random, systemRandom } from '../clock.js'
import { SignalboxError } from '../errors.js'
import { readDatabaseTime } from './database-time.js'
import { migrateSqlite } from './migrate.js'
import { SqliteStore } from './sqlite-store.js'
import type { Store } from './write.js'

/** Which database to open, and what the store takes from its node. */
export interface OpenOptions {
  /** `sqlite:PATH`, `sqlite::memory:` or `postgres://…`. */
  url: string
  clock: Clock & { raise?(notBefore: number): void; follow?(agreed: number): void }
  random?: Random
  report: (error: unknown, what: string) => void
  /** Storage can no longer be trusted: the process must end. */
  fatal: (error: unknown) => void
  /** SQLite only: checkpoints in a worker thread (default true). */
  checkpoints?: boolean
  /** SQLite only: a commit outlives the machine's power (default true); off for a store that lives for one command. */
  durable?: boolean
  /** PostgreSQL only: how long an answer to COMMIT, and then what became of it, is waited for, in milliseconds. */
  commitWaitMs?: number
}

/**
 * Opens and migrates. Raises the clock to the latest time that the store has recorded; on PostgreSQL it is set to that
 * server's time, unless the store has recorded a later one. Throws `invalid` for a URL of another kind, `unavailable` when the database cannot be used.
 */
export async function openStore(options: OpenOptions): Promise<Store> {
  const store = await openEngine({ random: systemRandom, ...options })
  try {
    const time = await latestTime(store)
    // Between nodes the database's clock decides, also over one that is ahead of it.
    if (store.engine === 'postgres') options.clock.follow?.(time)
    else options.clock.raise?.(time)
  } catch (error) {
    await store.close()
    throw error
  }
  return store
}

async function openEngine(options: OpenOptions & { random: Random }): Promise<Store> {
  if (options.url.startsWith('sqlite:')) {
    const file = options.url.slice('sqlite:'.length)
    const store = await usable(file, () => new SqliteStore({ ...options, file }))
    return migrated(store, () => migrateSqlite(store.connection))
  }
  if (/^postgres(ql)?:\/\//.test(options.url)) {
    // Loaded only here: most installations have one file.
    const { openPool, PostgresStore } = await import('./postgres-store.js')
    const { migratePostgres } = await import('./migrate.js')
    const { isAway } = await import('./postgres-faults.js')
    const store = new PostgresStore(options)
    // A migration may take longer than a query of ours ever does.
    const pool = openPool(options, { max: 2 })
    try {
      return await migrated(store, () => migratePostgres(pool))
    } catch (error) {
      const { cause } = error as SignalboxError
      if (!isAway(cause)) throw error
      const message = `the database cannot be reached: ${wordsOf(cause)}`
      throw new SignalboxError('unavailable', message, { cause, details: { away: true } })
    } finally {
      await pool.end()
    }
  }
  throw new SignalboxError('invalid', `database URL ${redacted(options.url)} is neither sqlite:PATH nor postgres://…`)
}

/** Of a name with several addresses none of which answers, Node says nothing in the message itself. */
function wordsOf(error: unknown): string {
  const { message, errors } = error as AggregateError
  return message || String((errors?.[0] as Error | undefined)?.message ?? error)
}

async function migrated<S extends Store>(store: S, migrate: () => Promise<unknown>): Promise<S> {
  try {
    await usable('the database', migrate)
    return store
  } catch (error) {
    await store.close()
    throw error
  }
}

async function usable<T>(what: string, open: () => T | Promise<T>): Promise<T> {
  try {
    return await open()
  } catch (error) {
    if (error instanceof SignalboxError) throw error
    throw new SignalboxError('unavailable', `${what} cannot be used: ${(error as Error).message}`, { cause: error })
  }
}

/** The latest time that the store has recorded, in milliseconds since 1970: a node's clock does not start behind it. */
export async function latestTime(store: Store): Promise<number> {
  const { db } = store.read
  const event = await db.selectFrom('events').select('at').orderBy('id', 'desc').limit(1).executeTakeFirst()
  const node = await db
    .selectFrom('nodes')
    .select((e) => e.fn.max('seen_at').as('at'))
    .executeTakeFirst()
  const server = store.engine === 'postgres' ? await readDatabaseTime(store.read) : 0
  return Math.max(event?.at ?? 0, Number(node?.at ?? 0), server)
}

function redacted(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//…@')
}

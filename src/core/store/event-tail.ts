/**
 * Reads events in the order of their ids, and leaves none out.
 *
 * On SQLite writers come one after another, so ids are committed in order. On PostgreSQL a transaction may take an id and
 * commit it after another has committed a higher one; neither ids nor transaction numbers say that a lower one is still to
 * come. So the tail looks at who is writing: it notes the newest id and the transactions under way in this database, and
 * once all of these have ended, nothing up to that id can appear any more. (A snapshot would not do: it knows nothing of
 * transactions that began after the last one to end.)
 */
import { sql } from 'kysely'
import type { StoredEvent } from './events.js'
import { hotQuery } from './hot-query.js'
import type { Store } from './write.js'

/** A reader of committed events. It keeps no place of its own: who reads says after which id. */
export class EventTail {
  readonly #store: Pick<Store, 'engine' | 'read'>
  #settled = 0
  #pending: { id: number; under: ReadonlySet<string> } | undefined

  constructor(store: Pick<Store, 'engine' | 'read'>) {
    this.#store = store
  }

  /**
   * Events after `id`, oldest first, at most `limit`, as far as no lower one can still be committed. `more`: there are
   * others that have to wait for that.
   */
  async read(id: number, limit: number): Promise<{ events: StoredEvent[]; more: boolean }> {
    const { engine, read } = this.#store
    const upTo = engine === 'sqlite' ? Number.MAX_SAFE_INTEGER : await this.#look()
    const events = upTo > id ? await read.all(eventsBetween, { id, upTo, limit }) : []
    return { events, more: events.length < limit && this.#pending !== undefined && this.#pending.id > upTo }
  }

  async #look(): Promise<number> {
    const now = await this.#store.read.first(frontier, {})
    if (!now) return this.#settled
    const under = new Set(now.under === '' ? [] : now.under.split(','))
    if (this.#pending && [...this.#pending.under].some((one) => under.has(one))) return this.#settled
    if (this.#pending) this.#settled = this.#pending.id
    // Without a transaction under way the newest event is settled as soon as it is seen.
    if (under.size === 0) this.#settled = now.newest
    this.#pending = now.newest > this.#settled ? { id: now.newest, under } : undefined
    return this.#settled
  }
}

const eventsBetween = hotQuery<StoredEvent, 'id' | 'upTo' | 'limit'>((db, p) =>
  db
    .selectFrom('events')
    .select([
      'id',
      'at',
      'kind',
      'project_id as projectId',
      'pipeline_id as pipelineId',
      'job_id as jobId',
      'runner_id as runnerId',
      'data',
    ])
    .where('id', '>', p('id'))
    .where('id', '<=', p('upTo'))
    .orderBy('id')
    .limit(p('limit')),
)

/**
 * The newest event that can be seen, and the transactions under way. These are read after the snapshot was taken, so one
 * that has ended since is in the one or in the other. Every transaction that writes holds a lock on its own number:
 * https://www.postgresql.org/docs/current/view-pg-locks.html
 */
const frontier = hotQuery<{ newest: number; under: string }, never>((db) => ({
  compile: () =>
    sql`
      select
        (select coalesce(max(id), 0) from events) as newest,
        (
          select coalesce(string_agg(distinct held.transactionid::text, ','), '')
          from pg_locks as held join pg_stat_activity as client on client.pid = held.pid
          where held.locktype = 'transactionid' and held.mode = 'ExclusiveLock' and held.granted
            and client.datname = current_database()
        ) as under`.compile(db),
}))

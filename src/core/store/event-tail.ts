/**
 * How far the events can be read in the order of their ids without leaving one out.
 *
 * On SQLite writers come one after another, so ids are committed in order. On PostgreSQL a transaction may take an id and
 * commit it after another has committed a higher one. So the tail looks twice: it notes the newest id and the next
 * transaction number; once every transaction below that number has ended, nothing up to that id can still appear.
 */
import { sql } from 'kysely'
import { hotQuery } from './hot-query.js'
import type { Store } from './write.js'

export class EventTail {
  readonly #store: Pick<Store, 'engine' | 'read'>
  #settled = 0
  #pending: { id: number; below: number } | undefined

  constructor(store: Pick<Store, 'engine' | 'read'>) {
    this.#store = store
  }

  /** The id up to which every event that will ever be there can be read now. Never falls. */
  async settledId(): Promise<number> {
    if (this.#store.engine === 'sqlite') return Number.MAX_SAFE_INTEGER
    const now = await this.#store.read.first(frontier, {})
    if (!now) return this.#settled
    const pending = this.#pending ?? { id: now.newest, below: now.next }
    // Without a transaction under way the newest id is settled as soon as it is seen.
    if (now.oldest === now.next) this.#settle(now.newest)
    else if (now.oldest >= pending.below) this.#settle(pending.id)
    else this.#pending = pending
    return this.#settled
  }

  #settle(id: number): void {
    this.#settled = Math.max(this.#settled, id)
    this.#pending = undefined
  }
}

/** The newest event that can be seen, the oldest transaction under way, and the number that the next one will get. */
const frontier = hotQuery<{ newest: number; oldest: number; next: number }, never>((db) => ({
  compile: () =>
    sql`
      select
        (select coalesce(max(id), 0) from events) as newest,
        pg_snapshot_xmin(snapshot)::text::bigint as oldest,
        pg_snapshot_xmax(snapshot)::text::bigint as next
      from pg_current_snapshot() as snapshot`.compile(db),
}))

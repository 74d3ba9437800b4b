import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { systemRandom } from '../../../src/core/clock.js'
import { SignalboxError } from '../../../src/core/errors.js'
import { hotQuery } from '../../../src/core/store/hot-query.js'
import { SqliteConnection } from '../../../src/core/store/sqlite-connection.js'
import { SqliteStore } from '../../../src/core/store/sqlite-store.js'
import type { Tx } from '../../../src/core/store/write.js'
import { eventually } from '../../support/eventually.js'
import { ManualClock } from '../../support/manual-clock.js'
import { onBothEngines, openTestStore, sqlitePlace } from '../../support/stores.js'

const put = (tx: Tx, key: string, value = '1') => tx.db.insertInto('meta').values({ key, value }).execute()
const failure = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error) => error,
  )

onBothEngines((engine) => {
  it('keeps what a body wrote and gives its value', async () => {
    await using box = await openTestStore(engine)
    const value = await box.store.write(async (tx) => {
      await put(tx, 'a')
      return 42
    })
    expect(value).toBe(42)
    expect(await box.store.read.db.selectFrom('meta').select('key').execute()).toEqual([{ key: 'a' }])
  })

  it('keeps nothing of a body that throws, and everything of its neighbours', async () => {
    await using box = await openTestStore(engine)
    const thrown = new SignalboxError('conflict', 'no')
    const results = await Promise.allSettled([
      box.store.write((tx) => put(tx, 'before')),
      box.store.write(async (tx) => {
        await put(tx, 'lost')
        throw thrown
      }),
      box.store.write((tx) => put(tx, 'after')),
    ])
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect((results[1] as PromiseRejectedResult).reason).toBe(thrown)
    const rows = await box.store.read.db.selectFrom('meta').select('key').orderBy('key').execute()
    expect(rows.map((row) => row.key)).toEqual(['after', 'before'])
  })

  it('runs effects after the commit only, and undoes reservations of a failed body in reverse', async () => {
    await using box = await openTestStore(engine)
    const seen: string[] = []
    await box.store.write(async (tx) => {
      tx.afterCommit(() => seen.push('effect'))
      tx.onRollback(() => seen.push('never'))
      await put(tx, 'a')
      seen.push('body')
    })
    await failure(
      box.store.write(async (tx) => {
        tx.afterCommit(() => seen.push('never'))
        tx.onRollback(() => seen.push('undo 1'))
        tx.onRollback(() => seen.push('undo 2'))
        throw new Error('no')
      }),
    )
    expect(seen).toEqual(['body', 'effect', 'undo 2', 'undo 1'])
  })

  it('gives back what neighbours of a failed body have reserved, if they run again, and lets them take effect once', async () => {
    await using box = await openTestStore(engine)
    let reserved = 0
    const effects: string[] = []
    const reserving = (key: string) =>
      box.store.write(async (tx) => {
        reserved++
        tx.onRollback(() => reserved--)
        tx.afterCommit(() => effects.push(key))
        await put(tx, key)
        return (await tx.db.selectFrom('meta').select('key').execute()).length
      })
    const fails = (key: string) =>
      box.store.write(async (tx) => {
        tx.afterCommit(() => effects.push('never'))
        await put(tx, key)
        throw new Error(key)
      })
    const work = [reserving('a'), fails('lost 1'), reserving('b'), fails('lost 2'), fails('a'), reserving('c')]
    const results = await Promise.allSettled(work)
    expect(results.map((result) => result.status)).toEqual(
      [true, false, true, false, false, true].map((ok) => (ok ? 'fulfilled' : 'rejected')),
    )
    expect(reserved).toBe(3)
    expect(effects.sort()).toEqual(['a', 'b', 'c'])
    const rows = await box.store.read.db.selectFrom('meta').select('key').orderBy('key').execute()
    expect(rows.map((row) => row.key)).toEqual(['a', 'b', 'c'])
  })

  it('lets readers outside see nothing of an open body', async () => {
    await using box = await openTestStore(engine)
    let seen: unknown[] | undefined
    const reading: Promise<void>[] = []
    await box.store.write(async (tx) => {
      await put(tx, 'open')
      // Started here and deliberately not awaited: the read runs beside the open transaction.
      reading.push(
        box.store.read.db
          .selectFrom('meta')
          .select('key')
          .execute()
          .then((rows) => {
            seen = rows
          }),
      )
      while (seen === undefined) await tx.db.selectFrom('meta').select('key').execute()
    })
    await Promise.all(reading)
    // Whatever the read has seen, it saw while the body was open.
    expect(seen).toEqual([])
  })

  it('catches a body that awaits something foreign, keeps nothing of it, and refuses its later queries', async () => {
    await using box = await openTestStore(engine)
    let wake: () => void = () => undefined
    const foreign = new Promise<void>((resolve) => {
      wake = resolve
    })
    let late: unknown
    const lateDone = new Promise<void>((resolve) => {
      void box.store
        .write(async (tx) => {
          await put(tx, 'foreign')
          await foreign
          late = await failure(put(tx, 'late'))
          resolve()
        })
        .catch(() => undefined)
    })
    await expect(
      box.store.write(async (tx) => {
        await put(tx, 'second')
        await new Promise((resolve) => setTimeout(resolve, 5))
      }),
    ).rejects.toMatchObject({ code: 'internal' })
    await box.store.write((tx) => put(tx, 'fine'))
    wake()
    await lateDone
    expect(String(late)).toContain('has ended')
    expect(await box.store.read.db.selectFrom('meta').select('key').execute()).toEqual([{ key: 'fine' }])
    expect(box.reports.map((report) => report.what)).toEqual(['write', 'write'])
  })

  it('runs hot queries with named and fixed values', async () => {
    await using box = await openTestStore(engine)
    const insert = hotQuery<never, 'key' | 'value'>((db, p) =>
      db.insertInto('meta').values({ key: p('key'), value: p('value') }),
    )
    const find = hotQuery<{ value: string }, 'key'>((db, p) =>
      db.selectFrom('meta').select('value').where('key', '=', p('key')).where('value', '<>', 'fixed'),
    )
    await box.store.write(async (tx) => {
      expect(await tx.all(insert, { key: 'k', value: 'v' })).toEqual([])
      expect(await tx.first(find, { key: 'k' })).toEqual({ value: 'v' })
    })
    expect(await box.store.read.all(find, { key: 'k' })).toEqual([{ value: 'v' }])
    expect(await box.store.read.first(find, { key: 'none' })).toBeUndefined()
  })

  it('refuses to write after close, and closes twice', async () => {
    const box = await openTestStore(engine)
    await box.store.close()
    await expect(box.store.write((tx) => put(tx, 'a'))).rejects.toMatchObject({ code: 'unavailable' })
    await box[Symbol.asyncDispose]()
  })

  it('stamps the body with the clock it was opened with', async () => {
    await using box = await openTestStore(engine)
    box.clock.advance(1234)
    expect(await box.store.write(async (tx) => tx.now)).toBe(box.clock.now())
  })
})

describe('the SQLite writer', () => {
  const open = (place = sqlitePlace(), options: Partial<ConstructorParameters<typeof SqliteStore>[0]> = {}) => {
    const reports: unknown[] = []
    const fatal: unknown[] = []
    const store = new SqliteStore({
      file: place.file,
      clock: new ManualClock(),
      random: systemRandom,
      report: (error) => reports.push(error),
      fatal: (error) => fatal.push(error),
      checkpoints: false,
      ...options,
    })
    store.connection.raw.exec('create table if not exists meta (key text primary key, value text not null)')
    return { store, reports, fatal, place }
  }

  it('runs bodies again only behind a failed one that has written', async () => {
    await using box = await openTestStore('sqlite')
    const runs: string[] = []
    const body = (key: string, fails?: 'before' | 'after') =>
      failure(
        box.store.write(async (tx) => {
          runs.push(key)
          if (fails === 'before') throw new Error('refused')
          await put(tx, key)
          if (fails === 'after') throw new Error('changed its mind')
        }),
      )
    await Promise.all([body('a'), body('refused', 'before'), body('b')])
    expect(runs.splice(0)).toEqual(['a', 'refused', 'b'])
    await Promise.all([body('c'), body('lost', 'after'), body('d'), body('lost too', 'after'), body('e')])
    expect(runs).toEqual(['c', 'lost', 'c', 'd', 'lost too', 'e'])
    const rows = await box.store.read.db.selectFrom('meta').select('key').orderBy('key').execute()
    expect(rows.map((row) => row.key)).toEqual(['a', 'b', 'c', 'd', 'e'])
  })

  it('shares one commit among the bodies of a turn', async () => {
    const { store, place } = open()
    await Promise.all(Array.from({ length: 100 }, (_, i) => store.write((tx) => put(tx, `k${i}`))))
    expect(store.stats).toEqual({ commits: 1, bodies: 100 })
    await store.close()
    await place.remove()
  })

  it('runs bodies strictly one after another', async () => {
    const { store, place } = open()
    const order: string[] = []
    const body = (name: string) => async (tx: Tx) => {
      order.push(`${name} starts`)
      for (let i = 0; i < 5; i++) await put(tx, `${name}${i}`)
      order.push(`${name} ends`)
    }
    await Promise.all([store.write(body('a')), store.write(body('b'))])
    expect(order).toEqual(['a starts', 'a ends', 'b starts', 'b ends'])
    await store.close()
    await place.remove()
  })

  it('would lose rows if two bodies interleaved on one connection', () => {
    // What the rule above prevents: with savepoints crossing, rolling back the first takes the second's row with it.
    const db = new SqliteConnection(':memory:')
    db.raw.exec('create table meta (key text primary key, value text not null)')
    db.exec('begin immediate')
    db.exec('savepoint first')
    db.raw.exec("insert into meta values ('first', '1')")
    db.exec('savepoint second')
    db.raw.exec("insert into meta values ('second', '1')")
    db.exec('rollback to first')
    db.exec('commit')
    expect(db.raw.prepare('select key from meta').all()).toEqual([])
    db.close()
  })

  it('says nothing when the COMMIT fails, and rejects every body of the batch', async () => {
    const { store, place } = open()
    // A deferred foreign key is checked by COMMIT itself: the one failure that no statement before it shows.
    store.connection.raw.exec(
      `create table child (id integer primary key, parent text references meta (key) deferrable initially deferred)`,
    )
    const effects: string[] = []
    const results = await Promise.allSettled([
      store.write(async (tx) => {
        tx.afterCommit(() => effects.push('said'))
        tx.onRollback(() => effects.push('undone'))
        await put(tx, 'good')
      }),
      store.write(async (tx) => {
        await tx.all(
          hotQuery((db) => db.insertInto('child' as never).values({ id: 1, parent: 'missing' } as never)),
          {},
        )
      }),
    ])
    for (const result of results) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'unavailable' } })
    }
    expect(effects).toEqual(['undone'])
    expect(await store.read.db.selectFrom('meta').select('key').execute()).toEqual([])
    await store.write((tx) => put(tx, 'works again'))
    await store.close()
    await place.remove()
  })

  it('rejects every body of the batch when the disk fills, and works again when there is room', async () => {
    const { store, place, fatal } = open()
    await store.write((tx) => put(tx, 'kept'))
    const pages = store.connection.raw.pragma('page_count', { simple: true }) as number
    store.connection.raw.pragma(`max_page_count = ${pages + 2}`)
    const results = await Promise.allSettled([
      store.write((tx) => put(tx, 'small')),
      store.write((tx) => put(tx, 'large', 'x'.repeat(64 * 1024))),
    ])
    expect(results[1]).toMatchObject({
      status: 'rejected',
      reason: { code: 'unavailable', message: 'the disk is full' },
    })
    store.connection.raw.pragma('max_page_count = 1000000')
    await store.write((tx) => put(tx, 'later'))
    const kept = (await store.read.db.selectFrom('meta').select('key').orderBy('key').execute()).map((row) => row.key)
    // A body is there exactly if its promise said so.
    expect(kept).toEqual(['kept', 'later', ...(results[0]!.status === 'fulfilled' ? ['small'] : [])])
    expect(fatal).toEqual([])
    await store.close()
    await place.remove()
  })

  it('is fatal when the loop that writes can neither commit nor roll back', async () => {
    const { store, place, fatal } = open()
    await store.write((tx) => put(tx, 'kept'))
    const exec = store.connection.exec.bind(store.connection)
    store.connection.exec = (sql) => {
      if (sql === 'commit' || sql === 'rollback') throw new Error(`${sql} failed`)
      exec(sql)
    }
    store.write((tx) => put(tx, 'lost')).catch(() => undefined)
    await eventually(() => expect(fatal).toEqual([new Error('rollback failed')]))
    store.connection.close()
    await place.remove()
  })

  it('rejects every body of the batch when SQLite itself rolls the transaction back', async () => {
    const { store, place } = open()
    const results = await Promise.allSettled([
      store.write((tx) => put(tx, 'one')),
      store.write(async (tx) => {
        await put(tx, 'two')
        store.connection.raw.exec('rollback')
      }),
      store.write((tx) => put(tx, 'three')),
    ])
    expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected', 'fulfilled'])
    expect(await store.read.db.selectFrom('meta').select('key').execute()).toEqual([{ key: 'three' }])
    await store.close()
    await place.remove()
  })

  it('treats a failed sync as the end of the process, and acknowledges nothing', async () => {
    const place = sqlitePlace()
    const connection = new SqliteConnection(place.file)
    const { store, fatal } = open(place, { connection })
    const exec = connection.exec.bind(connection)
    connection.exec = (sql) => {
      if (sql === 'commit') throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_FSYNC' })
      exec(sql)
    }
    await expect(store.write((tx) => put(tx, 'a'))).rejects.toMatchObject({ code: 'unavailable' })
    expect(fatal).toHaveLength(1)
    expect(await store.read.db.selectFrom('meta').select('key').execute()).toEqual([])
    await store.close()
    await place.remove()
  })

  it('sets and reads back FULL on the writing and the reading connection', () => {
    const place = sqlitePlace()
    const writing = new SqliteConnection(place.file)
    writing.raw.exec('create table t (id integer primary key)')
    const reading = new SqliteConnection(place.file, { readonly: true })
    for (const { raw } of [writing, reading]) {
      expect(raw.pragma('synchronous', { simple: true })).toBe(2)
      expect(raw.pragma('journal_mode', { simple: true })).toBe('wal')
    }
    expect(() => reading.raw.exec('insert into t values (1)')).toThrow(/readonly/)
    reading.close()
    writing.close()
    void place.remove()
  })

  it('waits for no disk where the store need not outlive a loss of power', async () => {
    const { store, place } = open(sqlitePlace(), { durable: false })
    await store.write((tx) => put(tx, 'a'))
    expect(store.connection.raw.pragma('synchronous', { simple: true })).toBe(0)
    expect(await store.read.db.selectFrom('meta').select('key').execute()).toEqual([{ key: 'a' }])
    await store.close()
    await place.remove()
  })

  it('keeps the pragma through the first schema change and a second opening, where the default would fall to NORMAL', () => {
    const place = sqlitePlace()
    for (let i = 0; i < 2; i++) {
      const connection = new SqliteConnection(place.file)
      connection.raw.exec(`create table if not exists t${i} (id integer primary key)`)
      expect(connection.raw.pragma('synchronous', { simple: true })).toBe(2)
      connection.close()
    }
    void place.remove()
  })

  it('moves the log into the file from a worker', async () => {
    const { store, place } = open(sqlitePlace(), { checkpoints: true })
    for (let i = 0; i < 50; i++) await store.write((tx) => put(tx, `k${i}`, 'x'.repeat(4096)))
    const size = () => readFileSync(place.file).length
    const before = size()
    // The worker answers each request; wait until a checkpoint has grown the database file.
    for (let i = 0; size() <= before && i < 500; i++) {
      await store.write((tx) =>
        tx.db
          .updateTable('meta')
          .set({ value: String(i) })
          .where('key', '=', 'k0')
          .execute(),
      )
      await new Promise((resolve) => setImmediate(resolve))
    }
    await store.close()
    expect(size()).toBeGreaterThan(before)
    await place.remove()
  })

  it('serves reads of an in-memory database between batches', async () => {
    const store = new SqliteStore({
      file: ':memory:',
      clock: new ManualClock(),
      random: systemRandom,
      report: () => undefined,
      fatal: () => undefined,
    })
    store.connection.raw.exec('create table meta (key text primary key, value text not null)')
    const [, rows] = await Promise.all([
      store.write((tx) => put(tx, 'a')),
      store.read.db.selectFrom('meta').select('key').execute(),
    ])
    expect(rows).toEqual([{ key: 'a' }])
    await store.close()
  })
})

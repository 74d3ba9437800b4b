import { readFileSync } from 'node:fs'
import { sql } from 'kysely'
import { describe, expect, it } from 'vitest'
import type { Core } from '../../src/core/core.js'
import { eventKinds } from '../../src/core/events.js'
import { record } from '../../src/core/steps/record.js'
import { EventTail } from '../../src/core/store/event-tail.js'
import { insertEvent, lastEventId, readCursor } from '../../src/core/store/events.js'
import type { PostgresStore } from '../../src/core/store/postgres-store.js'
import type { Store } from '../../src/core/store/write.js'
import type { Plugins } from '../../src/plugins/host.js'
import { definePlugin, type ExportedEvent } from '../../src/plugins/sdk.js'
import { recordedEvents } from '../../src/plugins/testing/recorded-events.js'
import { startTestCore, type TestCore } from '../support/core.js'
import type { ManualClock } from '../support/manual-clock.js'
import { onBothEngines } from '../support/stores.js'
import { openTrail, PluginBench, passing, shared, turn } from './support/plugins.js'

const exporterOf = (onEvents: (events: ExportedEvent[]) => void | Promise<void>) =>
  definePlugin({
    id: 'exporter.test',
    apiVersion: 1,
    setup(host) {
      host.export('test', { onEvents })
      return undefined
    },
  })

/** One life of a server with an exporter: its own clock, the store that outlives it. */
async function live(
  bench: PluginBench,
  box: TestCore,
  onEvents: (events: ExportedEvent[]) => void | Promise<void>,
): Promise<{ plugins: Plugins; clock: ManualClock; core: Core }> {
  const plugins = await bench.load([], [exporterOf(onEvents)])
  const core: Core = { ...box.core, clock: bench.clock }
  await plugins.startExporters(core)
  return { plugins, clock: bench.clock, core }
}

/** Lets time pass until something has happened: in small steps, each as long as the database takes to answer. */
async function moment(box: TestCore, clock: ManualClock, happened: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await happened())) {
    clock.advance(50)
    await lastEventId(box.core.store.read)
    await turn()
  }
}

async function say(core: Core, count = 1): Promise<void> {
  for (let i = 0; i < count; i++) {
    await core.store.write((tx) => record(core, tx, { kind: 'job.changed', jobId: i, data: { i } }))
  }
}

const cursorOf = (box: TestCore) => readCursor(box.core.store.read, 'exporter.test/test')

onBothEngines((engine) => {
  it('hands over every event in order, in batches, to an exporter that starts at the newest', async () => {
    await using box = await startTestCore(engine)
    await using bench = new PluginBench()
    await say(box.core, 3)
    const before = await lastEventId(box.core.store.read)
    const batches: ExportedEvent[][] = []
    const { clock, core } = await live(bench, box, (events) => void batches.push(events))
    expect(await cursorOf(box)).toBe(before)
    await core.store.write(async (tx) => {
      const rows = Array.from({ length: 1200 }, (_, i) => ({ at: tx.now, kind: 'job.changed', data: `{"i":${i}}` }))
      for (const half of [rows.slice(0, 600), rows.slice(600)]) await tx.db.insertInto('events').values(half).execute()
    })
    await say(core)
    await moment(box, clock, () => batches.flat().length >= 1201)
    const events = batches.flat()
    expect(events.map(({ data }) => data.i)).toEqual([...Array.from({ length: 1200 }, (_, i) => i), 0])
    expect(batches.slice(0, 2).map((batch) => batch.length)).toEqual([500, 500])
    expect(events[0]?.id).toBeGreaterThan(before)
    expect(events.at(-1)).toMatchObject({
      kind: 'job.changed',
      jobId: 0,
      projectId: null,
      pipelineId: null,
      data: { i: 0 },
    })
    expect(typeof events.at(-1)?.at).toBe('number')
  })

  it('saves its place soon after, and goes on from there after a stop', async () => {
    await using box = await startTestCore(engine)
    const got: number[] = []
    const take = (events: ExportedEvent[]) => void got.push(...events.map(({ id }) => id))
    {
      await using bench = new PluginBench()
      const { clock, core, plugins } = await live(bench, box, take)
      await say(core, 2)
      await moment(box, clock, () => got.length === 2)
      clock.advance(1000)
      await moment(box, clock, async () => (await cursorOf(box)) === got.at(-1))
      await say(core)
      await moment(box, clock, () => got.length === 3)
      await plugins.close()
      expect(await cursorOf(box)).toBe(got.at(-1))
    }
    await say(box.core, 2)
    await using bench = new PluginBench()
    const { clock } = await live(bench, box, take)
    await moment(box, clock, () => got.length === 5)
    expect(got).toEqual(Array.from({ length: 5 }, (_, i) => (got[0] ?? 0) + i))
  })

  it('brings the events since its last save again after a crash, and skips none', async () => {
    await using box = await startTestCore(engine)
    const got: number[][] = [[], []]
    const crashed = new PluginBench()
    const plugins = await crashed.load([], [exporterOf((events) => void got[0]?.push(...events.map(({ id }) => id)))])
    // It can read to its end, but has lost the store before it could save its place.
    let lost = false
    const store = new Proxy(box.core.store, {
      get: (target, key: keyof Store) => {
        if (key === 'write' && lost) return () => Promise.reject(new Error('lost'))
        const value = target[key]
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    await plugins.startExporters({ ...box.core, store, clock: crashed.clock })
    lost = true
    await say(box.core, 3)
    await moment(box, crashed.clock, () => got[0]?.length === 3)
    crashed.clock.advance(1000)
    await say(box.core, 2)
    await using bench = new PluginBench()
    const second = await live(bench, box, (events) => void got[1]?.push(...events.map(({ id }) => id)))
    await moment(box, second.clock, () => got[1]?.length === 5)
    expect(got[1]?.slice(0, 3)).toEqual(got[0]?.slice(0, 3))
    await crashed[Symbol.asyncDispose]()
  })

  it('finds what other processes have committed, without being woken', async () => {
    await using box = await startTestCore(engine)
    await using bench = new PluginBench()
    const got: number[] = []
    const { clock } = await live(bench, box, (events) => void got.push(...events.map(({ id }) => id)))
    await box.core.store.write(async (tx) => insertEvent(tx, { kind: 'job.changed' }))
    await moment(box, clock, () => got.length === 1)
  })

  it('is not held up by one that hangs, and tells how far it is behind', async () => {
    await using box = await startTestCore(engine)
    await using bench = new PluginBench()
    const use = bench.plugin(
      'exporter.stuck',
      `setup(host) { host.export('stuck', { onEvents() { trail.push('stuck'); return new Promise(() => {}) } }) }`,
      { before: openTrail },
    )
    const got: number[] = []
    const page = definePlugin({
      id: 'exporter.page',
      apiVersion: 1,
      setup(host) {
        host.export('page', { scrape: (gauges) => ({ contentType: 'x', body: JSON.stringify(gauges) }) })
        return undefined
      },
    })
    const plugins = await bench.load(
      [use],
      [exporterOf((events) => void got.push(...events.map(({ id }) => id))), page],
    )
    const core: Core = { ...box.core, clock: bench.clock }
    await plugins.startExporters(core)
    await say(core, 2)
    await moment(box, bench.clock, () => got.length === 2 && shared.trail.includes('stuck'))
    const gauges = JSON.parse((await plugins.scrape([]))!.body) as { name: string; values: unknown }[]
    expect(gauges.find(({ name }) => name === 'signalbox_exporter_lag_events')?.values).toEqual([
      { labels: { exporter: 'exporter.test/test' }, value: 0 },
      { labels: { exporter: 'exporter.stuck/stuck' }, value: 2 },
    ])
    await passing(bench.clock, plugins.close())
    expect(await readCursor(box.core.store.read, 'exporter.stuck/stuck')).toBe((got[0] ?? 0) - 1)
  })

  it('gives each exporter events of its own', async () => {
    await using box = await startTestCore(engine)
    await using bench = new PluginBench()
    const names: unknown[] = []
    const vandal = definePlugin({
      id: 'exporter.vandal',
      apiVersion: 1,
      setup(host) {
        host.export('vandal', {
          onEvents(events) {
            for (const event of events) event.data.i = 'mine'
            events.length = 0
          },
        })
        return undefined
      },
    })
    const reader = exporterOf((events) => void names.push(...events.map(({ data }) => data.i)))
    const plugins = await bench.load([], [vandal, reader])
    const core: Core = { ...box.core, clock: bench.clock }
    await plugins.startExporters(core)
    await say(core, 2)
    await moment(box, bench.clock, () => names.length === 2)
    expect(names).toEqual([0, 1])
  })

  it('skips nothing and keeps the order while many write at once, bodies roll back and servers crash', async () => {
    await using box = await startTestCore(engine)
    const lives: ExportedEvent[][] = []
    const benches: PluginBench[] = []
    const begin = await lastEventId(box.core.store.read)
    let failing = 0
    const next = async () => {
      const bench = new PluginBench()
      benches.push(bench)
      const got: ExportedEvent[] = []
      lives.push(got)
      return live(bench, box, (events) => {
        if (++failing % 5 === 0) throw new Error('down')
        got.push(...events)
      })
    }
    let server = await next()
    const writes = Array.from({ length: 120 }, (_, at) =>
      box.core.store
        .write(async (tx) => {
          // Takes its transaction number early and its event's id late, or the other way round.
          await tx.db
            .insertInto('meta')
            .values({ key: `k${at}`, value: '' })
            .execute()
          if (engine === 'postgres' && at % 3 === 0) await sql`select pg_sleep(${(at % 7) / 1000})`.execute(tx.db)
          insertEvent(tx, { kind: 'job.changed', jobId: at, data: { step: 1 } })
          if (engine === 'postgres' && at % 4 === 0) {
            tx.atEnd(async () => void (await sql`select pg_sleep(${(at % 5) / 1000})`.execute(tx.db)))
          }
          if (at % 10 === 9) throw new Error('changed its mind')
          await record({ ...box.core }, tx, { kind: 'job.finished', jobId: at, data: { step: 2 } })
        })
        .catch(() => undefined),
    )
    let done = false
    void Promise.all(writes).finally(() => {
      done = true
    })
    let steps = 0
    await moment(box, server.clock, async () => {
      // Now and then the server is gone between two moments, whether it has saved its place or not.
      if (++steps % 15 === 0) server = await next()
      server.clock.advance(500)
      return done
    })
    const rows = await box.core.store.read.db.selectFrom('events').select('id').where('id', '>', begin).execute()
    const wanted = rows.map(({ id }) => id).sort((a, b) => a - b)
    expect(wanted).toHaveLength(108 * 2)
    const seen = () => new Set(lives.flat().map(({ id }) => id))
    await moment(box, server.clock, () => wanted.every((id) => seen().has(id)))
    for (const got of lives) {
      const ids = got.map(({ id }) => id)
      expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b))
    }
    for (const bench of benches) await bench[Symbol.asyncDispose]()
  })
})

it('sends a batch again that failed, that was late, and after the breaker has closed, later each time', async () => {
  await using box = await startTestCore('sqlite')
  await using bench = new PluginBench()
  const tries: { at: number; ids: number[] }[] = []
  const { clock, core, plugins } = await live(bench, box, (events) => {
    tries.push({ at: clock.now(), ids: events.map(({ id }) => id) })
    if (tries.length === 2) return new Promise<void>(() => undefined)
    if (tries.length < 7) throw new Error('down')
    return undefined
  })
  await core.store.write(async (tx) => {
    for (const jobId of [1, 2]) await record(core, tx, { kind: 'job.changed', jobId })
  })
  await moment(box, clock, () => tries.length === 5)
  expect(plugins.list()[0]).toMatchObject({ state: 'degraded', failures: 5, lastError: 'onEvents test: down' })
  await moment(box, clock, () => tries.length === 7)
  await turn()
  expect(plugins.list()[0]).toMatchObject({ state: 'ready', calls: 7, failures: 6, refused: 0 })
  expect(new Set(tries.map(({ ids }) => ids.join())).size).toBe(1)
  const gaps = tries.slice(1).map(({ at }, i) => Math.round((at - (tries[i]?.at ?? 0)) / 1000))
  // The second was late by 2 s; after the fifth the breaker is open for 30 s, and so after the sixth, which waits longer.
  expect(gaps).toEqual([1, 4, 4, 8, 30, 32])
  await say(core)
  await moment(box, clock, () => tries.length === 8)
})

describe('of several nodes on one database', () => {
  /** A node with the exporter, and what reaches it. */
  async function node(box: TestCore, name: string) {
    const bench = new PluginBench()
    const got: number[] = []
    const plugins = await bench.load([], [exporterOf((events) => void got.push(...events.map(({ id }) => id)))])
    const core: Core = { ...box.core, node: name, clock: bench.clock }
    await plugins.startExporters(core)
    return { bench, got, plugins, clock: bench.clock, core }
  }

  it('one has the place; another takes over when it stops, at once', async () => {
    await using box = await startTestCore('postgres')
    const [one, two] = [await node(box, 'one'), await node(box, 'two')]
    await say(one.core, 2)
    await say(two.core)
    await moment(box, one.clock, () => one.got.length === 3)
    for (let i = 0; i < 40; i++) await moment(box, two.clock, passes(3))
    expect(two.got).toEqual([])
    await one.plugins.close()
    await say(two.core)
    await moment(box, two.clock, () => two.got.length === 1)
    expect(two.got[0]).toBe((one.got.at(-1) ?? 0) + 1)
    for (const { bench } of [one, two]) await bench[Symbol.asyncDispose]()
  })

  it('one that is not heard from for its term loses the place, and changes nothing when it comes back', async () => {
    await using box = await startTestCore('postgres')
    const [one, two] = [await node(box, 'one'), await node(box, 'two')]
    await say(one.core)
    await moment(box, one.clock, () => one.got.length === 1)
    // It stands still, with a place that it has not saved. Its term, by the database's clock, runs out.
    await box.core.store.write(async (tx) => {
      await tx.db.updateTable('exporter_cursors').set({ held_until: 0 }).where('holder', '=', 'one').execute()
    })
    await say(two.core)
    await moment(box, two.clock, () => two.got.length === 2)
    two.clock.advance(1000)
    await moment(box, two.clock, async () => (await cursorOf(box)) === two.got.at(-1))
    one.clock.advance(1000)
    await moment(box, one.clock, passes(20))
    expect(await cursorOf(box)).toBe(two.got.at(-1))
    await say(one.core)
    await moment(box, two.clock, () => two.got.length === 3)
    one.clock.advance(6000)
    await moment(box, one.clock, passes(20))
    expect(new Set(one.got).size).toBe(one.got.length)
    const lags = async (of: typeof one) =>
      (await of.plugins.gauges()).find(({ name }) => name.endsWith('lag_events'))?.values
    expect(await lags(one)).toEqual([])
    expect(await lags(two)).toHaveLength(1)
    for (const { bench } of [one, two]) await bench[Symbol.asyncDispose]()
  })
})

/** Holds when it has been asked so many times. */
function passes(times: number): () => boolean {
  let asked = 0
  return () => ++asked > times
}

describe('the tail of the events on postgres', () => {
  /** A transaction of its own, by hand. */
  async function open(box: TestCore) {
    const client = await (box.core.store as PostgresStore).pool.connect()
    await client.query('begin')
    return {
      /** Gets its number, if it has none yet, before it does anything else. */
      number: () => client.query('select pg_current_xact_id()'),
      event: async () => {
        const { rows } = await client.query(`insert into events (at, kind, data) values (0, 'x', '{}') returning id`)
        return (rows[0] as { id: number }).id
      },
      end: async (how: 'commit' | 'rollback') => {
        await client.query(how)
        client.release()
      },
    }
  }
  const idsOf = async (tail: EventTail, after = 0) => (await tail.read(after, 500)).events.map(({ id }) => id)

  it.each(['older', 'younger'])(
    'waits for a transaction that may still commit a lower id, the %s of two',
    async (which) => {
      await using box = await startTestCore('postgres')
      const tail = new EventTail(box.core.store)
      const [one, two] = [await open(box), await open(box)]
      await one.number()
      await two.number()
      const [low, high] = which === 'older' ? [one, two] : [two, one]
      const lowId = await low.event()
      const highId = await high.event()
      expect(highId).toBeGreaterThan(lowId)
      await high.end('commit')
      for (let i = 0; i < 3; i++) expect(await tail.read(0, 500)).toEqual({ events: [], more: true })
      const later = await open(box)
      const laterId = await later.event()
      await low.end('commit')
      expect(await idsOf(tail)).toEqual([lowId, highId])
      await later.end('commit')
      expect(await idsOf(tail, highId)).toEqual([laterId])
    },
  )

  it('goes on past an id that was never committed', async () => {
    await using box = await startTestCore('postgres')
    const tail = new EventTail(box.core.store)
    const [gone, kept] = [await open(box), await open(box)]
    await gone.event()
    const id = await kept.event()
    await kept.end('commit')
    expect(await idsOf(tail)).toEqual([])
    await gone.end('rollback')
    expect(await idsOf(tail)).toEqual([id])
    expect(await tail.read(id, 500)).toEqual({ events: [], more: false })
  })

  it('takes no notice of other databases of the server', async () => {
    await using box = await startTestCore('postgres')
    await using other = await startTestCore('postgres')
    const foreign = await open(other)
    await foreign.number()
    const own = await open(box)
    const id = await own.event()
    await own.end('commit')
    expect(await idsOf(new EventTail(box.core.store))).toEqual([id])
    await foreign.end('rollback')
  })
})

it('is told of the kinds of events that the documentation lists', () => {
  const text = readFileSync(new URL('../../docs/plugins.md', import.meta.url), 'utf8')
  const [, list] = /^Kinds of events: ([\s\S]*?)\. /m.exec(text)!
  expect(new Set([...list!.matchAll(/`([^`]+)`/g)].map(([, kind]) => kind))).toEqual(new Set(eventKinds))
  // And those that authors test with are of these.
  expect(recordedEvents().filter(({ kind }) => !eventKinds.includes(kind as never))).toEqual([])
})

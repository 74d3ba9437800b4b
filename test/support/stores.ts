import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, inject } from 'vitest'
import { openStore } from '../../src/core/store/open.js'
import type { WritingConnection } from '../../src/core/store/sqlite-connection.js'
import { SqliteStore } from '../../src/core/store/sqlite-store.js'
import type { Engine, Store } from '../../src/core/store/write.js'
import { ManualClock } from './manual-clock.js'
import { postgresPlace } from './postgres-place.js'
import { PostgresProxy } from './postgres-proxy.js'

export interface TestStore extends AsyncDisposable {
  store: Store
  clock: ManualClock
  /** What the store reported as bugs; a test that expects none asserts so. */
  reports: { error: unknown; what: string }[]
}

/** Runs the same suite on both engines. */
export function onBothEngines(suite: (engine: Engine) => void): void {
  for (const engine of ['sqlite', 'postgres'] as const) describe(`on ${engine}`, () => suite(engine))
}

/** Opens an empty, migrated store that is gone at the end of the test. `KEEP_DB=1` keeps a SQLite file and prints its path. */
export async function openTestStore(engine: Engine, options: { commitWaitMs?: number } = {}): Promise<TestStore> {
  const clock = new ManualClock()
  const reports: TestStore['reports'] = []
  const place = engine === 'sqlite' ? migratedPlace() : await postgresPlace()
  return { ...(await openPlace(place, clock, reports, options)), clock, reports }
}

/** A store on PostgreSQL behind a proxy that a test may let fail. */
export async function openProxiedStore(
  options: { commitWaitMs?: number } = {},
): Promise<TestStore & { proxy: PostgresProxy; direct: string }> {
  const clock = new ManualClock()
  const reports: TestStore['reports'] = []
  const place = await postgresPlace()
  const proxy = await PostgresProxy.start(place.url)
  const remove = async () => {
    await proxy[Symbol.asyncDispose]()
    await place.remove()
  }
  const opened = await openPlace({ url: proxy.url, remove }, clock, reports, options)
  return { ...opened, clock, reports, proxy, direct: place.url }
}

async function openPlace(
  place: { url: string; remove: () => Promise<void> },
  clock: ManualClock,
  reports: TestStore['reports'],
  options: { commitWaitMs?: number },
): Promise<Pick<TestStore, 'store' | typeof Symbol.asyncDispose>> {
  const store = await openStore({
    url: place.url,
    clock,
    report: (error, what) => reports.push({ error, what }),
    fatal: (error) => reports.push({ error, what: 'fatal' }),
    // A thread for each of a thousand stores; `write.test.ts` has one.
    checkpoints: false,
    ...options,
  })
  if (store instanceof SqliteStore) checkKnownRows(store.connection)
  return {
    store,
    async [Symbol.asyncDispose]() {
      await store.close()
      await place.remove()
    },
  }
}

/** Every row that the writer believes it knows is compared with the database, in every test. */
function checkKnownRows({ known, raw }: WritingConnection): void {
  const compare = (table: string, key: 'id' | 'jobId' = 'id') => {
    const column = (field: string) => field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    const statement = raw.prepare(`select * from ${table} where ${column(key)} = ?`)
    return (row: object & { id?: number; jobId?: number }) => {
      const stored = statement.get(row[key]) as Record<string, unknown>
      for (const [field, value] of Object.entries(row)) {
        const [is, known] = [JSON.stringify(stored?.[column(field)]), JSON.stringify(value)]
        if (is !== known) throw new Error(`${table} ${row[key]}: ${field} is ${is}, and was thought to be ${known}`)
      }
      // Whoever wants to change what is known must take a copy.
      Object.freeze(row)
    }
  }
  known.jobs.check = compare('jobs')
  known.leases.check = compare('leases')
  known.traces.check = compare('traces', 'jobId')
  known.pipelines.check = compare('pipelines')
  known.projects.check = compare('projects')
  const stage = compare('stages')
  known.stages.check = (stages) => stages.forEach(stage)
  const current = raw.prepare(
    `select id, status, allow_failure, enqueue_at_once, started_at, finished_at from jobs
    where pipeline_id = (select pipeline_id from jobs where id = ?) and retried = 0 order by stage_position, id`,
  )
  known.currentJobs.check = (jobs) => {
    const list = jobs.list()
    const told = list.map((job) => ({
      id: job.id,
      status: job.status,
      allow_failure: job.allowFailure,
      enqueue_at_once: job.enqueueAtOnce,
      started_at: job.startedAt,
      finished_at: job.finishedAt,
    }))
    const stored = list.length === 0 ? [] : current.all(list[0]!.id)
    if (JSON.stringify(told) !== JSON.stringify(stored)) {
      throw new Error(`jobs are ${JSON.stringify(stored)}, and were thought to be ${JSON.stringify(told)}`)
    }
  }
}

export function sqlitePlace(): { url: string; file: string; remove: () => Promise<void> } {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-db-'))
  const file = path.join(folder, 'signalbox.db')
  return {
    url: `sqlite:${file}`,
    file,
    async remove() {
      if (process.env.KEEP_DB) console.log(`kept ${file}`)
      else rmSync(folder, { recursive: true, force: true })
    },
  }
}

function migratedPlace(): ReturnType<typeof sqlitePlace> {
  const place = sqlitePlace()
  copyFileSync(inject('sqliteTemplate'), place.file)
  return place
}

/** Old pipelines and events go, by the terms of the instance and the project, and nothing else does. */
import { expect, it } from 'vitest'
import { fillHistory, settlePostgres } from '../../../bench/product/history-rows.mjs'
import { deleteOldEvents } from '../../../src/core/operations/delete-old-events.js'
import { deleteOldPipelines } from '../../../src/core/operations/delete-old-pipelines.js'
import { updateProject } from '../../../src/core/operations/update-project.js'
import { saveCursor } from '../../../src/core/store/events.js'
import type { PostgresStore } from '../../../src/core/store/postgres-store.js'
import type { SqliteStore } from '../../../src/core/store/sqlite-store.js'
import { startTestCore, type TestCore } from '../../support/core.js'
import { eventually } from '../../support/eventually.js'
import { onBothEngines } from '../../support/stores.js'

const dayMs = 24 * 3_600_000

onBothEngines((engine) => {
  /** Two projects with a thousand jobs of the last hundred days, and one job of now in each. */
  async function withHistory(retention: { pipelinesMs: number | null; eventsMs: number | null }) {
    const box = await startTestCore(engine, { retention })
    const { project: busy } = await box.run({ now: { script: 'x' } }, 'g/busy')
    const { project: calm } = await box.run({ now: { script: 'x' } }, 'g/calm')
    const { runner, manager } = await box.runner()
    const run = async (sql: string) => {
      const { store } = box.core
      if (engine === 'postgres') return (await (store as PostgresStore).pool.query(sql)).rows
      const statement = (store as SqliteStore).connection.raw.prepare(sql)
      if (statement.reader) return statement.all()
      statement.run()
      return []
    }
    // Ids of events follow times.
    await run('delete from events')
    await fillHistory(run, {
      ...{ jobs: 1000, days: 100, now: box.clock.now() },
      ...{ projects: [busy.id, calm.id], runner: runner.id, manager: manager.id },
    })
    if (engine === 'postgres') await settlePostgres(run)
    return { box, run, busy, calm }
  }

  const agesOf = async (box: TestCore, projectId: number) => {
    const { db } = box.core.store.read
    const query = db.selectFrom('pipelines').select(['created_at', 'ref']).where('project_id', '=', projectId)
    const rows = await query.orderBy('id').execute()
    return rows.map((row) => ({ days: (box.clock.now() - row.created_at) / dayMs, ref: row.ref }))
  }

  it('deletes no pipeline where nobody has said so', async () => {
    const { box, busy } = await withHistory({ pipelinesMs: null, eventsMs: null })
    await using _ = box
    const before = await agesOf(box, busy.id)
    expect(await deleteOldPipelines(box.core)).toBe(0)
    expect(await deleteOldEvents(box.core)).toBe(0)
    expect(await agesOf(box, busy.id)).toEqual(before)
  })

  it('deletes what is older than the project or the instance keeps, with all that belongs to it', async () => {
    const { box, busy, calm, run } = await withHistory({ pipelinesMs: 50 * dayMs, eventsMs: null })
    await using _ = box
    await updateProject(box.core, { projectId: busy.id, changes: { deletePipelinesS: 10 * 24 * 3600, keepLatest: 0 } })
    await updateProject(box.core, { projectId: calm.id, changes: { keepLatest: 0 } })
    expect(await deleteOldPipelines(box.core)).toBeGreaterThan(80)
    expect(Math.max(...(await agesOf(box, busy.id)).map(({ days }) => days))).toBeLessThan(10)
    const ofCalm = (await agesOf(box, calm.id)).map(({ days }) => days)
    expect(Math.max(...ofCalm)).toBeLessThan(50)
    expect(Math.max(...ofCalm)).toBeGreaterThan(40)
    // What was deleted is to be removed from the disk, and no row of it is left.
    for (const table of ['leases', 'traces', 'artifacts', 'stages', 'deployments']) {
      const parent = table === 'stages' ? 'pipeline' : 'job'
      const sql = `select count(*) as count from ${table} where ${parent}_id not in (select id from ${parent}s)`
      expect(Number((await run(sql))[0].count)).toBe(0)
    }
    const [{ count }] = await run('select count(*) as count from job_definitions')
    expect(count).toEqual((await run('select count(*) as count from jobs'))[0].count)
    expect(await deleteOldPipelines(box.core)).toBe(0)
  })

  it('keeps the newest success of each ref, what an environment is at, and what goes on', async () => {
    const { box, busy, calm } = await withHistory({ pipelinesMs: dayMs, eventsMs: null })
    await using _ = box
    box.clock.advance(2 * dayMs)
    await deleteOldPipelines(box.core)
    // The pipelines that have begun, and have not ended, are two days old.
    expect((await agesOf(box, calm.id)).map(({ ref }) => ref).toSorted()).toEqual([
      'main',
      'topic-10',
      'topic-100',
      'topic-20',
      'topic-30',
      'topic-40',
      'topic-50',
      'topic-60',
      'topic-70',
      'topic-80',
      'topic-90',
    ])
    const kept = (await agesOf(box, busy.id)).map(({ ref }) => ref)
    expect(kept.filter((ref) => ref === 'main')).toHaveLength(2)
    expect(new Set(kept).size).toBe(kept.length - 1)
    await updateProject(box.core, { projectId: busy.id, changes: { keepLatest: 0 } })
    await deleteOldPipelines(box.core)
    // One goes on; one has made the last deployment.
    expect(await agesOf(box, busy.id)).toHaveLength(2)
  })

  it('empties a large pipeline before it deletes it, in several transactions', async () => {
    await using box = await startTestCore(engine, { retention: { pipelinesMs: dayMs, eventsMs: null } })
    const jobs = Object.fromEntries(
      Array.from({ length: 120 }, (_, i) => [`job-${i}`, { script: 'x', when: 'manual', allow_failure: false }]),
    )
    const { project, pipeline } = await box.run(jobs)
    // It is begun in several passes.
    await eventually(async () => expect(await box.pipelineStatus(pipeline)).toBe('manual'))
    await updateProject(box.core, { projectId: project.id, changes: { keepLatest: 0 } })
    box.clock.advance(2 * dayMs)
    const before = box.core.store.stats.bodies
    expect(await deleteOldPipelines(box.core)).toBe(1)
    expect(box.core.store.stats.bodies - before).toBeGreaterThanOrEqual(3)
    expect(await agesOf(box, project.id)).toEqual([])
  })

  it('deletes old events that all have read, unread ones much later, and never the newest', async () => {
    const { box, run } = await withHistory({ pipelinesMs: null, eventsMs: 60 * dayMs })
    await using _ = box
    const oldest = async () => {
      const [{ at, id }] = await run('select at, id from events order by id limit 1')
      return { days: (box.clock.now() - Number(at)) / dayMs, id: Number(id) }
    }
    const first = await oldest()
    await box.core.store.write((tx) => saveCursor(tx, 'exporter.late/x', first.id + 200))
    expect(await deleteOldEvents(box.core)).toBe(201)
    expect((await oldest()).id).toBe(first.id + 201)
    await box.core.store.write((tx) => saveCursor(tx, 'exporter.late/x', Number.MAX_SAFE_INTEGER))
    expect(await deleteOldEvents(box.core)).toBeGreaterThan(1000)
    expect((await oldest()).days).toBeLessThan(60)

    await box.core.store.write((tx) => saveCursor(tx, 'exporter.late/x', 0))
    box.clock.advance(230 * dayMs)
    const { days } = await oldest()
    expect(days).toBeGreaterThan(240)
    await deleteOldEvents(box.core)
    expect((await oldest()).days).toBeLessThanOrEqual(240)
    box.clock.advance(1000 * dayMs)
    await deleteOldEvents(box.core)
    expect(await run('select id from events')).toHaveLength(1)
  })
})

import { expect, it } from 'vitest'
import { readGauges } from '../../src/core/gauges.js'
import { acceptLease } from '../../src/core/operations/accept-lease.js'
import { startTestCore, type TestCore } from '../support/core.js'
import { onBothEngines } from '../support/stores.js'

/** The values that are not 0, by name and labels. */
async function figures(box: TestCore): Promise<Record<string, number>> {
  box.clock.advance(1000)
  const gauges = await readGauges(box.core)
  return Object.fromEntries(
    gauges.flatMap(({ name, values }) =>
      values
        .filter(({ value }) => value !== 0)
        .map(({ labels, value }) => [[name.replace('signalbox_', ''), ...Object.values(labels)].join(' '), value]),
    ),
  )
}

onBothEngines((engine) => {
  it('tell how many jobs wait, for how long, and who holds a lease', async () => {
    await using box = await startTestCore(engine)
    const project = await box.project({
      a: { script: 'x' },
      b: { script: 'x' },
      gpu: { script: 'x', tags: ['gpu'] },
      later: { script: 'x', when: 'delayed', start_in: '1 hour' },
    })
    await box.pipeline(project)
    const own = await box.project({ c: { script: 'x' } }, 'acme/own')
    await box.core.store.write((tx) =>
      tx.db
        .updateTable('projects')
        .set({ instance_runners_enabled: 0, group_runners_enabled: 0 })
        .where('id', '=', own.id)
        .execute(),
    )
    box.clock.advance(9000)
    await box.pipeline(own)
    expect(await figures(box)).toMatchObject({
      'backlog instance untagged': 2,
      'backlog instance tagged': 1,
      'backlog project untagged': 1,
      'backlog_age_seconds instance untagged': 10,
      'backlog_age_seconds instance tagged': 10,
      'backlog_age_seconds project untagged': 1,
      'jobs_under_way scheduled': 1,
    })

    const runner = await box.runner()
    const first = (await runner.request({ door: 'grpc' })).offer!
    await runner.request({ door: 'rest' })
    expect(await figures(box)).toMatchObject({
      'leases_open offered grpc': 1,
      'leases_open held poll': 1,
      'jobs_under_way running': 1,
      'runner_managers instance': 1,
    })
    await acceptLease(box.core, { ...first, managerId: runner.manager.id })
    runner.wait(1)
    const after = await figures(box)
    expect(after).toMatchObject({ 'leases_open held grpc': 1, 'jobs_under_way running': 2, waiting_runners: 1 })
    expect(after).not.toHaveProperty('backlog instance untagged')
    expect(after.store_commits_total).toBeGreaterThan(3)
  })

  it('count lanes page by page, and are read once a second at most', async () => {
    await using box = await startTestCore(engine)
    const { project, pipeline } = await box.run({ one: { script: 'x' } })
    const reading = readGauges(box.core)
    expect(readGauges(box.core)).toBe(reading)
    await box.core.store.write(async ({ db }) => {
      const tags = Array.from({ length: 600 }, (_, i) => ({
        key: `k${i}`,
        tags: `["t${i}"]`,
        protected: 0,
        features: '[]',
      }))
      const demands = await db.insertInto('demands').values(tags).returning('id').execute()
      const lane = { project_id: project.id, instance_share: 0, head_priority: 0, touched_at: 0 }
      const one = await db.selectFrom('jobs').select('id').where('pipeline_id', '=', pipeline.id).executeTakeFirst()
      await db
        .insertInto('lanes')
        .values(demands.map(({ id }) => ({ ...lane, demand_id: id, head_job_id: one?.id ?? 0 })))
        .execute()
      const job = await db.selectFrom('jobs').selectAll().executeTakeFirstOrThrow()
      const lanes = await db
        .selectFrom('lanes')
        .select('id')
        .where(
          'demand_id',
          'in',
          demands.map(({ id }) => id),
        )
        .execute()
      const { id: _, ...columns } = job
      // SQLite takes a limited number of values in one statement.
      for (let at = 0; at < lanes.length; at += 100) {
        const some = lanes.slice(at, at + 100)
        await db
          .insertInto('jobs')
          .values(some.map(({ id }) => ({ ...columns, name: `j${id}`, lane_id: id })))
          .execute()
      }
    })
    expect(await readGauges(box.core)).toBe(await reading)
    expect(await figures(box)).toMatchObject({ 'backlog instance untagged': 1, 'backlog instance tagged': 600 })
  })

  it('say what runs', async () => {
    await using box = await startTestCore(engine)
    const info = (await readGauges(box.core)).find(({ name }) => name === 'signalbox_build_info')
    expect(info?.values).toEqual([
      { labels: { version: '0.1.0', gitlab_version: '18.9.0', node_version: process.version, engine }, value: 1 },
    ])
  })

  it('are refused when the store is closed, and can be asked for again', async () => {
    await using box = await startTestCore(engine)
    await box.core.store.close()
    await expect(readGauges(box.core)).rejects.toThrow()
    const again = readGauges(box.core)
    await expect(again).rejects.toThrow()
  })
})

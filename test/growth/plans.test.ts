/**
 * Nothing that is asked reads more as history grows: SQLite and PostgreSQL tell how they would answer each statement that
 * routes, a job's life, tasks, metrics and a start have asked.
 */
import { expect, it } from 'vitest'
import { onBothEngines } from '../support/stores.js'
import { Asking } from './asked.js'
import { faultsOnPostgres, faultsOnSqlite } from './explain.js'
import { askEverything, startScene } from './scene.js'

onBothEngines((engine) => {
  it('answers everything by indexes, and reads no history for it', { timeout: 120_000 }, async () => {
    // SQLite plans without a look at the rows; PostgreSQL tells how many it reads.
    await using scene = await startScene(engine, engine === 'sqlite' ? 500 : 8000)
    const asking = new Asking()
    const refused = await askEverything(scene, asking).finally(() => asking.stop())
    const asked = asking.stop()
    expect(refused).toEqual([])
    expect(asked.length).toBeGreaterThan(200)
    expect(await (engine === 'sqlite' ? faultsOnSqlite : faultsOnPostgres)(scene.run, asked)).toEqual([])
  })
})

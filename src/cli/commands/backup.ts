/** `signalbox backup FILE` and `signalbox restore FILE`. */
import { createWriteStream, existsSync } from 'node:fs'
import { open, readdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { readManifest, restoreBackup } from '../../restore.js'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { printable } from '../printable.js'

/** Writes everything that the coordinator keeps into a new file. Throws `Exit` where the file is there already. */
export async function backup(file: string): Promise<void> {
  if (existsSync(file)) throw new Exit(exitCodes.conflict, `${file} is there already`)
  const { client, terminal } = openContext()
  const partial = `${file}.partial`
  try {
    const source = Readable.from(await client().stream('/api/signalbox/v1/backup'))
    await pipeline(source, createWriteStream(partial, { mode: 0o600 }))
    const handle = await open(partial, 'r+')
    await handle.sync()
    await handle.close()
    const { database } = await readManifest(partial)
    await rename(partial, file)
    terminal.say(`${file}: keep it as secret as the data folder, its key is in it`)
    if (database === 'postgres') terminal.say('the database is not in it: that is for pg_dump, before this command')
  } catch (error) {
    await rm(partial, { force: true })
    if (error instanceof Exit) throw error
    throw new Exit(exitCodes.failed, `the backup failed: ${(error as Error).message}`)
  }
}

/** Makes a data folder out of a backup. Throws `Exit` where the folder has data. */
export async function restore(file: string, options: { dataDir: string }): Promise<void> {
  const { terminal } = openContext()
  const dataDir = path.resolve(options.dataDir)
  if (!existsSync(file)) throw new Exit(exitCodes.notFound, `there is no file ${file}`)
  const present = await readdir(dataDir).catch(() => [])
  if (present.length > 0) throw new Exit(exitCodes.conflict, `${dataDir} is not empty`)
  try {
    const { database, createdAt } = await restoreBackup(file, dataDir)
    terminal.say(`${dataDir} is as it was at ${createdAt.toISOString()}: signalbox serve --data-dir ${options.dataDir}`)
    if (database === 'postgres') terminal.say('the database is not in it: restore that with pg_restore')
  } catch (error) {
    throw new Exit(exitCodes.failed, `${file} cannot be restored: ${printable((error as Error).message)}`)
  }
}

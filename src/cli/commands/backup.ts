/** `signalbox backup FILE` and `signalbox restore FILE`. */
import { createWriteStream, existsSync } from 'node:fs'
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import yauzl from 'yauzl'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'

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
    const { database } = await manifestOf(partial)
    await rename(partial, file)
    terminal.say(`${file}: keep it as secret as the data folder, its key is in it`)
    if (database === 'postgres') terminal.say('the database is not in it: that is for pg_dump, before this command')
  } catch (error) {
    await rm(partial, { force: true })
    if (error instanceof Exit) throw error
    throw new Exit(exitCodes.failed, `the backup failed: ${(error as Error).message}`)
  }
}

export async function restore(file: string, options: { dataDir: string }): Promise<void> {
  const { terminal } = openContext()
  const dataDir = path.resolve(options.dataDir)
  if (!existsSync(file)) throw new Exit(exitCodes.notFound, `there is no file ${file}`)
  const present = await readdir(dataDir).catch(() => [])
  if (present.length > 0) throw new Exit(exitCodes.conflict, `${dataDir} is not empty`)
  try {
    const { database, created_at: createdAt } = await manifestOf(file)
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    await eachEntry(file, async (name, body) => {
      // The reader of the zip refuses names that lead out of the folder.
      const target = path.join(dataDir, name)
      await mkdir(path.dirname(target), { recursive: true, mode: 0o700 })
      await pipeline(await body(), createWriteStream(target, { flags: 'wx', mode: 0o600 }))
    })
    await rm(path.join(dataDir, manifestName))
    terminal.say(`${dataDir} is as it was at ${createdAt}: signalbox serve --data-dir ${options.dataDir}`)
    if (database === 'postgres') terminal.say('the database is not in it: restore that with pg_restore')
  } catch (error) {
    if (error instanceof Exit) throw error
    throw new Exit(exitCodes.failed, `${file} cannot be restored: ${(error as Error).message}`)
  }
}

interface Manifest {
  created_at: string
  database: 'sqlite' | 'postgres'
}

const manifestName = 'manifest.json'
const knownFormat = 1

/** Throws for a file that is no backup, is not whole, or is one of a later version. */
async function manifestOf(file: string): Promise<Manifest> {
  let found: (Manifest & { format: number }) | undefined
  await eachEntry(file, async (name, body) => {
    if (name === manifestName) found = JSON.parse(await text(await body()))
  })
  if (found?.format === knownFormat) return found
  throw new Error(found ? 'it is of a later version' : 'it is not a backup')
}

/** Goes through the files of a zip, one after the other. */
function eachEntry(file: string, visit: (name: string, body: () => Promise<Readable>) => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    yauzl.open(file, { lazyEntries: true, autoClose: true }, (error, zip) => {
      if (error) return reject(error)
      const body = (entry: yauzl.Entry) =>
        new Promise<Readable>((give, fail) =>
          zip.openReadStream(entry, (wrong, stream) => (wrong ? fail(wrong) : give(stream))),
        )
      zip.on('error', reject)
      zip.on('end', resolve)
      zip.on('entry', (entry: yauzl.Entry) => {
        visit(entry.fileName, () => body(entry)).then(
          () => zip.readEntry(),
          (wrong) => {
            zip.close()
            reject(wrong)
          },
        )
      })
      zip.readEntry()
    })
  })
}

/**
 * Unpacks what `backup.ts` has made. A backup may have been cut off, changed by a bad disk or made by somebody else: nothing
 * comes to lie in the data folder before all of it has been read and its checksums hold.
 */
import { randomBytes } from 'node:crypto'
import { createWriteStream, existsSync } from 'node:fs'
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises'
import path from 'node:path'
import { type Readable, Transform } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { crc32 } from 'node:zlib'
import yauzl from 'yauzl'
import { stagingPrefix } from './data-folder.js'

export interface Manifest {
  createdAt: Date
  database: 'sqlite' | 'postgres'
}

const manifestName = 'manifest.json'
const knownFormat = 1
const databaseName = 'signalbox.db'
const keyName = 'key'
const files = new Set([manifestName, databaseName, keyName, 'admin-token', 'node'])
const folders = ['traces/', 'artifacts/', 'repositories/']

/**
 * Unpacks the backup into the folder, which is empty or made. Throws, and leaves the folder as it was, for a file that is
 * not a whole backup of this version.
 */
export async function restoreBackup(file: string, dataDir: string): Promise<Manifest> {
  const manifest = await readManifest(file)
  const made = await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const staging = path.join(dataDir, `${stagingPrefix}${randomBytes(6).toString('hex')}`)
  try {
    await mkdir(staging, { mode: 0o700 })
    await eachEntry(file, async (name, body) => {
      if (name === manifestName) return
      const target = path.join(staging, name)
      await mkdir(path.dirname(target), { recursive: true, mode: 0o700 })
      await pipeline(await body(), createWriteStream(target, { flags: 'wx', mode: 0o600 }))
    })
    const wanted = manifest.database === 'sqlite' ? [keyName, databaseName] : [keyName]
    for (const name of wanted) if (!existsSync(path.join(staging, name))) throw new Error(`${name} is not in it`)
    // The database last: beside one without its key, a coordinator would make a new key.
    const rest = (await readdir(staging)).filter((name) => name !== databaseName)
    for (const name of rest) await rename(path.join(staging, name), path.join(dataDir, name))
    if (manifest.database === 'sqlite') await rename(path.join(staging, databaseName), path.join(dataDir, databaseName))
    return manifest
  } catch (error) {
    await rm(staging, { recursive: true, force: true })
    if (made !== undefined) await rmdir(dataDir).catch(() => undefined)
    throw error
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}

/** Throws for a file that is no backup, is not whole, or is one of a later version. */
export async function readManifest(file: string): Promise<Manifest> {
  let found: string | undefined
  await eachEntry(file, async (name, body) => {
    if (name === manifestName) found = await text(await body())
  })
  const manifest = found === undefined ? undefined : parsed(found)
  if (!manifest) throw new Error('it is not a backup')
  if (manifest.format !== knownFormat) throw new Error('it is of a later version')
  const createdAt = new Date(String(manifest.created_at))
  const { database } = manifest
  if (Number.isNaN(createdAt.getTime()) || (database !== 'sqlite' && database !== 'postgres')) {
    throw new Error(`its ${manifestName} is not right`)
  }
  return { createdAt, database }
}

function parsed(json: string): Record<string, unknown> | undefined {
  try {
    return Object(JSON.parse(json))
  } catch {
    return undefined
  }
}

/**
 * Goes through the files of a zip, one after the other. The reader refuses names that lead out of a folder and bytes that
 * are not as many as said; names that no backup has, and bytes with another checksum, are refused here.
 */
function eachEntry(file: string, visit: (name: string, body: () => Promise<Readable>) => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    yauzl.open(file, { lazyEntries: true, autoClose: true }, (error, zip) => {
      if (error) return reject(error)
      const body = (entry: yauzl.Entry) =>
        new Promise<Readable>((give, fail) =>
          zip.openReadStream(entry, (wrong, stream) =>
            wrong ? fail(wrong) : give(pipelineOf(stream, checksum(entry.fileName, entry.crc32))),
          ),
        )
      const seen = async (entry: yauzl.Entry) => {
        const name = entry.fileName
        if (!isKnown(name)) throw new Error(`no backup has a file ${JSON.stringify(name)}`)
        await visit(name, () => body(entry))
      }
      zip.on('error', reject)
      zip.on('end', resolve)
      zip.on('entry', (entry: yauzl.Entry) => {
        seen(entry).then(
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

const isKnown = (name: string) =>
  files.has(name) || (folders.some((one) => name.startsWith(one)) && !name.endsWith('/'))

/** What goes wrong in the source goes wrong in the result. */
function pipelineOf(source: Readable, through: Transform): Readable {
  source.once('error', (error) => through.destroy(error))
  through.once('close', () => source.destroy())
  return source.pipe(through)
}

function checksum(name: string, wanted: number): Transform {
  let sum = 0
  return new Transform({
    transform(chunk: Buffer, _, done) {
      sum = crc32(chunk, sum)
      done(null, chunk)
    },
    flush(done) {
      done(sum === wanted ? null : new Error(`${name} is damaged`))
    },
  })
}

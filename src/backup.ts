/**
 * A backup of a coordinator that works on: a zip file with the layout of the data folder.
 *
 * Files that the database's copy names must be in it, so they are held by a second name before the copy is made, and those
 * that have come meanwhile after it: nothing that is deleted later is missing. Of a git repository the refs are taken
 * before the objects that they name.
 */
import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { copyFile, link, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import yazl from 'yazl'
import { copySqlite } from './core/store/sqlite-copy.js'
import { version } from './core/version.js'
import { stagingPrefix } from './data-folder.js'

export interface BackupPlaces {
  dataDir: string
  keyFile: string
  /** The folder of hosted repositories. */
  repositories: string
  /** `sqlite:PATH` or `postgres://…`: the latter is not in the backup. */
  database: string
}

/** Returns the zip as it is made. What it needs of disk beside the data is a copy of the database. */
export async function makeBackup(places: BackupPlaces): Promise<Readable> {
  const staging = path.join(places.dataDir, `${stagingPrefix}${randomBytes(6).toString('hex')}`)
  const discard = () => rm(staging, { recursive: true, force: true })
  try {
    await mkdir(staging, { mode: 0o700 })
    await stage(places, staging)
    const zip = new yazl.ZipFile()
    const output = zip.outputStream as Readable
    zip.on('error', (error) => output.destroy(error as Error))
    output.once('close', () => {
      discard().catch(() => undefined)
    })
    for await (const file of filesOf(staging)) await add(zip, staging, file)
    zip.end()
    return output
  } catch (error) {
    await discard()
    throw error
  }
}

async function stage(
  { dataDir, keyFile, database, repositories: hosted }: BackupPlaces,
  staging: string,
): Promise<void> {
  const blobs = async () => {
    for (const room of ['traces', 'artifacts']) {
      await hold(path.join(dataDir, room), path.join(staging, room), (file) => !file.startsWith('uploads/'))
    }
  }
  await blobs()
  const sqlite = database.startsWith('sqlite:')
  if (sqlite) await copySqlite(database.slice('sqlite:'.length), path.join(staging, 'signalbox.db'))
  await blobs()
  const repositories = [hosted, path.join(staging, 'repositories')] as const
  for (const part of gitParts) await hold(...repositories, part)
  await copyFile(keyFile, path.join(staging, 'key'))
  for (const name of ['admin-token', 'node']) {
    const text = await readFile(path.join(dataDir, name)).catch(() => undefined)
    if (text) await writeFile(path.join(staging, name), text, { mode: 0o600 })
  }
  const manifest = {
    format: 1,
    version,
    created_at: new Date().toISOString(),
    database: sqlite ? 'sqlite' : 'postgres',
  }
  await writeFile(path.join(staging, 'manifest.json'), `${JSON.stringify(manifest)}\n`)
}

const isTemporary = (file: string) => /\.lock$|(^|\/)(tmp_|incoming-|tmp-)/.test(file)
const isObject = (file: string) => file.includes('/objects/')
const isPack = (file: string) => file.includes('/objects/pack/')

/** Objects that are packed meanwhile are in the packs, which come last. */
const gitParts: ((file: string) => boolean)[] = [
  (file) => !isTemporary(file) && !isObject(file),
  (file) => !isTemporary(file) && isObject(file) && !isPack(file),
  (file) => !isTemporary(file) && isPack(file),
]

/** Gives every file below `from` that is wanted a second name below `to`; those that have it keep it. */
async function hold(from: string, to: string, wanted: (file: string) => boolean): Promise<void> {
  let missed = true
  // One that goes while it is looked at may have gone into another, as when git packs.
  for (let round = 0; missed && round < 5; round++) {
    missed = false
    for await (const file of filesOf(from)) {
      if (!wanted(file)) continue
      const [source, target] = [path.join(from, file), path.join(to, file)]
      try {
        await mkdir(path.dirname(target), { recursive: true })
        await link(source, target)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code === 'ENOENT') missed = true
        else if (code !== 'EEXIST') await copyFile(source, target)
      }
    }
  }
}

/** Paths below the folder, with `/` between their parts; none if there is no such folder. */
async function* filesOf(folder: string, below = ''): AsyncGenerator<string> {
  const entries = await readdir(path.join(folder, below), { withFileTypes: true }).catch(() => [])
  for (const entry of entries) {
    const name = path.posix.join(below, entry.name)
    if (entry.isDirectory()) yield* filesOf(folder, name)
    else if (entry.isFile()) yield name
  }
}

/** A log may grow while it is read: it is read as far as it goes now. */
async function add(zip: yazl.ZipFile, staging: string, file: string): Promise<void> {
  const source = path.join(staging, file)
  const { size, mtime } = await stat(source)
  const options = { mtime, mode: 0o100600, compress: file === 'signalbox.db' || file.startsWith('traces/') }
  if (size === 0) zip.addBuffer(Buffer.alloc(0), file, options)
  else
    zip.addReadStreamLazy(file, { ...options, size }, (give) => give(null, createReadStream(source, { end: size - 1 })))
}

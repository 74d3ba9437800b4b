/**
 * Blobs in a folder of the local disk. An upload goes to a temporary file, is synced, renamed to a name of its own,
 * and only then named by a row: a broken upload leaves nothing behind that counts.
 */
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { SignalboxError } from '../errors.js'
import { type BlobRange, type BlobRooms, type BlobStore, rowWithinMs, type StoredBlob } from './blob-store.js'

/** Both stores as folders of a data folder. */
export function diskRooms(folder: string): BlobRooms {
  const room = (name: string) => new DiskBlobs(path.join(folder, name))
  return { artifacts: room('artifacts'), caches: room('caches') }
}

/** Bytes as files of a folder of this node. */
export class DiskBlobs implements BlobStore {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async store(source: Readable, limitBytes: number): Promise<StoredBlob> {
    const uploads = path.join(this.#folder, 'uploads')
    await mkdir(uploads, { recursive: true })
    const name = randomBytes(16).toString('hex')
    const temporary = path.join(uploads, name)
    const file = await open(temporary, 'wx', 0o600)
    const hash = createHash('sha256')
    let size = 0
    try {
      for await (const chunk of source as AsyncIterable<Buffer>) {
        size += chunk.length
        if (size > limitBytes) throw new SignalboxError('too_large', `a file may have ${limitBytes} bytes`)
        hash.update(chunk)
        await file.write(chunk)
      }
      await file.sync()
    } catch (error) {
      await file.close()
      await rm(temporary, { force: true })
      source.destroy()
      throw error
    }
    await file.close()
    const location = path.join(name.slice(0, 2), name)
    const folder = path.dirname(path.join(this.#folder, location))
    await mkdir(folder, { recursive: true })
    await rename(temporary, path.join(this.#folder, location))
    await syncFolder(folder)
    await syncFolder(this.#folder)
    return { location, sizeBytes: size, sha256: hash.digest('hex') }
  }

  open(location: string, range?: BlobRange): Readable {
    return createReadStream(path.join(this.#folder, location), range)
  }

  async exists(location: string): Promise<boolean> {
    return stat(path.join(this.#folder, location)).then(
      () => true,
      () => false,
    )
  }

  async remove(location: string): Promise<void> {
    await rm(path.join(this.#folder, location), { force: true })
  }

  /** What a process that is gone has stored is settled at once: the folder is this one's alone. */
  async *settled(): AsyncGenerator<string> {
    const ageMs = Math.min(rowWithinMs, performance.now() + clockStepMs)
    for (const part of await readdir(this.#folder).catch(() => [])) {
      if (!/^[0-9a-f]{2}$/.test(part)) continue
      for (const name of await readdir(path.join(this.#folder, part)).catch(() => [])) {
        const location = path.join(part, name)
        const found = await stat(path.join(this.#folder, location)).catch(() => undefined)
        if (found?.isFile() && Date.now() - found.mtimeMs > ageMs) yield location
      }
    }
  }

  async removeUnfinished(): Promise<void> {
    const uploads = path.join(this.#folder, 'uploads')
    for (const name of await readdir(uploads).catch(() => [])) await rm(path.join(uploads, name), { force: true })
  }
}

/** How far the time that a file has may be behind the one that we read. */
const clockStepMs = 1000

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

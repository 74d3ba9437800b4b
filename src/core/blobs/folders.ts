/** Files of logs and the folders they lie in, opened, made and synced so that what was acknowledged outlives a crash. */
import { constants } from 'node:fs'
import path from 'node:path'
import type { Disk, DiskFile } from './disk.js'

/**
 * Opens a file to be written at `length`, which are the bytes that count: what lies beyond is cut off. For length 0 the
 * file is made if it is not there, and its folder is the caller's to sync.
 */
export async function openCut(
  file: string,
  length: number,
  { disk, folders, durable }: { disk: Disk; folders: Folders; durable: boolean },
): Promise<DiskFile> {
  if (length === 0) return openEmpty(disk, file, folders)
  const handle = await disk.open(file, 'r+')
  try {
    const { size } = await handle.stat()
    if (size > length) {
      await handle.truncate(length)
      if (durable) await handle.datasync()
    }
    return handle
  } catch (error) {
    // What made it useless is what is told.
    await handle.close().catch(() => undefined)
    throw error
  }
}

async function openEmpty(disk: Disk, file: string, folders: Folders): Promise<DiskFile> {
  const make = () => disk.open(file, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC, 0o600)
  try {
    return await make()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  await folders.make(path.dirname(file))
  return make()
}

/** Makes and syncs folders, for many at once: one sync serves every file that was made before it began. */
export class Folders {
  readonly #disk: Disk
  readonly #durable: boolean
  readonly #making = new Map<string, Promise<void>>()
  readonly #syncing = new Map<string, { running: Promise<void>; next?: Promise<void> }>()

  constructor(disk: Disk, durable: boolean) {
    this.#disk = disk
    this.#durable = durable
  }

  /** Makes a folder, and those above it, durably. */
  make(folder: string): Promise<void> {
    const known = this.#making.get(folder)
    if (known) return known
    const made = this.#make(folder).finally(() => this.#making.delete(folder))
    this.#making.set(folder, made)
    return made
  }

  /** Resolves when a sync of the folder has ended that began after this call, and the folder itself is durable. */
  async sync(folder: string): Promise<void> {
    await Promise.all([this.#making.get(folder), this.#sync(folder)])
  }

  async #make(folder: string): Promise<void> {
    const first = await this.#disk.mkdir(folder, { recursive: true })
    if (first === undefined || !this.#durable) return
    for (let above = path.dirname(folder); ; above = path.dirname(above)) {
      await syncFolder(this.#disk, above)
      if (above === path.dirname(first)) return
    }
  }

  #sync(folder: string): Promise<void> {
    const busy = this.#syncing.get(folder)
    if (!busy) return this.#start(folder)
    const again = () => this.#start(folder)
    busy.next ??= busy.running.then(again, again)
    return busy.next
  }

  #start(folder: string): Promise<void> {
    const state: { running: Promise<void>; next?: Promise<void> } = { running: syncFolder(this.#disk, folder) }
    this.#syncing.set(folder, state)
    const ended = () => {
      if (this.#syncing.get(folder) === state && !state.next) this.#syncing.delete(folder)
    }
    state.running.then(ended, ended)
    return state.running
  }
}

async function syncFolder(disk: Disk, folder: string): Promise<void> {
  const handle = await disk.open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

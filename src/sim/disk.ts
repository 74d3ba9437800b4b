/**
 * A disk in memory that keeps apart what is written and what is synced: after a crash an unsynced write is there whole, in
 * part or not at all, and so is a file whose folder was not synced. What it takes is counted in turns of the event loop.
 */
import { constants } from 'node:fs'
import path from 'node:path'
import type { Disk, DiskFile } from '../core/blobs/disk.js'
import type { SimRandom } from './random.js'
import type { Turns } from './turns.js'

interface Stored {
  content: Buffer
  synced: Buffer
  /** Its folder has been synced since it was made. */
  linked: boolean
}

export class SimDisk {
  /** Nothing more can be written. */
  full = false
  readonly #files = new Map<string, Stored>()
  readonly #folders = new Set<string>(['/'])
  readonly #random: SimRandom
  readonly #turns: Turns

  constructor(random: SimRandom, turns: Turns) {
    this.#random = random
    this.#turns = turns
  }

  /** What a file holds now; for those who check. */
  contentOf(file: string): Buffer | undefined {
    return this.#files.get(file)?.content
  }

  /** The disk of one process, and how it ends. */
  open(): { disk: Disk; end(): void } {
    let over = false
    const act = async <T>(work: () => T): Promise<T> => {
      this.#turns.moved()
      await this.#turns.pass(this.#random.int(3))
      if (over) return new Promise<T>(() => undefined)
      this.#turns.moved()
      return work()
    }
    const disk: Disk = {
      open: (file, flags) => act(() => this.#open(file, flags, act)),
      mkdir: (folder) => act(() => this.#makeFolder(folder)),
      rm: (file) =>
        act(() => {
          this.#files.delete(file)
        }),
    }
    return {
      disk,
      end: () => {
        over = true
      },
    }
  }

  /** The machine has lost what was not synced, or some of it. */
  crash(): void {
    for (const [file, stored] of this.#files) {
      if (!stored.linked && this.#random.chance(0.5)) {
        this.#files.delete(file)
        continue
      }
      const { content, synced } = stored
      if (content.equals(synced) || this.#random.chance(0.3)) continue
      const kept = this.#random.chance(0.5) ? 0 : this.#random.int(content.length + 1)
      stored.content = Buffer.concat([content.subarray(0, kept), synced.subarray(kept)])
    }
  }

  #open(file: string, flags: string | number, act: <T>(work: () => T) => Promise<T>): DiskFile {
    if (this.#folders.has(file)) return this.#folder(file, act)
    const makes = typeof flags === 'number' && (flags & constants.O_CREAT) !== 0
    let stored = this.#files.get(file)
    if (!stored) {
      if (!makes || !this.#folders.has(path.dirname(file))) throw fault('ENOENT')
      stored = { content: Buffer.alloc(0), synced: Buffer.alloc(0), linked: false }
      this.#files.set(file, stored)
    } else if (makes) stored.content = Buffer.alloc(0)
    return this.#file(stored, act)
  }

  #file(stored: Stored, act: <T>(work: () => T) => Promise<T>): DiskFile {
    const sync = () =>
      act(() => {
        stored.synced = stored.content
      })
    return {
      read: (buffer, offset, length, position) =>
        act(() => ({ bytesRead: stored.content.copy(buffer, offset, position, position + length) })),
      write: (buffer, offset, length, position) =>
        act(() => {
          if (this.full) throw fault('ENOSPC')
          const next = Buffer.alloc(Math.max(stored.content.length, position + length))
          stored.content.copy(next)
          buffer.copy(next, position, offset, offset + length)
          stored.content = next
          return { bytesWritten: length }
        }),
      stat: () => act(() => ({ size: stored.content.length })),
      truncate: (length) =>
        act(() => {
          stored.content = Buffer.from(stored.content.subarray(0, length))
        }),
      datasync: sync,
      sync,
      close: () => act(() => undefined),
    }
  }

  #folder(folder: string, act: <T>(work: () => T) => Promise<T>): DiskFile {
    const refuse = () => Promise.reject(fault('EISDIR'))
    return {
      read: refuse,
      write: refuse,
      truncate: refuse,
      datasync: refuse,
      stat: () => act(() => ({ size: 0 })),
      sync: () =>
        act(() => {
          for (const [file, stored] of this.#files) if (path.dirname(file) === folder) stored.linked = true
        }),
      close: () => act(() => undefined),
    }
  }

  #makeFolder(folder: string): string | undefined {
    let first: string | undefined
    for (let one = folder; !this.#folders.has(one); one = path.dirname(one)) {
      this.#folders.add(one)
      first = one
    }
    return first
  }
}

function fault(code: string): Error {
  return Object.assign(new Error(code), { code })
}

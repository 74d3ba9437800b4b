/** Keeps the object readers of the repositories in use: `limit` at once, and none that nobody has asked for a while. */
import { asFault } from '../core/as-fault.js'
import type { Clock } from '../core/clock.js'
import { type GitObject, ObjectReader } from './object-reader.js'

export interface ObjectPoolOptions {
  env: NodeJS.ProcessEnv
  clock: Clock
  /** Processes at once. */
  limit: number
  /** Milliseconds after which a process that is not asked ends. */
  idleMs: number
}

const answerWithinMs = 30_000

interface Entry {
  reader: ObjectReader
  usedAt: number
}

export class ObjectPool {
  readonly #options: ObjectPoolOptions
  /** By folder; those used last at the end. */
  readonly #entries = new Map<string, Entry>()
  /** Askers who found every reader busy with other repositories. */
  #waiting: (() => void)[] = []
  #stopSweep: (() => void) | undefined

  constructor(options: ObjectPoolOptions) {
    this.#options = options
  }

  /** Number of processes that are open. */
  get size(): number {
    return this.#entries.size
  }

  /** The object of a repository; see `ObjectReader.read`. */
  async read(repository: string, id: string, maxBytes: number): Promise<GitObject | undefined> {
    let entry = this.#entries.get(repository)
    while (!entry) {
      if (this.#makeRoom()) entry = this.#open(repository)
      else {
        await new Promise<void>((resolve) => this.#waiting.push(resolve))
        entry = this.#entries.get(repository)
      }
    }
    this.#entries.delete(repository)
    this.#entries.set(repository, entry)
    entry.usedAt = this.#options.clock.now()
    try {
      return await entry.reader.read(id, maxBytes)
    } finally {
      if (entry.reader.idle) this.#waiting.shift()?.()
    }
  }

  /** Ends the process of one repository, which may then be moved or deleted. */
  async release(repository: string): Promise<void> {
    const entry = this.#entries.get(repository)
    this.#entries.delete(repository)
    await entry?.reader.close()
  }

  /** Ends every process; resolves when they are gone. Safe to repeat. */
  async close(): Promise<void> {
    this.#stopSweep?.()
    this.#stopSweep = undefined
    await Promise.all([...this.#entries.keys()].map((repository) => this.release(repository)))
  }

  #open(repository: string): Entry {
    const { env, clock, idleMs } = this.#options
    const entry = { reader: new ObjectReader({ repository, env, clock, answerWithinMs }), usedAt: clock.now() }
    this.#entries.set(repository, entry)
    this.#stopSweep ??= clock.every(idleMs, () => this.#sweep())
    return entry
  }

  #makeRoom(): boolean {
    if (this.#entries.size < this.#options.limit) return true
    for (const [repository, { reader }] of this.#entries) {
      if (!reader.idle) continue
      this.release(repository).catch(asFault)
      return true
    }
    return false
  }

  #sweep(): void {
    const before = this.#options.clock.now() - this.#options.idleMs
    for (const [repository, { reader, usedAt }] of this.#entries) {
      if (reader.idle && usedAt <= before) this.release(repository).catch(asFault)
    }
    if (this.#entries.size > 0) return
    this.#stopSweep?.()
    this.#stopSweep = undefined
  }
}

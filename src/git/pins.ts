/**
 * `refs/pipelines/ID`: what keeps a pipeline's commit from being forgotten and lets runners fetch it. Written and removed
 * in the background, a moment later or when somebody is about to be served a fetch: most short pipelines are over by then,
 * and need no ref at all. Nothing prunes objects meanwhile (`gc.auto` is off). Of several wishes for one pipeline only the
 * last is carried out, so a pin never comes after the unpin that followed it.
 */
import fs from 'node:fs/promises'
import path from 'node:path'
import { asFault } from '../core/as-fault.js'
import type { Clock } from '../core/clock.js'
import type { Log } from '../core/log.js'

interface Wish {
  /** The commit to point to; null: no ref. */
  sha: string | null
  /** There is no ref yet, nor is one about to be written. */
  isNew: boolean
}

/** Files written at once: a node that comes back pins every living pipeline. */
const atOnce = 16
/** How long a wish may wait for the next one. */
const delayMs = 1000

export interface PinsOptions {
  clock: Clock
  log: Log
  /** Removes a ref that git has packed. */
  deletePacked: (repository: string, ref: string) => Promise<void>
}

export class Pins {
  readonly #options: PinsOptions
  /** By repository and pipeline: what is wanted next. */
  readonly #wishes = new Map<string, Map<number, Wish>>()
  /** By repository: the pipelines whose wishes wait. */
  readonly #waiting = new Map<string, Set<number>>()
  #stopTimer: (() => void) | undefined
  readonly #queue: (() => Promise<void>)[] = []
  #running = 0
  readonly #settled = new Map<string, { promise: Promise<void>; resolve: () => void }>()

  constructor(options: PinsOptions) {
    this.#options = options
  }

  /** Wants the ref of a pipeline to point to `sha`, or to be gone (null). `isNew`: there never was one. */
  want(repository: string, pipelineId: number, sha: string | null, isNew = false): void {
    const wishes = this.#wishesOf(repository)
    const known = wishes.get(pipelineId)
    if (known?.isNew && sha === null) {
      this.#waiting.get(repository)?.delete(pipelineId)
      this.#forget(repository, pipelineId)
      return
    }
    if (known) {
      known.sha = sha
      return
    }
    wishes.set(pipelineId, { sha, isNew })
    const waiting = this.#waiting.get(repository)
    if (waiting) waiting.add(pipelineId)
    else this.#waiting.set(repository, new Set([pipelineId]))
    this.#stopTimer ??= this.#options.clock.after(delayMs, () => this.#beginAll())
  }

  /** Begins what is wanted in the repository. Resolves when nothing is under way there; undefined if nothing is. */
  settled(repository: string): Promise<void> | undefined {
    this.#begin(repository)
    if (!this.#wishes.has(repository)) return undefined
    const known = this.#settled.get(repository)
    if (known) return known.promise
    let resolve = () => {}
    const promise = new Promise<void>((done) => {
      resolve = done
    })
    this.#settled.set(repository, { promise, resolve })
    return promise
  }

  /** Resolves when nothing is under way anywhere. */
  async close(): Promise<void> {
    for (;;) {
      const [repository] = this.#wishes.keys()
      if (repository === undefined) return
      await this.settled(repository)
    }
  }

  #wishesOf(repository: string): Map<number, Wish> {
    const known = this.#wishes.get(repository)
    if (known) return known
    const made = new Map<number, Wish>()
    this.#wishes.set(repository, made)
    return made
  }

  #beginAll(): void {
    this.#stopTimer = undefined
    for (const repository of [...this.#waiting.keys()]) this.#begin(repository)
  }

  #begin(repository: string): void {
    for (const pipelineId of this.#waiting.get(repository) ?? []) {
      this.#wishes.get(repository)!.get(pipelineId)!.isNew = false
      this.#queue.push(() => this.#fulfil(repository, pipelineId))
      this.#next()
    }
    this.#waiting.delete(repository)
    if (this.#waiting.size > 0) return
    this.#stopTimer?.()
    this.#stopTimer = undefined
  }

  #forget(repository: string, pipelineId: number): void {
    const wishes = this.#wishes.get(repository)!
    wishes.delete(pipelineId)
    if (wishes.size > 0) return
    this.#wishes.delete(repository)
    this.#settled.get(repository)?.resolve()
    this.#settled.delete(repository)
  }

  #next(): void {
    if (this.#running >= atOnce) return
    const work = this.#queue.shift()
    if (!work) return
    this.#running++
    work()
      .finally(() => {
        this.#running--
        this.#next()
      })
      .catch(asFault)
  }

  /** Never rejects. */
  async #fulfil(repository: string, pipelineId: number): Promise<void> {
    const wish = this.#wishes.get(repository)!.get(pipelineId)!
    for (let done: string | null | undefined; done !== wish.sha; ) {
      done = wish.sha
      try {
        if (done === null) await this.#remove(repository, pipelineId)
        else await writeRef(path.join(repository, 'refs', 'pipelines'), String(pipelineId), done)
      } catch (error) {
        const what = done === null ? 'a pipeline was not unpinned' : 'the commit of a pipeline was not pinned'
        this.#options.log.error({ err: error, repository, pipeline: pipelineId, sha: done }, what)
      }
    }
    this.#forget(repository, pipelineId)
  }

  async #remove(repository: string, pipelineId: number): Promise<void> {
    const ref = `refs/pipelines/${pipelineId}`
    // `rm` would look at the file first, on the main thread.
    await fs.unlink(path.join(repository, ref)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
    await this.#options.deletePacked(repository, ref)
  }
}

/**
 * Writes a loose ref as git does: a `.lock` beside it, then a rename, so that a reader sees all of it or nothing. No
 * sync: a node pins living pipelines again when it starts.
 */
async function writeRef(folder: string, name: string, sha: string): Promise<void> {
  const file = path.join(folder, name)
  const lock = `${file}.lock`
  try {
    await fs.writeFile(lock, `${sha}\n`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    // git removes a folder of refs when the last one in it goes; it never removes the repository.
    await fs.mkdir(folder)
    await fs.writeFile(lock, `${sha}\n`)
  }
  await fs.rename(lock, file)
}

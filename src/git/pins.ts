/**
 * `refs/pipelines/ID`: what keeps a pipeline's commit from being forgotten and lets runners fetch it. Written and removed
 * in the background; whoever serves a fetch first waits for what is under way. Of several wishes for one pipeline only
 * the last is carried out, so a pin never comes after the unpin that followed it.
 */
import fs from 'node:fs/promises'
import path from 'node:path'
import { asFault } from '../core/as-fault.js'
import type { Log } from '../core/log.js'

interface Wish {
  /** The commit to point to; null: no ref. */
  sha: string | null
}

/** Files written at once: a node that comes back pins every living pipeline. */
const atOnce = 16

export interface PinsOptions {
  log: Log
  /** Removes a ref that git has packed. */
  deletePacked: (repository: string, ref: string) => Promise<void>
}

export class Pins {
  readonly #options: PinsOptions
  /** By repository and pipeline: what is wanted next. */
  readonly #wishes = new Map<string, Map<number, Wish>>()
  readonly #queue: (() => Promise<void>)[] = []
  #running = 0
  readonly #settled = new Map<string, { promise: Promise<void>; resolve: () => void }>()

  constructor(options: PinsOptions) {
    this.#options = options
  }

  /** Wants the ref of a pipeline to point to `sha`, or to be gone (null). */
  want(repository: string, pipelineId: number, sha: string | null): void {
    const wishes = this.#wishesOf(repository)
    const known = wishes.get(pipelineId)
    if (known) {
      known.sha = sha
      return
    }
    wishes.set(pipelineId, { sha })
    this.#queue.push(() => this.#fulfil(repository, pipelineId))
    this.#next()
  }

  /** Resolves when nothing is under way in the repository; undefined if nothing is. */
  settled(repository: string): Promise<void> | undefined {
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
    const wishes = this.#wishes.get(repository)!
    const wish = wishes.get(pipelineId)!
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
    wishes.delete(pipelineId)
    if (wishes.size > 0) return
    this.#wishes.delete(repository)
    this.#settled.get(repository)?.resolve()
    this.#settled.delete(repository)
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

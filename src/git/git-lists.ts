/** What git is asked for, a few processes at once: lists of refs, paths and commits, the last of which are kept. */
import { BoundedCache } from '../core/bounded-cache.js'
import type { Clock } from '../core/clock.js'
import { SignalboxError } from '../core/errors.js'
import type { Project } from '../core/project.js'
import { runGit } from './git-process.js'
import { isRepository } from './object-store.js'
import { Slots } from './slots.js'

type Repository = Pick<Project, 'id'>

const mebibyte = 1024 * 1024
/** What a list of paths may come to: some half a million of them. */
const largestListBytes = 32 * mebibyte

/** Git processes of all repositories: four at once. Lists that an object id names are kept, 64 MiB of them. */
export class GitLists {
  readonly #env: NodeJS.ProcessEnv
  readonly #pathOf: (projectId: number) => string
  readonly #runs: Slots
  readonly #lists = new BoundedCache<string[]>(64 * mebibyte)

  constructor(options: { env: NodeJS.ProcessEnv; clock: Clock; pathOf: (projectId: number) => string }) {
    this.#env = options.env
    this.#pathOf = options.pathOf
    this.#runs = new Slots({ clock: options.clock, atOnce: 4, queue: 1000, waitMs: 60_000 })
  }

  /** Waits for a place among the processes. Returns what frees it. */
  takeSlot(): Promise<() => void> {
    return this.#runs.take()
  }

  /** What git lists about something that never changes. Rejects as `run` does. */
  async kept(project: Repository, args: readonly string[], end = '\0'): Promise<string[]> {
    const key = `${project.id} ${args.join(' ')}`
    const known = this.#lists.get(key)
    if (known) return known
    const list = await this.lines(project, args, end)
    const weight = list.reduce((sum, one) => sum + one.length * 2 + 32, key.length)
    return this.#lists.set(key, list, weight)
  }

  /** What git lists, each entry with `end` behind it. Rejects as `run` does. */
  async lines(project: Repository, args: readonly string[], end: string): Promise<string[]> {
    const output = await this.run(project, args, largestListBytes)
    return output.toString('utf8').split(end).slice(0, -1)
  }

  /**
   * Runs git in the repository. Returns what it wrote. Rejects with `not_found` if there is no repository, and with
   * `unavailable` when git fails or writes more than `maxBytes`.
   */
  async run(project: Repository, args: readonly string[], maxBytes: number): Promise<Buffer> {
    this.mustExist(project)
    let free: (() => void) | undefined
    try {
      free = await this.#runs.take()
      return await runGit([`--git-dir=${this.#pathOf(project.id)}`, ...args], { env: this.#env, maxBytes })
    } catch (error) {
      throw new SignalboxError('unavailable', `git cannot list this: ${args.find((one) => !one.startsWith('-'))}`, {
        cause: error,
      })
    } finally {
      free?.()
    }
  }

  /** Throws `not_found` if there is no repository. */
  mustExist({ id }: Repository): void {
    if (!isRepository(this.#pathOf(id))) throw new SignalboxError('not_found', `project ${id} has no repository`)
  }
}

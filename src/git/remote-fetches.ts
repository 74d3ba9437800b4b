/** Fetches of mirrors: four at once, and of each project one after the other. */
import type { Clock } from '../core/clock.js'
import type { RemoteSource } from '../core/mirror.js'
import type { Project } from '../core/project.js'
import { fetchRemote, fetchRemoteRef, type RemoteLimits, remoteHead } from './remote-fetch.js'
import { Slots } from './slots.js'

/** What fetches ask of the repositories. */
export interface FetchHost {
  /** An empty folder, for git processes. */
  home: string
  limits: RemoteLimits
  clock: Clock
  pathOf(projectId: number): string
  readRef(project: Project, ref: string): string | undefined
}

/** The remote's default branch, where the project's own is not there. */
type Fetched = { head: string | undefined }

export class RemoteFetches {
  readonly #host: FetchHost
  readonly #runs: Slots
  /** By project: the fetch that is under way, and the one after it. */
  readonly #fetches = new Map<number, { running: Promise<unknown>; next: Promise<Fetched> | undefined }>()

  constructor(host: FetchHost) {
    this.#host = host
    this.#runs = new Slots({ clock: host.clock, atOnce: 4, queue: 1000, waitMs: 60_000 })
  }

  /** Those who ask while a fetch is under way share the one that starts after it: it sees what they know of. */
  fetch(project: Project, source: RemoteSource): Promise<Fetched> {
    const known = this.#fetches.get(project.id)
    if (!known) return this.#startFetch(project, source)
    known.next ??= known.running.catch(() => undefined).then(() => this.#startFetch(project, source))
    return known.next
  }

  /** One ref more, beside what is fetched otherwise. */
  async fetchRef(project: Project, source: RemoteSource, ref: { from: string; to: string }): Promise<void> {
    const free = await this.#runs.take()
    try {
      const place = { repository: this.#host.pathOf(project.id), home: this.#host.home }
      await fetchRemoteRef(place, source, ref, this.#host.limits)
    } finally {
      free()
    }
  }

  #startFetch(project: Project, source: RemoteSource): Promise<Fetched> {
    const running = this.#fetch(project, source)
    const entry = { running, next: undefined }
    this.#fetches.set(project.id, entry)
    const forget = () => {
      if (this.#fetches.get(project.id) === entry && entry.next === undefined) this.#fetches.delete(project.id)
    }
    running.then(forget, forget)
    return running
  }

  async #fetch(project: Project, source: RemoteSource): Promise<Fetched> {
    const free = await this.#runs.take()
    try {
      const place = { repository: this.#host.pathOf(project.id), home: this.#host.home }
      await fetchRemote(place, source, this.#host.limits)
      if (this.#host.readRef(project, `refs/heads/${project.defaultBranch}`) !== undefined) return { head: undefined }
      const head = await remoteHead(place, source, this.#host.limits)
      return {
        head: head !== undefined && this.#host.readRef(project, `refs/heads/${head}`) !== undefined ? head : undefined,
      }
    } finally {
      free()
    }
  }
}

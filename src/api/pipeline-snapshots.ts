/**
 * Pipelines as those who watch them see them. However many pages follow one pipeline, it is read once for each change, and at
 * the most twenty times a second; what is told of each job is made once, and compared by its place in memory.
 */
import type { Core } from '../core/core.js'
import type { JobStatus } from '../core/lifecycle/job-machine.js'
import { listJobViews } from '../core/store/job-views.js'
import { findPipeline } from '../core/store/pipelines.js'

/** The state of a pipeline: each job as JSON, by its id. */
export interface Snapshot {
  status: JobStatus
  jobs: ReadonlyMap<number, string>
}

const apartMs = 50

/** Pipelines that somebody watches, and no others. */
export class PipelineSnapshots {
  readonly #watched = new Map<string, Watched>()

  /**
   * Calls `changed` with the state now and after each change, until the returned function is called; with undefined when
   * there is no such pipeline any more, or it cannot be read.
   */
  watch(core: Core, pipelineId: number, debugLogs: boolean, changed: (now: Snapshot | undefined) => void): () => void {
    const key = `${pipelineId} ${debugLogs}`
    const watched = this.#watched.get(key) ?? new Watched(core, pipelineId, debugLogs)
    this.#watched.set(key, watched)
    watched.add(changed)
    return () => {
      if (watched.remove(changed) === 0) this.#watched.delete(key)
    }
  }
}

type Watcher = (now: Snapshot | undefined) => void

class Watched {
  readonly #core: Core
  readonly #pipelineId: number
  readonly #debugLogs: boolean
  readonly #watchers = new Set<Watcher>()
  readonly #stopListening: () => void
  #latest: Snapshot | undefined
  #reading = false
  #again = false

  constructor(core: Core, pipelineId: number, debugLogs: boolean) {
    this.#core = core
    this.#pipelineId = pipelineId
    this.#debugLogs = debugLogs
    // Listening comes before the first look: what changes between the two is looked at again.
    this.#stopListening = core.events.listen((event) => {
      if (event.pipelineId === pipelineId) this.#look()
    })
  }

  add(watcher: Watcher): void {
    this.#watchers.add(watcher)
    // What is known now; if it is being read anew, that is told as well.
    if (this.#latest) watcher(this.#latest)
    else this.#look()
  }

  /** Returns how many are left. */
  remove(watcher: Watcher): number {
    this.#watchers.delete(watcher)
    if (this.#watchers.size === 0) this.#stopListening()
    return this.#watchers.size
  }

  #look(): void {
    if (this.#reading) {
      this.#again = true
      return
    }
    this.#reading = true
    this.#read().then(
      (now) => this.#tell(now),
      (error) => {
        this.#core.log.error({ err: error, pipeline: this.#pipelineId }, 'a pipeline that is watched could not be read')
        this.#tell(undefined)
      },
    )
  }

  #tell(now: Snapshot | undefined): void {
    this.#latest = now
    for (const watcher of this.#watchers) watcher(now)
    this.#core.clock.after(apartMs, () => {
      this.#reading = false
      if (!this.#again || this.#watchers.size === 0) return
      this.#again = false
      this.#look()
    })
  }

  async #read(): Promise<Snapshot | undefined> {
    const { read } = this.#core.store
    const pipeline = await findPipeline(read, this.#pipelineId)
    if (!pipeline) return undefined
    const views = await listJobViews(read, this.#pipelineId, { debugLogs: this.#debugLogs })
    const before = this.#latest?.jobs
    const jobs = views.map((view) => {
      const [text, old] = [JSON.stringify(view), before?.get(view.id)]
      return [view.id, text === old ? old : text] as const
    })
    return { status: pipeline.status, jobs: new Map(jobs) }
  }
}

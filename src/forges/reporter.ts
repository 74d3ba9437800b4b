/**
 * Tells forges what becomes of their commits. It follows the events as webhooks do (`core/cursor-reader.ts`): what a commit is
 * to show is written down in the transaction that moves the cursor on, then told, at least once, until the forge has it. One
 * status is told by one request at a time, so that an older state never comes after a newer one.
 */
import { asFault } from '../core/as-fault.js'
import type { Core } from '../core/core.js'
import { CursorReader, type Taken } from '../core/cursor-reader.js'
import { moveHeldCursor } from '../core/store/cursors.js'
import type { StoredEvent } from '../core/store/events.js'
import { listProjectsToTell, type WantedStatus, wantStatus } from '../core/store/forge-statuses.js'
import { findConnection, listConnected } from '../core/store/forges.js'
import { tellProject } from './tell.js'
import { wantedOfJob, wantedOfPipeline } from './wanted.js'

/** The name under which the place in the events is kept. */
export const forgeCursor = 'forges'

/** Looks without having been woken: for what other nodes have written down, and for second tries. */
const lookEveryMs = 1000
/** Looks whether other nodes have connected projects. */
const refreshEveryMs = 30_000
const batch = 200
/** Projects whose forge is told something at the same time. */
const atOnce = 16

export class ForgeReporter {
  readonly #core: Core
  /** While any project is connected. */
  #reader: CursorReader | undefined
  #turning: Promise<void> = Promise.resolve()
  #connected: ReadonlyMap<number, number> = new Map()
  #stops: (() => void)[] = []
  #running: Promise<void> | undefined
  readonly #telling = new Map<number, Promise<void>>()
  #again = false
  #closed = false

  constructor(core: Core) {
    this.#core = core
  }

  /** Begins to follow. Resolves when it is known who is connected. */
  async start(): Promise<void> {
    const { events, clock } = this.#core
    await this.#refresh()
    this.#stops = [
      events.listen((event) => {
        if (event.kind === 'project.changed') this.#refresh().catch(asFault)
        if (this.#connected.has(event.projectId ?? 0)) this.#reader?.gather()
      }),
      clock.every(lookEveryMs, () => this.wake()),
      clock.every(refreshEveryMs, () => {
        this.#refresh().catch(asFault)
      }),
    ]
    this.wake()
  }

  /** Waits for what is being told. Safe to repeat. */
  async close(): Promise<void> {
    this.#closed = true
    for (const stop of this.#stops.splice(0)) stop()
    await this.#turning
    await this.#reader?.stop()
    await this.#running
    await Promise.all(this.#telling.values())
  }

  /** Something may be due. */
  wake(): void {
    if (this.#closed || this.#connected.size === 0) return
    this.#again = true
    this.#running ??= this.#run()
      .catch((error: unknown) => this.#core.log.warn({ err: error }, 'forges could not be told'))
      .finally(() => {
        this.#running = undefined
      })
  }

  async #refresh(): Promise<void> {
    try {
      this.#connected = await listConnected(this.#core.store.read)
      this.#turning = this.#turning.then(() => this.#turn())
      await this.#turning
      this.wake()
    } catch (error) {
      this.#core.log.warn({ err: error }, 'connections to forges could not be read')
    }
  }

  /** Begins to follow the events with the first connection, and ends with the last. */
  async #turn(): Promise<void> {
    const reader = this.#reader
    if (this.#connected.size > 0 && !reader && !this.#closed) {
      const made = new CursorReader(this.#core, {
        name: forgeCursor,
        batch,
        take: (events, fence) => this.#writeDown(events, fence),
      })
      await made.start().catch((error: unknown) => {
        this.#core.log.warn({ err: error }, 'the reports to forges do not follow the events yet')
        return made.stop()
      })
      if (made.follows) this.#reader = made
    } else if (this.#connected.size === 0 && reader) {
      this.#reader = undefined
      await reader.stop()
    }
  }

  /** Writes down what is to be told of these events, and that they were read. */
  async #writeDown(events: StoredEvent[], fence: number): Promise<Taken> {
    const { store } = this.#core
    // A project that another node has connected is told of what comes behind it.
    if (events.some(({ kind }) => kind === 'project.changed')) this.#connected = await listConnected(store.read)
    const last = events.at(-1) as StoredEvent
    const wanted = await this.#wantedBy(events.filter((event) => this.#connected.has(event.projectId ?? 0)))
    let news = false
    await store.write(async (tx) => {
      news = false
      if (!(await moveHeldCursor(tx, forgeCursor, fence, last.id))) return
      for (const one of wanted) {
        // It may have been disconnected meanwhile.
        if (await findConnection(tx, one.projectId)) news = (await wantStatus(tx, one)) || news
      }
    })
    if (news) this.wake()
    return 'saved'
  }

  /** What each pipeline and job is now, however often it has changed meanwhile. */
  async #wantedBy(events: readonly StoredEvent[]): Promise<WantedStatus[]> {
    const pipelines = new Set<number>()
    const jobs = new Set<number>()
    for (const { kind, pipelineId, jobId } of events) {
      if (kind === 'pipeline.created' || kind === 'pipeline.changed' || kind === 'job.classified') {
        if (pipelineId !== null) pipelines.add(pipelineId)
      }
      if ((kind === 'job.changed' || kind === 'job.finished' || kind === 'job.classified') && jobId !== null)
        jobs.add(jobId)
    }
    const found = await Promise.all([
      ...[...pipelines].map((id) => wantedOfPipeline(this.#core, id)),
      ...[...jobs].map((id) => this.#wantedOfJob(id, events)),
    ])
    return found.filter((one) => one !== undefined)
  }

  async #wantedOfJob(id: number, events: readonly StoredEvent[]): Promise<WantedStatus | undefined> {
    const projectId = events.find((event) => event.jobId === id)?.projectId ?? 0
    const connection = await findConnection(this.#core.store.read, projectId)
    return connection?.jobStatuses === 1 ? wantedOfJob(this.#core, id) : undefined
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false
      const { store, clock } = this.#core
      const free = atOnce - this.#telling.size
      if (free <= 0) return
      const due = await listProjectsToTell(store.read, clock.now())
      for (const id of due.filter((one) => !this.#telling.has(one)).slice(0, free)) {
        this.#telling.set(id, this.#tell(id))
      }
    }
  }

  /** A forge that is slow holds up itself alone. */
  async #tell(projectId: number): Promise<void> {
    let told = 0
    try {
      told = await tellProject(this.#core, projectId, () => this.#closed)
    } catch (error) {
      this.#core.log.warn({ err: error, project: projectId }, 'a forge could not be told')
    } finally {
      this.#telling.delete(projectId)
    }
    // After trouble it waits for the clock.
    if (told > 0) this.wake()
  }
}

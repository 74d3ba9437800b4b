/**
 * Hands committed events to exporters. Each follows the rows of `events` behind a cursor of its own, so one that is slow or
 * fails is late and in nobody's way: a batch is handed over, then the place moves on; the cursor is saved soon after, and
 * at the end. So every event arrives at least once, and after a crash those since the last save arrive again.
 *
 * A commit of this process wakes the followers, together with what is committed within the next moments; a slow timer
 * finds what other processes have committed. A follower is `idle`, `running`, or `waiting` after a failure.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { asFault } from '../core/as-fault.js'
import type { Core } from '../core/core.js'
import { EventTail } from '../core/store/event-tail.js'
import { lastEventId, readCursor, type StoredEvent, saveCursor } from '../core/store/events.js'
import { asNothing } from './answers.js'
import type { Plugin } from './plugin.js'
import type { ExportedEvent, Exporter } from './sdk.js'

export type FeedCore = Pick<Core, 'store' | 'clock' | 'events' | 'log'>

/** An exporter with the plugin that it belongs to. */
export interface ExporterHook {
  plugin: Plugin
  name: string
  hook: Exporter
}

const batchSize = 500
const deadlineMs = 2000
/** Events of this long are handed over together: exporters need not be quick, whoever runs jobs must be. */
const gatherMs = 50
/** Looks without having been woken. */
const lookEveryMs = 1000
/** A place is saved at most 1 s after it has moved. */
const saveMs = 1000
const firstRetryMs = 1000
const longestRetryMs = 60_000
/** `/metrics` waits for its exporter no longer than this. */
const catchUpMs = 500

export class ExporterFeed {
  readonly #core: FeedCore
  readonly #tail: EventTail
  #followers: Follower[] = []
  #started = false
  #stops: (() => void)[] = []
  #gathering = false
  #saving: Promise<void> = Promise.resolve()
  #saveTimer: (() => void) | undefined
  #changing: Promise<void> = Promise.resolve()
  #closed = false

  constructor(core: FeedCore, exporters: readonly ExporterHook[]) {
    this.#core = core
    this.#tail = new EventTail(core.store)
    for (const exporter of exporters) this.#add(exporter)
  }

  /**
   * From now on these exporters follow, and no others: one that was followed goes on where it is, one that comes in anew
   * or again where its place was saved.
   */
  follow(exporters: readonly ExporterHook[]): void {
    if (this.#closed) return
    const gone = this.#followers.filter(({ exporter }) => !exporters.some(({ hook }) => hook === exporter.hook))
    const known = new Set(this.#followers.map(({ exporter }) => exporter.hook))
    const fresh = exporters.filter(({ hook }) => !known.has(hook)).flatMap((exporter) => this.#add(exporter) ?? [])
    // The one that goes saves its place before it comes again.
    this.#changing = this.#changing.then(async () => {
      await Promise.all(gone.map((follower) => follower.stop()))
      await this.#save()
      this.#followers = this.#followers.filter((one) => !gone.includes(one))
      if (this.#started && fresh.length > 0) await this.#place(fresh)
    })
    this.#changing.catch((error: unknown) => this.#core.log.warn({ err: error }, 'an exporter could not be followed'))
  }

  #add(exporter: ExporterHook): Follower | undefined {
    if (typeof exporter.hook.onEvents !== 'function') return undefined
    const tell = { moved: () => this.#saveSoon(), unsettled: () => this.#gather() }
    const follower = new Follower(this.#core, exporter, this.#tail, tell)
    this.#followers.push(follower)
    return follower
  }

  /** Finds each exporter's place, gives one to those that are new, and begins to follow. */
  async start(): Promise<void> {
    const { events, clock } = this.#core
    this.#started = true
    await this.#place(this.#followers)
    this.#stops = [events.listen(() => this.#gather()), clock.every(lookEveryMs, () => this.#wake())]
    this.#wake()
  }

  async #place(followers: readonly Follower[]): Promise<void> {
    if (followers.length === 0) return
    const { read } = this.#core.store
    const newest = await lastEventId(read)
    for (const follower of followers) follower.place(await readCursor(read, follower.cursor), newest)
    await this.#save()
    this.#wake()
  }

  /** Waits, at most half a second, until the exporter has what is committed by now. */
  async catchUp(plugin: Plugin, name: string): Promise<void> {
    const follower = this.#followers.find((one) => one.exporter.plugin === plugin && one.exporter.name === name)
    if (!follower || this.#closed) return
    await new Promise<void>((resolve) => {
      const stop = this.#core.clock.after(catchUpMs, resolve)
      follower
        .run()
        .finally(() => {
          stop()
          resolve()
        })
        .catch(asFault)
    })
  }

  /** How many ids each exporter is behind the newest event. */
  async lags(): Promise<{ exporter: string; events: number }[]> {
    if (this.#followers.length === 0) return []
    const newest = await lastEventId(this.#core.store.read)
    return this.#followers.map(({ cursor, position }) => ({ exporter: cursor, events: Math.max(0, newest - position) }))
  }

  /** Stops following, waits for the batches under way, and saves the places. Safe to repeat. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const stop of this.#stops.splice(0)) stop()
    await this.#changing.catch(() => undefined)
    await Promise.all(this.#followers.map((follower) => follower.stop()))
    this.#saveTimer?.()
    await this.#save()
  }

  #gather(): void {
    if (this.#gathering) return
    this.#gathering = true
    this.#core.clock.after(gatherMs, () => {
      this.#gathering = false
      this.#wake()
    })
  }

  #wake(): void {
    if (this.#closed) return
    for (const follower of this.#followers) follower.run().catch(asFault)
  }

  #saveSoon(): void {
    if (this.#saveTimer || this.#closed) return
    this.#saveTimer = this.#core.clock.after(saveMs, () => {
      this.#saveTimer = undefined
      this.#save().catch(asFault)
    })
  }

  /** Saves the places that have moved, in one body. One save at a time, so that none goes back. */
  #save(): Promise<void> {
    this.#saving = this.#saving.then(async () => {
      const moved = this.#followers.filter((follower) => follower.moved)
      if (moved.length === 0) return
      const places = moved.map((follower) => ({ follower, position: follower.position }))
      try {
        await this.#core.store.write(async (tx) => {
          for (const { follower, position } of places) await saveCursor(tx, follower.cursor, position)
        })
        for (const { follower, position } of places) follower.saved(position)
      } catch (error) {
        this.#core.log.warn({ err: error }, 'the places of exporters could not be saved')
        this.#saveSoon()
      }
    })
    return this.#saving
  }
}

class Follower {
  readonly cursor: string
  readonly exporter: ExporterHook
  readonly #core: FeedCore
  readonly #tail: EventTail
  readonly #tell: { moved(): void; unsettled(): void }
  /** Not known before it is placed: it does not run until then. */
  #placed = false
  #position = 0
  #savedAt: number | undefined
  #running: Promise<void> | undefined
  #again = false
  #failures = 0
  #waiting: (() => void) | undefined
  #stopped = false

  constructor(core: FeedCore, exporter: ExporterHook, tail: EventTail, tell: { moved(): void; unsettled(): void }) {
    this.#core = core
    this.exporter = exporter
    this.#tail = tail
    this.#tell = tell
    this.cursor = `${exporter.plugin.id}/${exporter.name}`
  }

  /** The last event that was handled. */
  get position(): number {
    return this.#position
  }

  get moved(): boolean {
    return this.#placed && this.#position !== this.#savedAt
  }

  place(saved: number | undefined, newest: number): void {
    this.#savedAt = saved
    // Behind the newest event even if the store was put back to an older copy.
    this.#position = Math.min(saved ?? newest, newest)
    this.#placed = true
  }

  saved(position: number): void {
    this.#savedAt = position
  }

  /** Hands over what is there. Resolves when nothing is left, or the exporter has failed. Never rejects. */
  run(): Promise<void> {
    if (!this.#placed || this.#stopped || this.#waiting) return Promise.resolve()
    this.#again = true
    this.#running ??= this.#follow()
      .catch((error: unknown) => {
        // Not the plugin's failure: the events could not be read.
        this.#core.log.warn({ err: error, exporter: this.cursor }, 'reading events for an exporter failed')
        this.#wait(firstRetryMs)
      })
      .finally(() => {
        this.#running = undefined
        if (this.#again) this.run().catch(asFault)
      })
    return this.#running
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#waiting?.()
    await this.#running
  }

  async #follow(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false
      const { events: batch, more } = await this.#tail.read(this.#position, batchSize)
      if (more) this.#tell.unsettled()
      const last = batch.at(-1)
      if (!last) continue
      if (!(await this.#handOver(batch))) return
      this.#position = last.id
      this.#tell.moved()
      this.#again = true
      // Others have their turn before the next batch.
      await turn()
    }
  }

  async #handOver(batch: readonly StoredEvent[]): Promise<boolean> {
    const { plugin, name, hook } = this.exporter
    const answer = await plugin.fence.call(
      `onEvents ${name}`,
      () => hook.onEvents?.(batch.map(toExported)),
      asNothing,
      { deadlineMs },
    )
    if (answer.ok) {
      this.#failures = 0
      return true
    }
    const backoffMs = Math.min(firstRetryMs * 2 ** this.#failures++, longestRetryMs)
    this.#wait(Math.max(backoffMs, plugin.fence.breaker.opensInMs))
    return false
  }

  #wait(ms: number): void {
    if (this.#stopped) return
    const cancel = this.#core.clock.after(ms, () => {
      this.#waiting = undefined
      this.run().catch(asFault)
    })
    this.#waiting = cancel
  }
}

function toExported(row: StoredEvent): ExportedEvent {
  const { id, at, kind, projectId, pipelineId, jobId, runnerId } = row
  return { id, at, kind, projectId, pipelineId, jobId, runnerId, data: JSON.parse(row.data) }
}

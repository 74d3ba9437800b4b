/**
 * Hands committed events to exporters. Each follows behind a cursor of its own (`core/cursor-reader.ts`), so one that is slow
 * or fails is late and in nobody's way. Of several nodes one has an exporter's place, and only its copy gets the events.
 */
import { asFault } from '../core/as-fault.js'
import type { Core } from '../core/core.js'
import { CursorReader, type Taken } from '../core/cursor-reader.js'
import { lastEventId, type StoredEvent } from '../core/store/events.js'
import { asNothing } from './answers.js'
import type { Plugin } from './plugin.js'
import type { ExportedEvent, Exporter } from './sdk.js'

export type FeedCore = Pick<Core, 'store' | 'clock' | 'events' | 'log' | 'node'>

/** An exporter with the plugin that it belongs to. */
export interface ExporterHook {
  plugin: Plugin
  name: string
  hook: Exporter
}

const batchSize = 500
const deadlineMs = 2000
const firstRetryMs = 1000
const longestRetryMs = 60_000
/** `/metrics` waits for its exporter no longer than this. */
const catchUpMs = 500

interface Follower {
  exporter: ExporterHook
  reader: CursorReader
}

export class ExporterFeed {
  readonly #core: FeedCore
  #followers: Follower[] = []
  #started = false
  #unlisten: (() => void) | undefined
  #changing: Promise<void> = Promise.resolve()
  #closed = false

  constructor(core: FeedCore, exporters: readonly ExporterHook[]) {
    this.#core = core
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
      await Promise.all(gone.map(({ reader }) => reader.stop()))
      this.#followers = this.#followers.filter((one) => !gone.includes(one))
      if (this.#started) await Promise.all(fresh.map(({ reader }) => reader.start()))
    })
    this.#changing.catch((error: unknown) => this.#core.log.warn({ err: error }, 'an exporter could not be followed'))
  }

  #add(exporter: ExporterHook): Follower | undefined {
    if (typeof exporter.hook.onEvents !== 'function') return undefined
    const name = `${exporter.plugin.id}/${exporter.name}`
    const reader = new CursorReader(this.#core, { name, batch: batchSize, take: handingTo(exporter) })
    const follower = { exporter, reader }
    this.#followers.push(follower)
    return follower
  }

  /** Finds each exporter's place, gives one to those that are new, and begins to follow. */
  async start(): Promise<void> {
    this.#started = true
    for (const { reader } of this.#followers) await reader.start()
    this.#unlisten = this.#core.events.listen(() => {
      for (const { reader } of this.#followers) reader.gather()
    })
  }

  /** Waits, at most half a second, until the exporter has what is committed by now. */
  async catchUp(plugin: Plugin, name: string): Promise<void> {
    const follower = this.#followers.find(({ exporter }) => exporter.plugin === plugin && exporter.name === name)
    if (!follower || this.#closed) return
    await new Promise<void>((resolve) => {
      const stop = this.#core.clock.after(catchUpMs, resolve)
      follower.reader
        .run()
        .finally(() => {
          stop()
          resolve()
        })
        .catch(asFault)
    })
  }

  /** How many ids each exporter whose place is held here is behind the newest event. */
  async lags(): Promise<{ exporter: string; events: number }[]> {
    if (this.#followers.length === 0) return []
    const newest = await lastEventId(this.#core.store.read)
    return this.#followers.flatMap(({ reader: { name, position } }) =>
      position === undefined ? [] : [{ exporter: name, events: Math.max(0, newest - position) }],
    )
  }

  /** Stops following, waits for the batches under way, and saves the places. Safe to repeat. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#unlisten?.()
    await this.#changing.catch(() => undefined)
    await Promise.all(this.#followers.map(({ reader }) => reader.stop()))
  }
}

/** Hands batches to the exporter, within its deadline; one that fails gets the batch again, later each time. */
function handingTo({ plugin, name, hook }: ExporterHook): (batch: StoredEvent[]) => Promise<Taken> {
  let failures = 0
  return async (batch) => {
    const answer = await plugin.fence.call(
      `onEvents ${name}`,
      () => hook.onEvents?.(batch.map(toExported)),
      asNothing,
      { deadlineMs },
    )
    if (answer.ok) {
      failures = 0
      return 'taken'
    }
    const backoffMs = Math.min(firstRetryMs * 2 ** failures++, longestRetryMs)
    return { againInMs: Math.max(backoffMs, plugin.fence.breaker.opensInMs) }
  }
}

function toExported(row: StoredEvent): ExportedEvent {
  const { id, at, kind, projectId, pipelineId, jobId, runnerId } = row
  return { id, at, kind, projectId, pipelineId, jobId, runnerId, data: JSON.parse(row.data) }
}

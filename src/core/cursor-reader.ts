/**
 * Follows committed events behind a durable cursor that one node holds at a time: what exporters and webhooks have in
 * common. A batch is handed over, then the place moves on; it is saved soon after, or by whoever takes the batch, together
 * with what they write. So every event arrives at least once, and after a crash those since the last save arrive again.
 *
 * A commit of this process wakes the reader, together with what is committed within the next moments; a slow timer finds
 * what other processes have committed, keeps the term of the cursor, and takes over one that nobody holds any more.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { asFault } from './as-fault.js'
import type { Core } from './core.js'
import { type HeldCursor, holdCursor, moveHeldCursor, releaseCursor, renewCursor } from './store/cursors.js'
import { EventTail } from './store/event-tail.js'
import { lastEventId, type StoredEvent } from './store/events.js'

export type CursorCore = Pick<Core, 'store' | 'clock' | 'log' | 'node'>

/** What became of a batch: taken in; taken in, and the place saved with it; or to be handed over again after this long. */
export type Taken = 'taken' | 'saved' | { againInMs: number }

export interface CursorUse {
  /** Of the cursor, in the database. */
  name: string
  batch: number
  /**
   * Takes a batch in; the next one comes when it has. `fence` is for who saves the place with what is written
   * (`moveHeldCursor`). What it throws is a fault of ours: the batch comes again.
   */
  take(events: StoredEvent[], fence: number): Promise<Taken>
}

/** Events of this long are handed over together: those who follow need not be quick, whoever runs jobs must be. */
const gatherMs = 50
const lookEveryMs = 1000
/** A place is saved at most 1 s after it has moved. */
const saveMs = 1000
const faultWaitMs = 1000
/** A holder that is not heard from for this long loses the cursor; one that is asks every third of it. */
export const cursorTermMs = 15_000
const renewMs = 5000

export class CursorReader {
  readonly name: string
  readonly #core: CursorCore
  readonly #use: CursorUse
  readonly #tail: EventTail
  /** The place, while this node holds it. */
  #held: (HeldCursor & { savedAt: number; since: number }) | undefined
  #running: Promise<void> | undefined
  #again = false
  #triedAt = Number.NEGATIVE_INFINITY
  #waiting: (() => void) | undefined
  #gathering: (() => void) | undefined
  #saveTimer: (() => void) | undefined
  #saving: Promise<void> = Promise.resolve()
  #looking: (() => void) | undefined
  #stopped = false

  constructor(core: CursorCore, use: CursorUse) {
    this.name = use.name
    this.#core = core
    this.#use = use
    this.#tail = new EventTail(core.store)
  }

  /** The last event that was handled; undefined: another node holds the place. */
  get position(): number | undefined {
    return this.#held?.eventId
  }

  /** Finds the place, gives one to who is new, and begins to follow. Rejects when the store cannot be read. */
  async start(): Promise<void> {
    await this.#hold(true)
    if (this.#stopped) return
    this.#looking = this.#core.clock.every(lookEveryMs, () => this.wake())
    this.wake()
  }

  /** Whether it was started, and not stopped. */
  get follows(): boolean {
    return this.#looking !== undefined && !this.#stopped
  }

  /** Something may have been committed: looked at with what follows within 50 ms. */
  gather(): void {
    if (this.#stopped) return
    this.#gathering ??= this.#core.clock.after(gatherMs, () => {
      this.#gathering = undefined
      this.wake()
    })
  }

  wake(): void {
    this.run().catch(asFault)
  }

  /** Hands over what is there. Resolves when nothing is left, nobody takes it, or it is another's. Never rejects. */
  run(): Promise<void> {
    if (!this.#looking || this.#stopped || this.#waiting) return Promise.resolve()
    this.#again = true
    this.#running ??= this.#follow()
      .catch((error: unknown) => {
        this.#core.log.warn({ err: error, cursor: this.name }, 'events could not be followed')
        this.#wait(faultWaitMs)
      })
      .finally(() => {
        this.#running = undefined
        if (this.#again) this.wake()
      })
    return this.#running
  }

  /** Waits for the batch under way, saves the place and lets it go. Safe to repeat; never rejects. */
  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    for (const cancel of [this.#looking, this.#waiting, this.#gathering, this.#saveTimer]) cancel?.()
    await this.#running
    await this.#save()
    const held = this.#held
    this.#held = undefined
    if (!held) return
    await this.#core.store
      .write((tx) => releaseCursor(tx, this.name, held.fence))
      .catch((error: unknown) => this.#core.log.warn({ err: error, cursor: this.name }, 'a cursor was not let go'))
  }

  async #follow(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false
      const held = await this.#ours()
      if (!held) return
      const { events, more } = await this.#tail.read(held.eventId, this.#use.batch)
      if (more) this.gather()
      const last = events.at(-1)
      if (!last) continue
      const taken = await this.#use.take(events, held.fence)
      if (typeof taken === 'object') return this.#wait(taken.againInMs)
      // It has become another's meanwhile, who begins where we had saved.
      if (this.#held !== held) continue
      held.eventId = last.id
      if (taken === 'saved') held.savedAt = last.id
      else this.#saveSoon()
      this.#again = true
      // Others have their turn before the next batch.
      await turn()
    }
  }

  /** What is held, its term long enough for a batch; undefined: another has it. */
  async #ours() {
    const { clock, store } = this.#core
    const held = this.#held
    if (!held) {
      // Asked for no more often than the timer looks, however much is committed.
      if (clock.now() - this.#triedAt < lookEveryMs) return undefined
      await this.#hold(false)
      return this.#held
    }
    if (store.engine === 'sqlite' || clock.now() - held.since < renewMs) return held
    const since = clock.now()
    if (await store.write((tx) => renewCursor(tx, this.name, held.fence, cursorTermMs))) held.since = since
    else this.#lose(held)
    return this.#held
  }

  async #hold(anew: boolean): Promise<void> {
    const { clock, store, node } = this.#core
    const since = clock.now()
    this.#triedAt = since
    const newest = await lastEventId(store.read)
    const term = { name: this.name, holder: node, termMs: cursorTermMs, anew, newest }
    const found = await store.write((tx) => holdCursor(tx, term))
    // Behind the newest event even if the store was put back to an older copy.
    if (found)
      this.#held = { fence: found.fence, eventId: Math.min(found.eventId, newest), savedAt: found.eventId, since }
  }

  #lose(held: HeldCursor): void {
    if (this.#held !== held) return
    this.#held = undefined
    this.#core.log.info({ cursor: this.name }, 'another node follows the events from here')
  }

  #saveSoon(): void {
    if (this.#stopped) return
    this.#saveTimer ??= this.#core.clock.after(saveMs, () => {
      this.#saveTimer = undefined
      this.#save().catch(asFault)
    })
  }

  /** One save at a time, so that the place does not go back. */
  #save(): Promise<void> {
    this.#saving = this.#saving.then(async () => {
      const held = this.#held
      if (!held || held.eventId === held.savedAt) return
      const { eventId, fence } = held
      try {
        if (await this.#core.store.write((tx) => moveHeldCursor(tx, this.name, fence, eventId))) held.savedAt = eventId
        else this.#lose(held)
      } catch (error) {
        this.#core.log.warn({ err: error, cursor: this.name }, 'the place in the events could not be saved')
        this.#saveSoon()
      }
    })
    return this.#saving
  }

  #wait(ms: number): void {
    if (this.#stopped) return
    this.#waiting = this.#core.clock.after(ms, () => {
      this.#waiting = undefined
      this.wake()
    })
  }
}

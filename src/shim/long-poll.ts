/**
 * Polls that are held: each is one credit in the dispatcher, so a job that becomes runnable is leased to it in the very
 * transaction that queued it.
 *
 *   waiting ──reserve──▶ reserved ──deliver──▶ ended (201, or the offer is void if the sender has gone)
 *      │                    │
 *      │ time, change,      └──unreserve──▶ waiting again, or what happened meanwhile: ended
 *      ▼ close, gone
 *    ended (204 with a new value; nothing if the sender has gone)
 */
import type { Core } from '../core/core.js'
import type { Offer } from '../core/payload/offer.js'
import type { Claimant, Waiter } from '../core/scheduler/dispatcher.js'
import { SharedSlots } from './shared-slots.js'

export interface Hold {
  claimant: Claimant
  /** The machine that polls, as far as it can be told. */
  system: string
  /** Answers that there is no job. */
  answerEmpty(): void
}

/** Every poll that is held in this process. */
export class HeldPolls {
  readonly #core: Core
  readonly #holdMs: number
  readonly #held = new Set<HeldPoll>()
  readonly slots: SharedSlots
  #closed = false
  #empty: (() => void)[] = []

  constructor(core: Core, holdMs: number) {
    this.#core = core
    this.#holdMs = holdMs
    this.slots = new SharedSlots(core.clock)
  }

  get size(): number {
    return this.#held.size
  }

  /** Whether polls are held at all, now. */
  get open(): boolean {
    return this.#holdMs > 0 && !this.#closed
  }

  /** Holds a poll until there is a job for it, or the time is over. Returns what to call when its sender has gone. */
  hold(hold: Hold): () => void {
    const { dispatcher, clock } = this.#core
    const poll: HeldPoll = new HeldPoll(hold, () => {
      stopClock()
      giveBack()
      dispatcher.remove(poll)
      this.#held.delete(poll)
      if (this.#held.size === 0) for (const resolve of this.#empty.splice(0)) resolve()
    })
    const stopClock = clock.after(this.#holdMs, () => poll.end())
    const giveBack = this.slots.hold(hold.system, hold.claimant.managerId, () => poll.end())
    this.#held.add(poll)
    dispatcher.add(poll)
    return () => poll.gone()
  }

  /** Ends the holds of a runner: what it may take is not what it was. */
  runnerChanged(runnerId: number): void {
    for (const poll of [...this.#held]) if (poll.runner.id === runnerId) poll.end()
  }

  /** Ends every hold. */
  endAll(): void {
    for (const poll of [...this.#held]) poll.end()
  }

  /** Ends every hold, and holds no more. Resolves when all are answered. Safe to repeat. */
  async close(): Promise<void> {
    this.#closed = true
    this.endAll()
    if (this.#held.size > 0) await new Promise<void>((resolve) => this.#empty.push(resolve))
  }
}

type State = { is: 'waiting' } | { is: 'reserved'; meanwhile: 'nothing' | 'over' | 'gone' } | { is: 'ended' }

class HeldPoll implements Waiter {
  readonly runner
  readonly managerId
  readonly facts
  readonly door
  readonly requestId
  readonly #hold: Hold
  readonly #release: () => void
  #state: State = { is: 'waiting' }

  constructor(hold: Hold, release: () => void) {
    const { runner, managerId, facts, door, requestId } = hold.claimant
    this.runner = runner
    this.managerId = managerId
    this.facts = facts
    this.door = door
    this.requestId = requestId
    this.#hold = hold
    this.#release = release
  }

  free(): number {
    return this.#state.is === 'waiting' ? 1 : 0
  }

  reserve(): void {
    this.#state = { is: 'reserved', meanwhile: 'nothing' }
  }

  unreserve(): void {
    if (this.#state.is !== 'reserved') return
    const { meanwhile } = this.#state
    this.#state = { is: 'waiting' }
    if (meanwhile === 'over') this.end()
    if (meanwhile === 'gone') this.gone()
  }

  deliver(offer: Offer): boolean {
    if (this.#state.is !== 'reserved') return false
    const gone = this.#state.meanwhile === 'gone'
    this.#ended()
    return !gone && this.#hold.claimant.deliver(offer)
  }

  /** The time is over, or something has changed. While a job is being leased to it, that decides first. */
  end(): void {
    if (this.#state.is === 'reserved' && this.#state.meanwhile === 'nothing')
      this.#state = { is: 'reserved', meanwhile: 'over' }
    if (this.#state.is !== 'waiting') return
    this.#ended()
    this.#hold.answerEmpty()
  }

  /** The sender has gone. */
  gone(): void {
    if (this.#state.is === 'reserved') this.#state = { is: 'reserved', meanwhile: 'gone' }
    if (this.#state.is === 'waiting') this.#ended()
  }

  #ended(): void {
    this.#state = { is: 'ended' }
    this.#release()
  }
}

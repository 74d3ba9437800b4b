/**
 * A runner asks for a job, over `POST /jobs/request` or GitLab's Job Router.
 *
 *   authenticate, count → contact → queue value → try to lease ─ job ──▶ the job
 *                                                  │ none
 *                                                  ├─ the poll has seen the value ─▶ held: a job, or none with a new value
 *                                                  └─ it has not ─▶ none, with the value
 */
import type { Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import type { Door } from '../core/lease.js'
import { requestJob } from '../core/operations/request-job.js'
import type { Offer } from '../core/payload/offer.js'
import { RecentMap } from '../core/recent-map.js'
import type { ManagerInfo } from '../core/runner.js'
import type { Claimant } from '../core/scheduler/dispatcher.js'
import type { Access } from '../http/access.js'
import type { JsonMap } from '../http/json.js'
import { Params } from '../http/params.js'
import { doorOf, fromInfo } from './convert/manager.js'
import { type Carrier, HandOuts } from './hand-outs.js'
import { HeldPolls } from './long-poll.js'
import { QueueValues } from './queue-values.js'

export interface Poll {
  /** Of the body or the query. */
  token: string | undefined
  lastUpdate: string | undefined
  info: ManagerInfo
  door: Door
}

/** Who polls, as the request proves it. */
export interface Sender {
  token: string | undefined
  /** Empty if it is not known. */
  address: string
  /** Under which the request may be repeated; null: its sender gave none. */
  requestId: string | null
}

/** Where the answer to a poll goes: one of `job` and `empty` is called, once. */
export interface PollReply {
  readonly gone: boolean
  /** Hands over a job. Returns false, and the offer is void, if nobody is there. */
  job(offer: Offer): boolean
  /** The connection of the answer, if its end without a further word would mean that the answer was lost. */
  readonly carrier: Carrier | undefined
  /** There is no job; `value` is what the runner is to send back with its next poll. */
  empty(value: string): void
  /** Calls back when the sender has gone, or has its answer. */
  onceClosed(fn: () => void): void
}

/** Bytes of a poll. GitLab's own proxy takes 32 KiB. */
export const longestPoll = 256 * 1024

/** The polls of this process, whichever way they come. */
export class Polls {
  readonly core: Core
  readonly access: Access
  readonly held: HeldPolls
  readonly handOuts: HandOuts
  readonly #values: QueueValues
  readonly #stops: (() => void)[]
  readonly #known = new RecentMap<string, Poll>(mostKnown)
  #closing: Promise<void> | undefined

  constructor(core: Core, access: Access, holdMs: number) {
    this.core = core
    this.access = access
    this.#values = new QueueValues(core)
    this.held = new HeldPolls(core, holdMs)
    this.handOuts = new HandOuts(core)
    this.#stops = [
      core.events.listen(({ kind, runnerId }) => {
        if ((kind !== 'runner.changed' && kind !== 'runner.deleted') || runnerId == null) return
        this.#values.runnerChanged(runnerId)
        this.held.runnerChanged(runnerId)
      }),
      core.nodeState.listen(() => core.nodeState.draining && this.held.endAll()),
    ]
  }

  /**
   * Answers a poll, at once or when its hold ends. Throws what a request can be refused with (`forbidden`, `rate_limited`,
   * `conflict`, `unavailable` …); nothing has been answered then.
   */
  async answer(poll: Poll, sender: Sender, reply: PollReply): Promise<void> {
    if (this.#closing) throw new SignalboxError('unavailable', 'the server is stopping')
    const { runner, manager } = await this.access.poller(sender, poll.info)
    const poller = await this.#values.of(runner, manager)
    const { value } = poller
    if (runner.active === 0 || this.core.nodeState.draining) return reply.empty(value)
    this.handOuts.askedAgain(manager.id)
    const system = `${poll.info.systemId} ${poll.info.ipAddress ?? ''}`
    this.held.slots.seen(system, manager.id)
    const claimant: Claimant = {
      runner,
      managerId: manager.id,
      facts: poller.facts,
      door: poll.door,
      requestId: sender.requestId,
      deliver: (offer) => {
        const { carrier } = reply
        if (!reply.job(offer)) return false
        if (offer.acceptWithinMs !== null) this.handOuts.sent(manager.id, offer, carrier)
        return true
      },
    }
    const { offer, conflict } = { conflict: false, ...(await requestJob(this.core, claimant)) }
    if (offer) return this.core.dispatcher.deliver(claimant, offer)
    if (conflict) throw new SignalboxError('conflict', 'the job went to another runner')
    // Looked at again: a change may have come while the queue was searched.
    if (poll.lastUpdate !== value || poller.value !== value || !this.held.open) return reply.empty(poller.value)
    if (reply.gone) return
    const gone = this.held.hold({ claimant, system, answerEmpty: () => reply.empty(this.#values.renew(poller)) })
    reply.onceClosed(gone)
  }

  /**
   * What a poll says. An idle runner sends the same bytes each time: what they mean is remembered. `address`: null where
   * it is not known. Throws what `parse` throws, and `invalid`.
   */
  read(body: Buffer, address: string | null, parse: (body: Buffer) => JsonMap): Poll {
    const key = body.length <= longestKnown ? body.toString('latin1') : undefined
    const known = key === undefined ? undefined : this.#known.get(key)
    if (known?.info.ipAddress === address) return known
    const poll = fromPoll(new Params(parse(body)), address)
    if (key !== undefined) this.#known.set(key, poll)
    return poll
  }

  /** Ends the holds with no job and refuses polls from now on. Safe to repeat. */
  close(): Promise<void> {
    for (const stop of this.#stops) stop()
    this.handOuts.close()
    this.#closing ??= this.held.close()
    return this.#closing
  }
}

/** What a poll says, as the core wants it. Throws `invalid`. */
export function fromPoll(params: Params, address: string | null): Poll {
  return {
    token: params.text('token'),
    lastUpdate: params.text('last_update'),
    info: fromInfo(params, address),
    door: doorOf(params),
  }
}

/** At most 10,000 polls are remembered by their bytes, those of at most 2 KiB. */
const mostKnown = 10_000
const longestKnown = 2 * 1024

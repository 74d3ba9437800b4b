/**
 * `POST /jobs/request`: a runner asks for a job. Answered on the raw request, in front of Express, since thousands of idle
 * runners ask all the time.
 *
 *   authenticate, count → contact → queue value → try to lease ─ job ──▶ 201
 *                                                  │ none
 *                                                  ├─ the poll has seen the value ─▶ held: 201, or 204 with a new value
 *                                                  └─ it has not ─▶ 204 with the value
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import type { Door } from '../core/lease.js'
import type { Offer } from '../core/offer.js'
import { requestJob } from '../core/operations/request-job.js'
import { voidOffer } from '../core/operations/void-offer.js'
import { RecentMap } from '../core/recent-map.js'
import type { ManagerInfo } from '../core/runner.js'
import type { Claimant } from '../core/scheduler/dispatcher.js'
import { type Access, addressOf } from '../http/access.js'
import { readBody } from '../http/body.js'
import { foldPairs, readPairs } from '../http/form.js'
import { Params } from '../http/params.js'
import { mediaType, parseBody, queryOf } from '../http/read-params.js'
import { doorOf, fromInfo } from './convert/manager.js'
import { HeldPolls } from './long-poll.js'
import { QueueValues } from './queue-values.js'

export interface Poll {
  token: string | undefined
  lastUpdate: string | undefined
  info: ManagerInfo
  door: Door
}

const pollLimits = { bytes: 256 * 1024, withinMs: 60_000 }

/** The door at which runners poll. */
export class Polls {
  readonly held: HeldPolls
  readonly #core: Core
  readonly #access: Access
  readonly #values: QueueValues
  readonly #stopListening: () => void
  readonly #known = new RecentMap<string, Poll>(mostKnown)
  #closing: Promise<void> | undefined

  constructor(core: Core, access: Access, holdMs: number) {
    this.#core = core
    this.#access = access
    this.#values = new QueueValues(core)
    this.held = new HeldPolls(core, holdMs)
    this.#stopListening = core.events.listen(({ kind, runnerId }) => {
      if ((kind !== 'runner.changed' && kind !== 'runner.deleted') || runnerId == null) return
      this.#values.runnerChanged(runnerId)
      this.held.runnerChanged(runnerId)
    })
  }

  /**
   * Answers a poll. `sentId`: the request's id if its sender gave one, under which it may be repeated. Throws what a
   * request can be refused with; nothing has been answered then.
   */
  async answer(req: IncomingMessage, res: ServerResponse, requestId: string, sentId: string | null): Promise<void> {
    const body = await readBody(req, res, this.#core.clock, pollLimits)
    if (this.#closing) throw new SignalboxError('unavailable', 'the server is stopping')
    const poll = this.#read(req, body)
    const { runner, manager } = await this.#access.poller(req, poll.token, poll.info)
    const poller = await this.#values.of(runner, manager)
    const { value } = poller
    const answerEmpty = (now: string) => answer204(res, requestId, now)
    if (runner.active === 0) return answerEmpty(value)
    const claimant: Claimant = {
      runner,
      managerId: manager.id,
      facts: poller.facts,
      door: poll.door,
      requestId: sentId,
      deliver: (offer) => this.#answer201(res, requestId, offer),
    }
    const { offer, conflict } = { conflict: false, ...(await requestJob(this.#core, claimant)) }
    if (offer) return this.#core.dispatcher.deliver(claimant, offer)
    if (conflict) throw new SignalboxError('conflict', 'the job went to another runner')
    // Looked at again: a change may have come while the queue was searched.
    if (poll.lastUpdate !== value || poller.value !== value || !this.held.open) return answerEmpty(poller.value)
    if (res.destroyed) return
    const gone = this.held.hold({ claimant, answerEmpty: () => answerEmpty(this.#values.renew(poller)) })
    res.once('close', gone)
  }

  /** Ends the holds with 204 and refuses polls from now on. Safe to repeat. */
  close(): Promise<void> {
    this.#stopListening()
    this.#closing ??= this.held.close()
    return this.#closing
  }

  /** An idle runner sends the same bytes each time: what they mean is remembered. */
  #read(req: IncomingMessage, body: Buffer): Poll {
    const address = addressOf(req)
    const type = mediaType(req.headers['content-type'])
    const query = queryOf(req.url ?? '')
    const key = query === '' && type === 'application/json' ? body.toString('latin1') : undefined
    const known = key === undefined ? undefined : this.#known.get(key)
    if (known?.info.ipAddress === address) return known
    const map = Object.assign(foldPairs(readPairs(query)), parsePollBody(body, type))
    const poll = fromPoll(new Params(map), address)
    if (key !== undefined && key.length <= longestKnown) this.#known.set(key, poll)
    return poll
  }

  /** Gives false, and the offer is void, if nobody is there; voids it later if the bytes could not all be handed over. */
  #answer201(res: ServerResponse, requestId: string, offer: Offer): boolean {
    if (res.destroyed || res.writableEnded || !res.socket || res.socket.destroyed) return false
    res.writeHead(201, {
      'Content-Type': 'application/json',
      'Content-Length': offer.payload.length,
      'X-Request-Id': requestId,
    })
    if (offer.acceptWithinMs !== null) {
      res.once('close', () => {
        if (!res.writableFinished) this.#takeBack(offer)
      })
    }
    res.end(offer.payload)
    return true
  }

  #takeBack(offer: Offer): void {
    void voidOffer(this.#core, offer, 'undeliverable').catch((error) =>
      this.#core.log.error({ err: error, job: offer.jobId }, 'taking back an offer failed'),
    )
  }
}

/** What a poll says, as the core wants it. Throws `invalid`. */
export function fromPoll(params: Params, address: string): Poll {
  return {
    token: params.text('token'),
    lastUpdate: params.text('last_update'),
    info: fromInfo(params, address),
    door: doorOf(params),
  }
}

/** Unlike elsewhere, a body must be there as a map: no runner polls with `null`. */
function parsePollBody(body: Buffer, type: string) {
  if (type === 'application/json' && /^\s*null\s*$/.test(body.subarray(0, 16).toString('latin1'))) {
    throw new SignalboxError('invalid', 'the JSON is not a map')
  }
  return parseBody(body, type)
}

function answer204(res: ServerResponse, requestId: string, value: string): void {
  if (res.destroyed || res.writableEnded) return
  res.writeHead(204, { 'X-GitLab-Last-Update': value, 'X-Request-Id': requestId })
  res.end()
}

/** As many polls are remembered by their bytes, each of no more than so many. */
const mostKnown = 10_000
const longestKnown = 2 * 1024

/**
 * `POST /jobs/request`, answered on the raw request, in front of Express, since thousands of idle runners ask all the
 * time.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { SignalboxError } from '../core/errors.js'
import type { Offer } from '../core/payload/offer.js'
import { runnerToken } from '../http/access.js'
import { readBody } from '../http/body.js'
import { foldPairs, readPairs } from '../http/form.js'
import type { JsonMap } from '../http/json.js'
import { Params } from '../http/params.js'
import { mediaType, parseBody, queryOf } from '../http/read-params.js'
import { fromPoll, longestPoll, type Poll, type PollReply, type Polls } from './poll.js'

const pollLimits = { bytes: longestPoll, withinMs: 60_000 }

/**
 * Answers a poll. `sentId`: the request's id if its sender gave one, under which it may be repeated. Throws what a request
 * can be refused with; nothing has been answered then.
 */
export async function answerPoll(
  polls: Polls,
  req: IncomingMessage,
  res: ServerResponse,
  requestId: string,
  sentId: string | null,
): Promise<void> {
  const body = await readBody(req, res, polls.core.clock, pollLimits)
  const poll = readPoll(polls, req, body)
  const { token, address } = runnerToken(req, poll.token)
  await polls.answer(poll, { token, address, requestId: sentId }, new HttpReply(polls, res, requestId))
}

function readPoll(polls: Polls, req: IncomingMessage, body: Buffer): Poll {
  const address = req.socket.remoteAddress ?? ''
  const type = mediaType(req.headers['content-type'])
  const query = queryOf(req.url ?? '')
  if (query === '' && type === 'application/json') return polls.read(body, address, parsePoll)
  return fromPoll(new Params(Object.assign(foldPairs(readPairs(query)), parsePoll(body, type))), address)
}

/** Unlike elsewhere, a body must be there as a map: no runner polls with `null`. */
export function parsePoll(body: Buffer, type = 'application/json'): JsonMap {
  if (type === 'application/json' && /^\s*null\s*$/.test(body.subarray(0, 16).toString('latin1'))) {
    throw new SignalboxError('invalid', 'the JSON is not a map')
  }
  return parseBody(body, type)
}

class HttpReply implements PollReply {
  readonly #polls: Polls
  readonly #res: ServerResponse
  readonly #requestId: string

  constructor(polls: Polls, res: ServerResponse, requestId: string) {
    this.#polls = polls
    this.#res = res
    this.#requestId = requestId
  }

  get gone(): boolean {
    return this.#res.destroyed
  }

  /** A connection that ends with this answer anyway tells nothing by its end. */
  get carrier() {
    return this.#res.shouldKeepAlive ? (this.#res.socket ?? undefined) : undefined
  }

  /** Voids the offer later if the bytes could not all be handed over. */
  job(offer: Offer): boolean {
    const res = this.#res
    if (res.destroyed || res.writableEnded || !res.socket || res.socket.destroyed) return false
    res.writeHead(201, {
      'Content-Type': 'application/json',
      'Content-Length': offer.payload.length,
      'X-Request-Id': this.#requestId,
    })
    if (offer.acceptWithinMs !== null) {
      res.once('close', () => {
        if (!res.writableFinished) this.#polls.handOuts.takeBack(offer)
      })
    }
    res.end(offer.payload)
    return true
  }

  empty(value: string): void {
    const res = this.#res
    if (res.destroyed || res.writableEnded) return
    res.writeHead(204, { 'X-GitLab-Last-Update': value, 'X-Request-Id': this.#requestId })
    res.end()
  }

  onceClosed(fn: () => void): void {
    this.#res.once('close', fn)
  }
}

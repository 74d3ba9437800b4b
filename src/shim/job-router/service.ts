/**
 * GitLab's Job Router: `GetJob` is a poll over gRPC. It has the same queue, the same hold and the same offers as
 * `POST /jobs/request`; acknowledgement, log and artifacts of the job stay with REST. Metadata and meaning of an empty
 * answer: gitlab-runner router/client.go.
 */

import grpc from '@grpc/grpc-js'
import { SignalboxError } from '../../core/errors.js'
import type { Offer } from '../../core/payload/offer.js'
import { bearerToken } from '../../core/tokens/token.js'
import { GetJobRequest, GetJobResponse, JobRouterService } from '../../gen/gitlab/agent/job_router/rpc/job_router.js'
import { fitRequestId, makeRequestId } from '../../http/request-id.js'
import { parsePoll } from '../http-poll.js'
import { longestPoll, type Poll, type PollReply, type Polls, type Sender } from '../poll.js'
import { toStatus } from './errors.js'

type Call = grpc.ServerUnaryCall<Buffer, Buffer>

export interface JobRouter {
  /** Under which its health is told. */
  name: string
  definition: grpc.ServiceDefinition
  implementation: grpc.UntypedServiceImplementation
}

const raw = (bytes: Buffer) => bytes

/** Messages are decoded in the handler, so that a malformed one is told so. */
const definition = {
  getJob: {
    ...JobRouterService.getJob,
    requestSerialize: raw,
    requestDeserialize: raw,
    responseSerialize: raw,
    responseDeserialize: raw,
  },
}

/** The service that hands out the jobs of `polls`, for a gRPC server. */
export function createJobRouter(polls: Polls): JobRouter {
  return {
    name: 'gitlab.agent.job_router.rpc.JobRouter',
    definition,
    implementation: {
      getJob: (call: Call, callback: grpc.sendUnaryData<Buffer>) => {
        getJob(polls, call, callback).catch((error: unknown) =>
          polls.core.log.error({ err: error }, 'a call of the job router could not be answered'),
        )
      },
    },
  }
}

async function getJob(polls: Polls, call: Call, callback: grpc.sendUnaryData<Buffer>): Promise<void> {
  const sentId = fitRequestId(call.metadata.get('x-request-id')[0])
  const requestId = sentId ?? makeRequestId()
  const reply = new RouterReply(call, callback, requestId)
  try {
    const address = addressOf(call)
    const sender = { token: tokenOf(call), address: address ?? '', requestId: sentId ?? null }
    const poll = polls.read(jobRequestOf(call.request), address, parsePoll)
    await requireOneRunner(polls, poll, sender)
    const door = poll.door === 'rest_two_phase' ? 'job_router' : poll.door
    await polls.answer({ ...poll, door }, sender, reply)
  } catch (thrown) {
    const error = SignalboxError.from(thrown)
    if (error.code === 'internal' || error.code === 'unavailable') {
      polls.core.log.error({ err: error.cause ?? error, request_id: requestId }, 'a call of the job router failed')
    }
    // A job that went to another runner is no fault of this one's, and no reason to fall back on REST.
    if (error.code === 'conflict') reply.empty()
    else reply.fail(error)
  }
}

function jobRequestOf(message: Buffer): Buffer {
  if (message.length > longestPoll) throw new SignalboxError('too_large', `a poll may have ${longestPoll} bytes`)
  try {
    const { jobRequest } = GetJobRequest.decode(message)
    return Buffer.from(jobRequest.buffer, jobRequest.byteOffset, jobRequest.byteLength)
  } catch (error) {
    throw new SignalboxError('invalid', 'not a GetJobRequest', { cause: error })
  }
}

/** The metadata proves who calls; a body that names another runner is refused. */
async function requireOneRunner({ access }: Polls, poll: Poll, sender: Sender): Promise<void> {
  if (!poll.token || poll.token === sender.token) return
  const [caller, named] = [await access.runnerBy(sender), await access.runnerBy({ ...sender, token: poll.token })]
  if (caller.id !== named.id)
    throw new SignalboxError('forbidden', 'the request names another runner than its metadata')
}

function tokenOf(call: Call): string {
  const token = bearerToken(String(call.metadata.get('authorization')[0] ?? ''))
  if (token === undefined) throw new SignalboxError('unauthenticated', 'metadata authorization: Bearer … is missing')
  return token
}

/** `127.0.0.1:1234` and `[::1]:1234` without the port; null inside a tunnel, where grpc-js knows no peer. */
function addressOf(call: Call): string | null {
  const peer = call.getPeer()
  return /:\d+$/.test(peer) ? peer.replace(/:\d+$/, '').replace(/^\[|\]$/g, '') : null
}

class RouterReply implements PollReply {
  /** One connection carries the calls of many at once. */
  readonly carrier = undefined
  readonly #call: Call
  readonly #callback: grpc.sendUnaryData<Buffer>
  readonly #requestId: string

  constructor(call: Call, callback: grpc.sendUnaryData<Buffer>, requestId: string) {
    this.#call = call
    this.#callback = callback
    this.#requestId = requestId
  }

  get gone(): boolean {
    return this.#call.cancelled
  }

  job(offer: Offer): boolean {
    if (this.gone) return false
    this.#send(offer.payload)
    return true
  }

  /** `value` must be in the initial metadata: the runner does not look at trailers. */
  empty(value?: string): void {
    if (!this.gone) this.#send(Buffer.alloc(0), value)
  }

  fail(error: SignalboxError): void {
    this.#callback(toStatus(error))
  }

  onceClosed(fn: () => void): void {
    this.#call.once('cancelled', fn)
  }

  #send(jobResponse: Buffer, lastUpdate?: string): void {
    const metadata = new grpc.Metadata()
    metadata.set('x-request-id', this.#requestId)
    if (lastUpdate !== undefined) metadata.set('x-gitlab-last-update', lastUpdate)
    this.#call.sendMetadata(metadata)
    this.#callback(null, Buffer.from(GetJobResponse.encode({ jobResponse }).finish()))
  }
}

/** The stream's conversation, over GitLab's polling API. */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  CancelMode,
  type HeldLease,
  type LeaseVerdict,
  type Offer,
  type RunnerMessage,
  type ServerMessage,
  StateOutcome,
  Verdict,
} from '../../gen/signalbox/runner/v1/runner.js'
import { messageOf } from '../runner-error.js'
import { PollJob } from './poll-job.js'
import { apiUrl, baseOf, jsonHeaders, type PollSettings } from './poll-settings.js'
import type { Carrier, CarrierHandlers, Transport } from './transport.js'

/**
 * GitLab's runner API, for coordinators that know no stream. Towards the link it plays the node of a stream: `verify` is
 * the greeting, a request for a job that waits is the credit, and what a stream would push is read off the answers.
 *
 *   Hello   -> POST runners/verify        Welcome, with HELD for whatever Hello named
 *   Want    -> POST jobs/request …        201: Offer (fence 0: the job's token is the lease)
 *   Accept  -> PUT state=running          LeaseState HELD, or ABANDON
 *   …          PATCH trace, keep-alives   LogAck; Cancel from `Job-Status`
 *   StateUpdate -> PUT state=…            StateAck
 *
 * Source: GitLab Runner 19.4, `network/gitlab.go`, `network/trace.go`.
 */
export function pollTransport(settings: PollSettings): Transport {
  return { name: 'poll', open: (handlers) => new PollCarrier(settings, handlers) }
}

// GitLab Runner: `unhealthy_requests_limit`. There it rests for an hour then, which would hide a removed runner.
const refusalsLimit = 3

class PollCarrier implements Carrier {
  readonly writable = true
  readonly #stop = new AbortController()
  readonly #jobs = new Map<number, PollJob>()
  #credits = 0
  #wake: (() => void) | undefined
  /** The request for a job that is under way. */
  #request: AbortController | undefined
  #lastUpdate: string | undefined
  #seq = 0
  #drain: number | undefined

  constructor(
    private readonly settings: PollSettings,
    private readonly handlers: CarrierHandlers,
  ) {
    this.#verify().catch((error) => this.abort(messageOf(error)))
  }

  send({ body }: RunnerMessage): void {
    switch (body?.$case) {
      case 'hello':
        this.#welcome(body.value.running)
        break
      case 'want':
        this.#credits = body.value.credits
        if (this.#credits === 0) this.#request?.abort()
        this.#wake?.()
        break
      case 'accept':
        this.#jobOf(body.value)?.accept()
        break
      case 'reject':
        // The API has no word for it: a job whose offer is not taken goes back by itself.
        this.#jobs.delete(body.value.jobId)
        break
      case 'drain':
        this.#drain = body.value.revision
        this.#wake?.()
        break
      default:
        // What else there is to say is said by the requests that the jobs make by themselves.
        break
    }
  }

  close(): void {
    this.#stop.abort()
    this.#request?.abort()
    this.#wake?.()
    for (const job of this.#jobs.values()) job.close()
  }

  abort(reason: string): void {
    if (this.#stop.signal.aborted) return
    this.close()
    this.handlers.closed({ kind: 'failed', message: reason })
  }

  async #verify(): Promise<void> {
    const { http, token, systemId, info } = this.settings
    try {
      const answer = await http.call({
        method: 'POST',
        url: this.#url('runners/verify'),
        headers: { ...jsonHeaders, 'runner-token': token },
        body: Buffer.from(JSON.stringify({ token, system_id: systemId, info })),
        signal: this.#stop.signal,
      })
      if (this.#stop.signal.aborted) return
      if (answer.status === 403 || answer.status === 401) this.#refused(answer.statusText)
      else if (answer.status >= 500 || answer.status === 429)
        this.abort(`the coordinator answered ${answer.statusText}`)
      else if (answer.status !== 200 || !isRunner(answer.body)) {
        const asked = this.#url('runners/verify').href
        this.abort(`${asked} answered ${answer.statusText}: is ${this.settings.url.href} a coordinator’s address?`)
      } else this.handlers.opened()
    } catch (error) {
      this.abort(messageOf(error))
    }
  }

  #welcome(running: readonly HeldLease[]): void {
    const { url } = this.settings
    this.#tell({
      $case: 'welcome',
      value: {
        protocol: 1,
        epoch: 1,
        node: url.host,
        runnerId: 0,
        // Nothing of the kind: every request is a sign of life, and the server counts the time.
        pingIntervalMs: 0,
        leaseMs: 0,
        renewEveryMs: 0,
        maxMessageBytes: 0,
        maxLogChunkBytes: 0,
        logWindowBytes: 0,
        httpUrl: baseOf(url),
        verdicts: running.map(({ jobId, fence }) => verdict(jobId, fence, Verdict.VERDICT_HELD)),
        protocolFeatures: [],
      },
    })
    for (const { jobId, fence } of running) this.#job(jobId, fence)?.resume()
    this.#ask().catch((error) => this.abort(messageOf(error)))
  }

  /** Asks for jobs as long as there are places for them. */
  async #ask(): Promise<void> {
    let refusals = 0
    while (!this.#stop.signal.aborted) {
      if (this.#credits === 0) {
        if (this.#drain !== undefined)
          this.#tell({ $case: 'drainState', value: { revision: this.#drain, openLeases: 0 } })
        this.#drain = undefined
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        this.#wake = undefined
        continue
      }
      const since = performance.now()
      const outcome = await this.#askOnce()
      refusals = outcome === 'refused' ? refusals + 1 : 0
      if (refusals === refusalsLimit) this.#refused('the coordinator does not know this runner')
      if (outcome === 'again' || this.#credits === 0) continue
      const rest = this.settings.intervalMs - (performance.now() - since)
      if (rest > 0) await sleep(rest, undefined, { signal: this.#stop.signal }).catch(() => undefined)
    }
  }

  /** `again`: there may be more at once. */
  async #askOnce(): Promise<'again' | 'later' | 'refused'> {
    const { http, token, systemId, info } = this.settings
    this.#request = new AbortController()
    try {
      const answer = await http.call({
        method: 'POST',
        url: this.#url('jobs/request'),
        headers: { ...jsonHeaders, 'runner-token': token },
        body: Buffer.from(JSON.stringify({ info, token, system_id: systemId, last_update: this.#lastUpdate })),
        signal: this.#request.signal,
      })
      const update = answer.headers['x-gitlab-last-update']
      const isNew = typeof update === 'string' && update !== '' && update !== this.#lastUpdate
      if (isNew) this.#lastUpdate = update
      if (answer.status === 201) return this.#offer(answer.body) ? 'again' : 'later'
      if (answer.status === 204) return isNew ? 'again' : 'later'
      return answer.status === 403 ? 'refused' : 'later'
    } catch {
      return 'later'
    } finally {
      this.#request = undefined
    }
  }

  /** @returns false for what is no job. */
  #offer(payload: Buffer): boolean {
    let job: { id?: unknown; job_info?: { name?: unknown } | null }
    try {
      job = JSON.parse(payload.toString('utf8')) as typeof job
    } catch {
      return false
    }
    if (typeof job.id !== 'number') return false
    // A repeated answer: the job is ours already.
    if (this.#jobs.has(job.id)) return false
    const name = job.job_info?.name
    const offer: Offer = {
      offerId: '',
      jobId: job.id,
      fence: 0,
      acceptWithinMs: 30_000,
      payload,
      projectId: 0,
      pipelineId: 0,
      jobName: typeof name === 'string' ? name : '',
      timeoutMs: 0,
    }
    this.#credits = Math.max(0, this.#credits - 1)
    this.#tell({ $case: 'offer', value: offer })
    return true
  }

  #jobOf({ jobId, fence }: { jobId: number; fence: number }): PollJob | undefined {
    return this.#jobs.get(jobId) ?? this.#job(jobId, fence)
  }

  #job(jobId: number, fence: number): PollJob | undefined {
    const spool = this.settings.spoolOf({ jobId, fence })
    if (spool === undefined) return undefined
    const ids = { jobId, fence }
    const job = new PollJob(this.settings, spool, {
      held: (canceling) => {
        const cancel = canceling ? { ...ids, revision: 1, mode: gracefulCancel, graceMs: 0 } : undefined
        const held = verdict(jobId, fence, Verdict.VERDICT_HELD)
        this.#tell({ $case: 'leaseState', value: { leases: [{ ...held, cancel }] } })
      },
      abandoned: (reason) => {
        this.#jobs.delete(jobId)
        const gone = verdict(jobId, fence, Verdict.VERDICT_ABANDON)
        this.#tell({ $case: 'leaseState', value: { leases: [{ ...gone, reason }] } })
      },
      cancel: (mode) => {
        const force = mode === 'force'
        const value = { ...ids, revision: force ? 2 : 1, mode: force ? forcedCancel : gracefulCancel, graceMs: 0 }
        this.#tell({ $case: 'cancel', value })
      },
      stored: (durableOffset) => this.#tell({ $case: 'logAck', value: { ...ids, durableOffset, windowBytes: 0 } }),
      reported: (applied, jobStatus) => {
        this.#jobs.delete(jobId)
        const outcome = applied ? StateOutcome.STATE_OUTCOME_APPLIED : StateOutcome.STATE_OUTCOME_FENCED
        this.#tell({ $case: 'stateAck', value: { ...ids, revision: 1, outcome, jobStatus } })
      },
    })
    this.#jobs.set(jobId, job)
    return job
  }

  #refused(message: string): void {
    if (this.#stop.signal.aborted) return
    this.close()
    this.handlers.closed({ kind: 'unauthorized', message })
  }

  #tell(body: NonNullable<ServerMessage['body']>): void {
    if (!this.#stop.signal.aborted) this.handlers.message({ seq: ++this.#seq, ack: 0, body })
  }

  #url(path: string): URL {
    return apiUrl(this.settings.url, path)
  }
}

const gracefulCancel = CancelMode.CANCEL_MODE_GRACEFUL
const forcedCancel = CancelMode.CANCEL_MODE_FORCE

function verdict(jobId: number, fence: number, word: Verdict): LeaseVerdict {
  return { jobId, fence, verdict: word, expiresInMs: 0, logOffset: 0, reason: '' }
}

/** Whether the answer to a verification is one: whatever else may live at an address answers 200 too. */
function isRunner(body: Buffer): boolean {
  try {
    return typeof JSON.parse(body.toString('utf8')).id === 'number'
  } catch {
    return false
  }
}

/** One job over GitLab's API: requests about its status and log, and what their answers say. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { HttpAnswer } from '../http.js'
import { type JobPayload, parsePayload } from '../job/payload.js'
import type { JobReport } from '../job/report.js'
import { messageOf } from '../runner-error.js'
import type { Spool } from '../spool.js'
import { apiUrl, jsonHeaders, type PollSettings } from './poll-settings.js'

/** What a job learns from the answers to its requests. */
export interface PollJobListener {
  held(canceling: boolean): void
  abandoned(reason: string): void
  cancel(mode: 'graceful' | 'force'): void
  /** So many bytes of the log are stored. */
  stored(bytes: number): void
  reported(applied: boolean, jobStatus: string): void
}

/**
 * The requests about one job, in the order and at the pace of GitLab Runner (`network/trace.go`): the acceptance, then
 * each interval at most one piece of the log and, after 30 s without a success, a sign of life; at the end the rest of
 * the log without pauses, and the final state until somebody takes it.
 */
export class PollJob {
  readonly #payload: JobPayload
  readonly #closed = new AbortController()
  readonly #ended: Promise<void>
  #isEnded = false
  /** Bytes of the log that were sent and taken. */
  #sent = 0
  #intervalMs: number
  #contactAt = performance.now()
  #told: 'nothing' | 'graceful' | 'force' = 'nothing'
  #canceledAtStart = false

  constructor(
    private readonly settings: PollSettings,
    private readonly spool: Spool,
    private readonly listener: PollJobListener,
  ) {
    this.#payload = parsePayload(spool.readPayload())
    this.#intervalMs = settings.traceIntervalMs
    this.#ended = new Promise((resolve) => {
      spool.onReport(() => {
        this.#isEnded = true
        resolve()
      })
      this.#closed.signal.addEventListener('abort', () => resolve())
    })
  }

  /** Says that the job is ours: until then the coordinator may give it to somebody else. */
  accept(): void {
    this.#watch(this.#accept())
  }

  /** Goes on with a job that was accepted earlier. */
  resume(): void {
    this.#watch(this.#see())
  }

  close(): void {
    this.#closed.abort()
  }

  /** Its spool cannot be read, say. The other jobs have theirs, and the next process may have more luck with this. */
  #watch(work: Promise<void>): void {
    work.catch((error: unknown) => {
      this.settings.log.error({ jobId: this.#payload.id, error: messageOf(error) }, 'a job cannot be reported')
    })
  }

  async #accept(): Promise<void> {
    const update = await this.#put({ state: 'running', output: {} })
    if (this.#closed.signal.aborted) return
    if (update.outcome === 'aborted' || update.outcome === 'not_found') {
      this.listener.abandoned(update.status || 'fenced')
      return
    }
    // Whatever else was answered, the runner runs the job: so does the original.
    this.#canceledAtStart = update.canceling
    if (update.canceling) this.#told = 'graceful'
    this.listener.held(update.canceling)
    await this.#see()
  }

  async #see(): Promise<void> {
    while (!this.#isEnded && !this.#closed.signal.aborted) {
      await this.#pause(this.#intervalMs)
      if (this.#isEnded || this.#closed.signal.aborted) break
      if (!(await this.#incremental())) break
    }
    await this.#ended
    this.#intervalMs = this.settings.traceIntervalMs
    for (let waitMs = 1_000; !this.#closed.signal.aborted; waitMs = Math.min(waitMs * 2, maxFinalWaitMs)) {
      if (await this.#final()) return
      await sleep(waitMs, undefined, { signal: this.#closed.signal }).catch(() => undefined)
    }
  }

  /** One round while the job runs. @returns false once there is no point in another. */
  async #incremental(): Promise<boolean> {
    const patch = await this.#patch()
    if (patch !== 'aborted' && patch !== 'stored' && patch !== 'nothing') return true
    const quiet = performance.now() - this.#contactAt > this.settings.traceIntervalMs * intervalsOfSilence
    const touch = patch !== 'aborted' && quiet ? await this.#touch() : 'taken'
    if (patch !== 'aborted' && touch !== 'aborted') return true
    this.#tell('force')
    return false
  }

  async #touch(): Promise<UpdateOutcome> {
    const { outcome, canceling } = await this.#put({ state: 'running', output: this.#output() })
    if (outcome === 'taken') this.#contactAt = performance.now()
    if (canceling) this.#tell('graceful')
    return outcome
  }

  /** Sends what is left and the final state. @returns false if it has to be tried again later. */
  async #final(): Promise<boolean> {
    for (let mismatches = 0; !this.#closed.signal.aborted; ) {
      while (this.#sent < this.spool.length) {
        const patch = await this.#patch()
        // Nobody wants the log any more; the state may still be wanted.
        if (patch === 'aborted' || patch === 'not_found') break
        if (patch === 'failed') return false
        if (patch === 'mismatch' && ++mismatches > 1) await this.#rest()
      }
      const { outcome, status } = await this.#put(this.#finalState())
      if (this.#closed.signal.aborted) return true
      if (outcome === 'failed') return false
      if (outcome === 'taken') this.listener.reported(true, status || this.#report().state)
      if (outcome === 'aborted' || outcome === 'not_found') this.listener.reported(false, status)
      if (outcome !== 'incomplete' && outcome !== 'log_invalid') return true
      if (outcome === 'log_invalid') this.#sent = 0
      await this.#rest()
    }
    return true
  }

  async #patch(): Promise<PatchOutcome> {
    const content = this.spool.read(this.#sent, maxPatchBytes)
    if (content.length === 0) return 'nothing'
    const url = apiUrl(this.settings.url, `jobs/${this.#payload.id}/trace`)
    url.searchParams.set('debug_trace', String(this.#isDebug()))
    const answer = await this.#call({
      method: 'PATCH',
      url,
      headers: {
        'job-token': this.#payload.token,
        'content-type': 'text/plain',
        // Without a unit, and the last number is that of the last byte.
        'content-range': `${this.#sent}-${this.#sent + content.length - 1}`,
        'content-length': String(content.length),
      },
      body: content,
    })
    if (answer === undefined) return 'failed'
    const status = jobStatusOf(answer)
    if (status === 'canceling') this.#tell('graceful')
    if (status === 'canceled' || status === 'failed' || answer.status === 403) return 'aborted'
    if (answer.status === 202) {
      this.#stored(this.#sent + content.length)
      return 'stored'
    }
    if (answer.status === 416) {
      // Here, unlike in the request, the number is that of the bytes stored.
      const stored = /^0-(\d+)$/.exec(answer.headers.range ?? '')?.[1]
      this.#stored(Math.min(Number(stored ?? 0), this.spool.length))
      return 'mismatch'
    }
    return answer.status === 404 ? 'not_found' : 'failed'
  }

  async #put(fields: Record<string, unknown>): Promise<{ outcome: UpdateOutcome; canceling: boolean; status: string }> {
    const { id, token } = this.#payload
    const answer = await this.#call({
      method: 'PUT',
      url: apiUrl(this.settings.url, `jobs/${id}`),
      headers: { 'content-type': jsonHeaders['content-type'], 'job-token': token },
      body: Buffer.from(JSON.stringify({ info: this.settings.info, token, ...fields })),
    })
    if (answer === undefined) return { outcome: 'failed', canceling: false, status: '' }
    const status = jobStatusOf(answer)
    return { outcome: updateOutcome(answer.status, status), canceling: status === 'canceling', status }
  }

  async #call(call: Parameters<PollSettings['http']['call']>[0]): Promise<HttpAnswer | undefined> {
    try {
      const answer = await this.settings.http.call({ ...call, signal: this.#closed.signal })
      const seconds = Number(answer.headers['x-gitlab-trace-update-interval'])
      if (Number.isInteger(seconds) && seconds > 0) this.#intervalMs = Math.min(seconds * 1000, maxIntervalMs)
      return answer
    } catch {
      return undefined
    }
  }

  #finalState(): Record<string, unknown> {
    const report = this.#report()
    const output = this.#output()
    return {
      state: report.state,
      ...(report.failureReason === '' ? {} : { failure_reason: this.#reasonOf(report) }),
      checksum: output.checksum,
      output,
      ...(report.exitCode === undefined || report.exitCode === 0 ? {} : { exit_code: report.exitCode }),
    }
  }

  #output(): { checksum: string; bytesize?: number } {
    const { crc, length } = this.spool
    const checksum = `crc32:${crc.toString(16).padStart(8, '0')}`
    return length === 0 ? { checksum } : { checksum, bytesize: length }
  }

  /** A reason that the coordinator does not know is mapped to one that it does: GitLab Runner, `common/network.go`. */
  #reasonOf({ failureReason }: JobReport): string {
    if (this.#canceledAtStart && failureReason === 'job_canceled') return failureReason
    const always = ['script_failure', 'runner_system_failure', 'job_execution_timeout']
    if ([...always, ...this.#payload.features.failureReasons].includes(failureReason)) return failureReason
    return failureReason === 'runner_configuration_error' ? 'script_failure' : 'unknown_failure'
  }

  #report(): JobReport {
    if (this.spool.report === undefined) throw new Error('the job has not ended')
    return this.spool.report
  }

  #isDebug(): boolean {
    return this.#payload.variables.some(
      ({ key, value }) => (key === 'CI_DEBUG_TRACE' || key === 'CI_DEBUG_SERVICES') && /^(1|t|true)$/i.test(value),
    )
  }

  #stored(bytes: number): void {
    this.#sent = bytes
    this.#contactAt = performance.now()
    this.listener.stored(bytes)
  }

  /** A cancel is acted on once, an abort once more. */
  #tell(mode: 'graceful' | 'force'): void {
    if (this.#told === mode || this.#told === 'force') return
    this.#told = mode
    this.listener.cancel(mode)
  }

  /** Waits, but not beyond the end of the job. */
  async #pause(ms: number): Promise<void> {
    const over = new AbortController()
    await Promise.race([this.#ended, sleep(ms, undefined, { signal: over.signal }).catch(() => undefined)])
    over.abort()
  }

  async #rest(): Promise<void> {
    await sleep(this.#intervalMs, undefined, { signal: this.#closed.signal }).catch(() => undefined)
  }
}

type PatchOutcome = 'stored' | 'nothing' | 'mismatch' | 'aborted' | 'not_found' | 'failed'
type UpdateOutcome = 'taken' | 'incomplete' | 'log_invalid' | 'aborted' | 'not_found' | 'failed'

// Source: GitLab Runner, `common/consts.go`.
const maxIntervalMs = 15 * 60_000
/** After this many intervals without a success, ten of 3 s, the coordinator is told that the job lives. */
const intervalsOfSilence = 10
const maxPatchBytes = 1024 * 1024
/** The original grows to an hour; but what was down for an hour is not found up again within it. */
const maxFinalWaitMs = 60_000

function updateOutcome(status: number, jobStatus: string): UpdateOutcome {
  if (jobStatus === 'canceled' || jobStatus === 'failed' || status === 403) return 'aborted'
  const outcomes: Record<number, UpdateOutcome> = {
    200: 'taken',
    202: 'incomplete',
    404: 'not_found',
    412: 'log_invalid',
  }
  return outcomes[status] ?? 'failed'
}

function jobStatusOf(answer: HttpAnswer): string {
  const status = answer.headers['job-status']
  return typeof status === 'string' ? status : ''
}

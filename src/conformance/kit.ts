/** Plays coordinator for one scenario: starts the runner's command, hands out jobs, and waits for what must follow. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { GoodbyeCode, StateOutcome, Verdict } from '../gen/signalbox/runner/v1/runner.js'
import { type CarrierName, type Door, openDoor } from './doors.js'
import { type KitJob, makeJob } from './job.js'
import type { RunnerBody, Stream, StreamOwner } from './stream.js'

export const kitToken = 'glrt-ConformanceCheck00'
const outputLength = 2000

/** A rule that is broken: its message says what came, and what should have. */
export class Broken extends Error {}

type Ref = { jobId: number; fence: number }

/** What is not as usual. */
export interface KitPlays {
  /** Hello is answered with Goodbye. */
  refuses?: boolean
  renewEveryMs?: number
  /** Bytes of a log that may be on their way. */
  window?: number
}

export class Kit implements StreamOwner {
  readonly streams: Stream[] = []
  readonly jobs: KitJob[] = []
  readonly folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-check-'))
  /** The last that the process has printed. */
  output = ''
  exit: number | null | undefined
  #child: ChildProcess | undefined
  #door: Door | undefined
  readonly #faults: string[] = []
  readonly #changes = new Set<() => void>()

  private constructor(
    private readonly command: readonly string[],
    private readonly withinMs: number,
    private readonly plays: KitPlays,
  ) {}

  /** Opens the door and starts the command. */
  static async start(
    command: readonly string[],
    carrier: CarrierName,
    withinMs: number,
    plays: KitPlays = {},
  ): Promise<Kit> {
    const kit = new Kit(command, withinMs, plays)
    kit.#door = await openDoor(carrier, kit, (stream) => {
      kit.streams.push(stream)
      kit.changed()
    })
    kit.#spawn(kit.#door.url)
    return kit
  }

  get #window(): number {
    return this.plays.window ?? 256 * 1024
  }

  #spawn(url: string): void {
    const [program, ...args] = this.command
    const env = {
      ...process.env,
      SIGNALBOX_URL: url,
      SIGNALBOX_RUNNER_TOKEN: kitToken,
      SIGNALBOX_WORK_DIR: this.folder,
    }
    const child = spawn(program!, args, { cwd: this.folder, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const hear = (bytes: unknown) => {
      this.output = (this.output + String(bytes)).slice(-outputLength)
    }
    child.stdout?.on('data', hear)
    child.stderr?.on('data', hear)
    child.on('error', (error) => hear(`${error.message}\n`))
    child.on('close', (code) => {
      this.exit = code
      this.changed()
    })
    this.#child = child
  }

  signal(name: NodeJS.Signals): void {
    if (this.#child?.pid !== undefined && this.exit === undefined) process.kill(this.#child.pid, name)
  }

  /** Ends the command with all that it started, and closes the door. */
  close(): void {
    try {
      process.kill(-this.#child!.pid!, 'SIGKILL')
    } catch {
      // Nothing is left of it.
    }
    this.#door?.close()
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 })
  }

  broken(what: string): void {
    this.#faults.push(what)
  }

  changed(): void {
    for (const look of [...this.#changes]) look()
  }

  /** Waits until `find` finds something. Throws `Broken` after the time, or as soon as a rule of envelopes is broken. */
  until<T>(what: string, find: () => T | undefined | false, withinMs = this.withinMs): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = (act: () => void) => {
        clearTimeout(timer)
        this.#changes.delete(look)
        act()
      }
      const look = () => {
        const [fault] = this.#faults
        if (fault !== undefined) return end(() => reject(new Broken(fault)))
        const found = find()
        if (found !== undefined && found !== false) return end(() => resolve(found))
        if (this.exit !== undefined) end(() => reject(new Broken(`the command ended with ${this.exit} before ${what}`)))
      }
      const timer = setTimeout(
        () => end(() => reject(new Broken(`${what} did not come within ${withinMs / 1000} s`))),
        withinMs,
      )
      this.#changes.add(look)
      look()
    })
  }

  /** Looks for `ms` that nothing comes of what must not; `found` says what did. */
  async never(ms: number, found: () => string | undefined): Promise<void> {
    const what = await this.until('', () => found(), ms).catch((error: Error) => {
      if (/ did not come within /.test(error.message)) return undefined
      throw error
    })
    if (what !== undefined) throw new Broken(what)
  }

  /** The stream number `index` once it has said Hello. */
  async attached(index = 0, withinMs?: number): Promise<Stream> {
    const what = index === 0 ? 'Hello' : 'Hello on a new stream'
    return this.until(what, () => this.streams.filter((one) => one.hello)[index], withinMs)
  }

  /** Hands out a job as soon as the runner wants one. */
  async offer(stream: Stream, script: string[], treat: Partial<KitJob> = {}): Promise<KitJob> {
    await this.until('Want with a credit', () => (stream.all('want').at(-1)?.credits ?? 0) > 0)
    const job = makeJob(this.jobs.length + 1, script, { window: this.#window, ...treat })
    this.jobs.push(job)
    const { id: jobId, fence, offerId, payload } = job
    const facts = { projectId: 1, pipelineId: 1, jobName: `check-${jobId}`, timeoutMs: 120_000 }
    stream.send({ $case: 'offer', value: { offerId, jobId, fence, acceptWithinMs: 10_000, payload, ...facts } })
    return job
  }

  /** The final report of the job on any stream. */
  report(job: KitJob, withinMs?: number) {
    const find = () => this.#all('stateUpdate').find((one) => isOf(one, job))
    return this.until(`StateUpdate of job ${job.id}`, find, withinMs)
  }

  /** Messages of one kind about the job, on all streams. */
  about<C extends RunnerBody['$case']>(kind: C, job: KitJob) {
    return this.#all(kind).filter((one) => isOf(one as unknown as Ref, job))
  }

  #all<C extends RunnerBody['$case']>(kind: C) {
    return this.streams.flatMap((stream) => stream.all(kind))
  }

  /** The node's word on a lease. */
  verdict(stream: Stream, job: KitJob, verdict: Verdict): void {
    stream.send({ $case: 'leaseState', value: { leases: [this.#verdictOf(job, verdict)] } })
  }

  #verdictOf(job: KitJob, verdict = job.over ? Verdict.VERDICT_ABANDON : Verdict.VERDICT_HELD) {
    const held = verdict === Verdict.VERDICT_HELD
    const { id: jobId, fence, log } = job
    const words = { reason: held ? '' : 'fenced', cancel: undefined }
    return { jobId, fence, verdict, expiresInMs: held ? 60_000 : 0, logOffset: log.length, ...words }
  }

  received(stream: Stream, body: RunnerBody): void {
    if (body.$case === 'hello') this.#greet(stream)
    if (body.$case === 'ping') stream.send({ $case: 'pong', value: body.value })
    if (body.$case === 'drain') {
      const openLeases = this.jobs.filter((job) => !job.over).length
      stream.send({ $case: 'drainState', value: { revision: body.value.revision, openLeases } })
    }
    if (body.$case === 'leaseRenew') {
      const leases = this.jobs.filter((job) => body.value.leases.some((ref) => isOf(ref, job)))
      stream.send({ $case: 'leaseState', value: { leases: leases.map((job) => this.#verdictOf(job)) } })
    }
    const { value } = body as { value: Partial<Ref> }
    if (value.jobId === undefined) return
    const job = this.jobs.find((one) => isOf(value as Ref, one))
    if (job === undefined)
      this.broken(`${body.$case} names job ${value.jobId} with fence ${value.fence}, which was never offered`)
    else this.#about(stream, job, body)
  }

  #about(stream: Stream, job: KitJob, body: RunnerBody): void {
    const { id: jobId, fence } = job
    if (body.$case === 'accept') {
      if (body.value.offerId !== job.offerId)
        this.broken(`Accept names the offer ${body.value.offerId}, not ${job.offerId}`)
      if (job.accepting === 'wait') return
      this.verdict(stream, job, job.accepting === 'held' ? Verdict.VERDICT_HELD : Verdict.VERDICT_ABANDON)
    }
    if (body.$case === 'logChunk') this.#log(stream, job, body.value)
    if (body.$case === 'stateUpdate' && job.acksReports) {
      const outcome = job.over ? StateOutcome.STATE_OUTCOME_DUPLICATE : StateOutcome.STATE_OUTCOME_APPLIED
      const { revision } = body.value
      job.over = true
      stream.send({ $case: 'stateAck', value: { jobId, fence, revision, outcome, jobStatus: 'success' } })
    }
  }

  #log(stream: Stream, job: KitJob, { offset, data }: { offset: number; data: Buffer }): void {
    const end = offset + data.length
    if (data.length > 64 * 1024) this.broken(`a LogChunk has ${data.length} bytes, and 65536 are allowed`)
    if (end > job.log.length + job.window)
      this.broken(`the log goes to ${end} while ${job.log.length} is acknowledged and the window ${job.window}`)
    if (job.losing > 0) job.losing--
    else if (offset <= job.log.length && end > job.log.length)
      job.log = Buffer.concat([job.log, data.subarray(job.log.length - offset)])
    if (job.acksLog) this.ackLog(stream, job)
  }

  ackLog(stream: Stream, { id: jobId, fence, log, window }: KitJob): void {
    stream.send({ $case: 'logAck', value: { jobId, fence, durableOffset: log.length, windowBytes: window } })
  }

  #greet(stream: Stream): void {
    if (this.plays.refuses) {
      const value = {
        code: GoodbyeCode.GOODBYE_CODE_UNAUTHORIZED,
        reason: 'the token is not known',
        reconnectAfterMs: 0,
      }
      stream.send({ $case: 'goodbye', value })
      stream.end()
      return
    }
    const verdicts = stream.hello!.running.flatMap((ref) =>
      this.jobs.filter((job) => isOf(ref, job)).map((job) => this.#verdictOf(job)),
    )
    const limits = { maxMessageBytes: 1024 * 1024, maxLogChunkBytes: 64 * 1024, logWindowBytes: this.#window }
    const times = { pingIntervalMs: 20_000, leaseMs: 60_000, renewEveryMs: this.plays.renewEveryMs ?? 20_000 }
    const who = { protocol: 1, epoch: this.streams.length, node: 'conformance-kit', runnerId: 1 }
    const httpUrl = this.#door!.url.replace('grpc:', 'http:')
    stream.send({ $case: 'welcome', value: { ...who, ...limits, ...times, httpUrl, verdicts, protocolFeatures: [] } })
  }
}

const isOf = (ref: Ref, job: KitJob) => ref.jobId === job.id && ref.fence === job.fence

/** The runner itself: takes jobs, runs them, and ends in one of two ways. */
import os from 'node:os'
import type { Offer, Welcome } from '../gen/signalbox/runner/v1/runner.js'
import type { ExecutorRunner } from '../plugins/sdk.js'
import type { RunnerEvent } from './events.js'
import type { HttpClient } from './http.js'
import { shortToken, tokenDigest } from './identity.js'
import { type JobPayload, parsePayload } from './job/payload.js'
import type { JobReport } from './job/report.js'
import { type Slot, Slots } from './job/slots.js'
import { JobRun } from './job-run.js'
import { Lease, type LeaseOwner } from './lease.js'
import type { Link, LinkOwner } from './link.js'
import type { RunnerOptions } from './options.js'
import { messageOf, type RunnerError } from './runner-error.js'
import { listSpools, Spool } from './spool.js'
import type { WorkFolder } from './work-folder.js'

/**
 * What runs jobs between the link, which knows leases, and the jobs, which know their spools.
 *
 *   running -> draining -> closed       drain: no new job, the running ones end
 *       \---> stopping ------/          stop: the running ones are ended
 */
export class Runner implements LinkOwner {
  #state: 'running' | 'draining' | 'stopping' | 'closed' = 'running'
  readonly #jobs = new Map<string, RunningJob>()
  readonly #slots = new Slots()
  readonly #runner: ExecutorRunner
  readonly #host: ExecutorRunner
  #link: Link | undefined
  #httpUrl: string
  /** A job has been begun; with `once` there is no other. */
  #begun = false
  readonly done: Promise<void>
  #settle: { resolve: () => void; reject: (error: RunnerError) => void } | undefined
  #leaveTimer: NodeJS.Timeout | undefined
  /** Listens no longer to the places that it shares. */
  #forget: (() => void) | undefined

  constructor(
    private readonly options: RunnerOptions,
    private readonly folder: WorkFolder,
    private readonly systemId: string,
    private readonly http: HttpClient,
    /** Whether the executor's jobs share the host. */
    private readonly shared: boolean,
    httpUrl: string,
  ) {
    const { executor, host } = options.executor
    this.#runner = executor.runner as ExecutorRunner
    this.#host = host?.runner ?? this.#runner
    this.#httpUrl = httpUrl
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    // Whoever wants to know asks `done`; nobody has to.
    this.done.catch(() => undefined)
  }

  /** Starts to take jobs over this link, and to deliver what an earlier process has left. */
  async start(link: Link): Promise<void> {
    this.#link = link
    this.#forget = this.options.places?.onChange(() => link.want())
    await this.#recover()
    link.start()
  }

  credits(): number {
    if (this.#state !== 'running') return 0
    if (this.options.once === true && this.#begun) return 0
    const places = this.options.once === true ? 1 : this.options.concurrency
    return Math.max(0, Math.min(places - this.#jobs.size, this.options.places?.free ?? Number.POSITIVE_INFINITY))
  }

  offered(offer: Offer): Lease | { reason: string; message: string } {
    const { jobId, fence } = offer
    const answer = this.#consider(offer)
    if ('reason' in answer) {
      this.options.log.warn({ jobId, fence, reason: answer.reason }, `offer rejected: ${answer.message}`)
      this.#emit({ type: 'job.rejected', jobId, fence, reason: answer.reason })
    }
    return answer
  }

  connected(welcome: Welcome): void {
    if (welcome.httpUrl !== '') this.#httpUrl = welcome.httpUrl
    this.options.log.info({ node: welcome.node, runnerId: welcome.runnerId }, 'connected')
    this.#emit({ type: 'connected', node: welcome.node })
  }

  disconnected(reason: string, retryInMs: number): void {
    this.options.log.warn({ reason, retryInMs: Math.round(retryInMs) }, 'not connected')
    this.#emit({ type: 'disconnected', reason, retryInMs })
    this.#leaveIfDone()
  }

  drainAsked(reason: string): void {
    this.options.log.info({ reason }, 'the coordinator wants this runner to take no more jobs')
    this.drain().catch(this.#asEnd)
  }

  drainSettled(): void {
    this.#leaveIfDone()
  }

  ended(error: RunnerError | undefined): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    for (const job of this.#jobs.values()) job.run.stop({ cause: 'interrupted', graceMs: 0 })
    this.#close(error).catch(this.#asEnd)
  }

  /** No new job; resolves once the running ones have ended and were reported. Safe to repeat. */
  drain(): Promise<void> {
    if (this.#state === 'running') {
      this.#state = 'draining'
      this.#emit({ type: 'draining' })
      this.#link?.drain('the runner is draining')
      this.#leaveIfDone()
    }
    return this.done.catch(() => undefined)
  }

  /** Ends the running jobs as interrupted; resolves once that was reported, or could not be. Safe to repeat. */
  stop(): Promise<void> {
    if (this.#state === 'running' || this.#state === 'draining') {
      this.#state = 'stopping'
      this.#link?.drain('the runner is stopping')
      for (const job of this.#jobs.values()) job.run.stop({ cause: 'interrupted', graceMs: 0 })
      clearTimeout(this.#leaveTimer)
      this.#leaveTimer = undefined
      this.#leaveWithin(stopWithinMs)
      this.#leaveIfDone()
    }
    return this.done.catch(() => undefined)
  }

  /** Ends everything at once; what was not reported stays in the spool for the next start. Safe to repeat. */
  close(): Promise<void> {
    this.#link?.close()
    return this.done.catch(() => undefined)
  }

  #consider(offer: Offer): Lease | { reason: string; message: string } {
    if (this.#state !== 'running') return { reason: 'draining', message: 'this runner takes no more jobs' }
    if (this.credits() === 0) return { reason: 'no_credit', message: 'all places are taken' }
    let payload: JobPayload
    try {
      payload = parsePayload(offer.payload)
    } catch (error) {
      return { reason: 'unsupported', message: messageOf(error) }
    }
    let spool: Spool
    try {
      spool = this.#newSpool(offer)
    } catch (error) {
      return { reason: 'no_disk', message: messageOf(error) }
    }
    const slot = this.#slots.take(payload.job.projectId)
    try {
      return this.#newJob(payload, spool, slot)
    } catch (error) {
      slot.release()
      spool.remove()
      return { reason: 'unsupported', message: messageOf(error) }
    }
  }

  #newSpool({ jobId, fence, jobName, payload }: Offer): Spool {
    const lease = { jobId, fence, jobName, runner: tokenDigest(this.options.token) }
    return Spool.create(this.folder.spool, lease, payload, this.options.spoolCapBytes)
  }

  #newJob(payload: JobPayload, spool: Spool, slot: Slot): Lease {
    const { jobId, fence } = spool.lease
    const run = new JobRun({
      payload,
      spool,
      slot,
      executor: { name: this.options.executor.name, runner: this.#runner, host: this.#host, shared: this.shared },
      builds: this.folder.builds,
      runner: {
        name: this.options.name ?? os.hostname(),
        shortToken: shortToken(this.options.token),
        systemId: this.systemId,
      },
      http: this.http,
      httpUrl: () => this.#httpUrl,
      retryWaitMs: this.options.retryWaitMs ?? { first: 5_000, longest: 300_000 },
      awayMs: this.options.awayMs ?? 300_000,
      insteadOf: this.options.insteadOf ?? [],
      cacheDir: this.options.cacheDir,
      onStarted: (facts) => {
        lease.started(facts)
        this.#link?.wake()
        this.#emit({ type: 'job.started', jobId, fence, facts })
      },
      onScriptStopped: () => this.#link?.cancelStopped(lease),
    })
    const job: RunningJob = { run, slot, ended: undefined }
    const lease = new Lease(spool, this.#ownerOf(job, spool, payload))
    this.#jobs.set(spool.key, job)
    this.options.places?.take()
    return lease
  }

  /** The lease's side of a job. */
  #ownerOf(job: RunningJob, spool: Spool, { queue }: JobPayload): LeaseOwner {
    const { jobId, fence, jobName } = spool.lease
    return {
      held: () => {
        this.options.log.info({ jobId, fence, job: jobName }, 'job accepted')
        this.#emit({ type: 'job.accepted', jobId, fence, name: jobName, queue })
        this.#begun = true
        job.ended = this.#see(job, spool)
      },
      cancel: (mode, graceMs) => {
        this.options.log.info({ jobId, fence, mode }, 'job is being canceled')
        this.#emit({ type: 'job.canceling', jobId, fence, mode })
        if (mode === 'force') job.run.stop({ cause: 'canceled', graceMs: 0 })
        else job.run.cancel(graceMs || this.options.cancelGraceMs || defaultGraceMs)
      },
      lost: () => {
        this.options.log.error({ jobId, fence }, 'the lease could not be renewed: the job is stopped')
        job.run.stop({ cause: 'lease_lost', graceMs: 0 })
      },
      abandoned: (reason) => {
        this.options.log.warn({ jobId, fence, reason }, 'the job is not ours any more')
        this.#emit({ type: 'job.abandoned', jobId, fence, reason })
        job.run.stop({ cause: 'abandoned', graceMs: 0 })
        if (job.ended === undefined) this.#free(spool.key)
        const remove = () => spool.remove()
        Promise.resolve(job.ended)
          .then(remove)
          .catch((failure) => this.options.log.error({ jobId, error: messageOf(failure) }, 'cannot remove the spool'))
        this.#leaveIfDone()
      },
      reported: (outcome, status) => this.#reported(spool, outcome, status),
    }
  }

  /** Runs a job to its end, and gives its place free once the report had a chance to go first. */
  async #see(job: RunningJob, spool: Spool): Promise<void> {
    const { jobId, fence } = spool.lease
    const report = await job.run.run().catch((error): JobReport => {
      return { state: 'failed', failureReason: 'runner_system_failure', message: messageOf(error) }
    })
    const lease = this.#link?.leases.find((each) => each.spool === spool)
    this.#end(lease, report)
    this.options.log.info({ jobId, fence, ...report }, 'job ended')
    this.#emit({ type: 'job.finished', jobId, fence, report })
    this.#free(spool.key)
    if (this.options.once === true) this.drain().catch(this.#asEnd)
  }

  #end(lease: Lease | undefined, report: JobReport): void {
    if (lease === undefined || lease.gone) return
    try {
      lease.ended(report)
    } catch (error) {
      this.options.log.error({ jobId: lease.jobId, error: messageOf(error) }, 'cannot keep the final report')
    }
    this.#link?.wake()
  }

  #reported(spool: Spool, outcome: 'applied' | 'duplicate' | 'fenced', status: string): void {
    const { jobId, fence } = spool.lease
    this.options.log.info({ jobId, fence, outcome, status }, 'job reported')
    spool.remove()
    this.#emit({ type: 'job.reported', jobId, fence, outcome, status })
    this.#leaveIfDone()
  }

  #free(key: string): void {
    this.#jobs.get(key)?.slot.release()
    if (this.#jobs.delete(key)) this.options.places?.release()
    this.#link?.want()
    this.#leaveIfDone()
  }

  /**
   * Takes over what an earlier process of this runner has left. Its jobs are dead, or are ended now; their reports, the
   * rest of their logs and the sentence that says so are delivered like those of any other job.
   */
  async #recover(): Promise<void> {
    for (const folder of listSpools(this.folder.spool)) {
      const spool = Spool.restore(folder, this.options.spoolCapBytes)
      if (spool === undefined || spool.lease.runner !== tokenDigest(this.options.token)) {
        this.options.log.warn({ folder }, 'left alone: not a spooled job of this runner')
        spool?.close()
        continue
      }
      const { jobId, fence, session } = spool.lease
      for (const each of new Set([this.#runner, this.#host])) {
        await each.cleanUp({ session }).catch((error: unknown) => {
          this.options.log.warn({ jobId, fence, error: messageOf(error) }, 'cannot clean up after an earlier process')
        })
      }
      if (spool.report === undefined) {
        const message = 'the runner process ended while the job ran'
        spool.append(Buffer.from(`\n\x1b[31;1mERROR: Job failed (system failure): ${message}\n\x1b[0;m`))
        spool.saveReport({ state: 'failed', failureReason: 'runner_system_failure', message })
      }
      this.options.log.info({ jobId, fence }, 'delivering the report of an earlier process')
      this.#link?.add(
        new Lease(spool, {
          held: () => undefined,
          cancel: () => undefined,
          lost: () => undefined,
          abandoned: (reason) => {
            spool.remove()
            this.#emit({ type: 'job.abandoned', jobId, fence, reason })
          },
          reported: (outcome, status) => this.#reported(spool, outcome, status),
        }),
      )
    }
  }

  /** Closes the link once no job runs and nothing is left to be said. */
  #leaveIfDone(): void {
    if ((this.#state !== 'draining' && this.#state !== 'stopping') || this.#link === undefined) return
    if ([...this.#jobs.values()].some((job) => job.ended !== undefined)) return
    const open = this.#jobs.size > 0 || this.#link.leases.some((lease) => lease.finished)
    // The coordinator has to agree, or an offer could be on its way; one that is not there has none on its way.
    if (!open && (this.#link.settled || !this.#link.live)) this.#link.close()
    else this.#leaveWithin(deliverWithinMs)
  }

  #leaveWithin(ms: number): void {
    this.#leaveTimer ??= setTimeout(() => this.#link?.close(), ms)
  }

  async #close(error: RunnerError | undefined): Promise<void> {
    clearTimeout(this.#leaveTimer)
    this.#forget?.()
    await Promise.all([...this.#jobs.values()].flatMap((job) => job.ended ?? []))
    for (const lease of this.#link?.leases ?? []) lease.spool.close()
    this.http.close()
    this.folder.release()
    this.#emit({ type: 'closed' })
    if (error === undefined) this.#settle?.resolve()
    else this.#settle?.reject(error)
  }

  #emit(event: RunnerEvent): void {
    try {
      this.options.onEvent?.(event)
    } catch (error) {
      this.options.log.error({ event: event.type, error: messageOf(error) }, 'who listens to the runner has failed')
    }
  }

  /** What leaving fails with ends the runner too. */
  #asEnd = (error: unknown): void => {
    this.#settle?.reject(error as RunnerError)
  }
}

interface RunningJob {
  run: JobRun
  slot: Slot
  /** Resolves when the job has ended; set once it has begun. */
  ended: Promise<void> | undefined
}

/** Where the coordinator names no grace. */
const defaultGraceMs = 30_000
/** How long a runner that leaves tries to deliver its reports; the rest waits in the spool. */
const deliverWithinMs = 30_000
/** The same for one that is being stopped, and for the end of its jobs. */
const stopWithinMs = 10_000

/** Runs one job from its payload to its report. */
import fs from 'node:fs'
import { program } from './identity.js'
import { refusal, stopFailure, toReport } from './job/conclude.js'
import type { JobContext } from './job/context.js'
import { removeFolder } from './job/folders.js'
import { jobVariables } from './job/job-variables.js'
import { layOut } from './job/lay-out.js'
import { JobLog } from './job/log.js'
import type { JobPayload } from './job/payload.js'
import type { Failure, JobReport } from './job/report.js'
import { readSettings } from './job/settings.js'
import type { Slot } from './job/slots.js'
import { downloadArtifacts, uploadArtifacts } from './job/stage-artifacts.js'
import { restoreCaches, saveCaches } from './job/stage-caches.js'
import { prepare } from './job/stage-prepare.js'
import { runScripts } from './job/stage-scripts.js'
import { getSources } from './job/stage-sources.js'
import { executorDeadlineMs, Stages } from './job/stages.js'
import { type Stop, StopLever } from './job/stop.js'
import { maxTimerMs, timeoutGraceMs, within } from './job/time.js'
import type { Variables } from './job/variables.js'
import { messageOf } from './runner-error.js'
import type { Spool } from './spool.js'

export interface JobRunOptions
  extends Pick<JobContext, 'payload' | 'http' | 'httpUrl' | 'retryWaitMs' | 'awayMs' | 'insteadOf' | 'cacheDir'> {
  executor: Omit<JobContext['executor'], 'apart'>
  spool: Spool
  slot: Slot
  builds: string
  runner: { name: string; shortToken: string; systemId: string }
  onStarted: (facts: Record<string, string>) => void
  /** A script that was to be stopped is dead, with all that it had started. */
  onScriptStopped: () => void
}

/**
 * The supervisor of one job: from the payload to the final report, whatever happens to the connection meanwhile. It
 * knows the job's spool and nothing of streams.
 *
 * Phases: `before` the script (executor, sources, artifacts of other jobs), `script`, `after` (after_script, uploads).
 * A graceful cancel ends the whole job in the first, the script only in the second, and comes too late in the third.
 * A forced one, the job's timeout, a lost lease and the end of the runner stop the job in any phase.
 */
export class JobRun {
  #phase: 'before' | 'script' | 'after' | 'ended' = 'before'
  readonly #context: JobContext
  readonly #refusal: Failure | undefined
  /** The executor has cleaned up. */
  #left = false

  constructor(private readonly options: JobRunOptions) {
    const { payload, spool, slot, runner, executor } = options
    const { folders, apart, hasFolder } = layOut(options)
    const variables = jobVariables(options, folders)
    const settings = readSettings(payload, variables)
    const log = new JobLog(spool, {
      secrets: secretsOf(payload, variables),
      tokenPrefixes: payload.features.tokenMaskPrefixes,
      sections: payload.features.traceSections,
    })
    this.#refusal = refusal(payload, settings, folders.inside.builds, hasFolder)
    this.#context = {
      ...options,
      session: spool.lease.session,
      place: { shortToken: runner.shortToken, slot: slot.projectId },
      // Scripts that find their folders where they are see what this process sees.
      executor: { ...executor, apart },
      folders,
      settings,
      variables,
      log,
      stop: new StopLever(),
    }
  }

  /** Runs the job to its end. Never rejects: what goes wrong is in the report. */
  async run(): Promise<JobReport> {
    const { payload, stop } = this.#context
    const overrun = () => this.stop({ cause: 'timeout', graceMs: timeoutGraceMs })
    const timer = setTimeout(overrun, Math.min(payload.timeoutMs, maxTimerMs))
    let failure: Failure | undefined
    try {
      this.#header()
      failure = this.#refusal
      if (failure === undefined && !stop.everything.aborted) failure = await this.#job()
    } catch (error) {
      failure = { reason: 'runner_system_failure', message: messageOf(error) }
    } finally {
      clearTimeout(timer)
      this.#phase = 'ended'
    }
    return this.#conclude(stop.stopped === undefined ? failure : stopFailure(stop.stopped.cause, payload.timeoutMs))
  }

  /** Asks the job to end in good order. Later calls change nothing. */
  cancel(graceMs: number): void {
    if (this.#phase === 'before') this.stop({ cause: 'canceled', graceMs })
    if (this.#phase === 'script') this.#context.stop.stopScript({ cause: 'canceled', graceMs })
  }

  /** Ends the job in whatever phase it is. */
  stop(stop: Stop): void {
    this.#context.log.stopWaiting()
    this.#context.stop.stopEverything(stop)
  }

  async #job(): Promise<Failure | undefined> {
    const { folders, executor, session, log } = this.#context
    fs.mkdirSync(folders.build, { recursive: true })
    removeFolder(folders.temp)
    fs.mkdirSync(folders.temp, { recursive: true, mode: 0o700 })
    if (executor.apart) {
      // Whoever the job is in its container; on this host nobody else comes as far.
      fs.chmodSync(folders.builds, 0o700)
      fs.chmodSync(folders.temp, 0o777)
      if (!folders.kept) fs.chmodSync(folders.build, 0o777)
    }
    try {
      return await this.#stages()
    } finally {
      await this.#leaveExecutor()
      if (executor.apart) await within(executorDeadlineMs, executor.host.cleanUp({ session }))
      try {
        removeFolder(folders.temp)
      } catch (error) {
        // The next job of this place will say it again, where it matters.
        log.warning(`cannot remove ${folders.temp}: ${messageOf(error)}`)
      }
    }
  }

  async #stages(): Promise<Failure | undefined> {
    const context = this.#context
    const { stop } = context
    const prepared = await prepare(context, this.options.onStarted)
    if (prepared === undefined) return undefined
    if ('failure' in prepared) return prepared.failure
    const stages = new Stages(context, prepared, this.options.onScriptStopped)
    let failure = await getSources(context, stages)
    failure ??= await restoreCaches(context)
    failure ??= await downloadArtifacts(context)
    if (failure === undefined && !stop.everything.aborted) {
      this.#phase = 'script'
      failure = await runScripts(context, stages, () => {
        this.#phase = 'after'
      })
    }
    this.#phase = 'after'
    // What a container has left running must not change what is read now.
    if (context.executor.apart) await this.#leaveExecutor()
    await saveCaches(context, failure === undefined)
    const upload = await uploadArtifacts(context, failure === undefined)
    if (!stop.everything.aborted) await this.#cleanUp()
    return failure ?? upload
  }

  async #leaveExecutor(): Promise<void> {
    const { executor, session, log } = this.#context
    if (this.#left) return
    this.#left = true
    await within(
      executorDeadlineMs,
      executor.runner.cleanUp({ session }).catch((error: unknown) => {
        log.warning(`cannot clean up after the job: ${messageOf(error)}`)
      }),
    )
  }

  async #cleanUp(): Promise<void> {
    const { log, variables } = this.#context
    await log.section('cleanup_file_variables', 'Cleaning up project directory and file based variables', async () => {
      for (const file of variables.files()) fs.rmSync(file.path, { force: true })
    })
  }

  #header(): void {
    const { runner } = this.options
    const { log } = this.#context
    const revision = program.revision === '' ? '' : ` (${program.revision})`
    log.plain(`Running with ${program.name} ${program.version}${revision}`)
    log.plain(`  on ${runner.name} ${runner.shortToken}, system ID: ${runner.systemId}`)
  }

  #conclude(failure: Failure | undefined): JobReport {
    const { log } = this.#context
    try {
      log.flush()
      if (failure === undefined) log.notice('Job succeeded')
      else {
        const system = failure.reason === 'runner_system_failure' ? ' (system failure)' : ''
        log.error(`Job failed${system}: ${failure.message}`)
      }
      log.flush()
    } catch (error) {
      // The disk is full, say. The report is still worth sending.
      failure ??= { reason: 'runner_system_failure', message: messageOf(error) }
    }
    return toReport(failure)
  }
}

/** What must not be seen in the log: also what a failing command might show of the addresses and tokens it was given. */
function secretsOf(payload: JobPayload, variables: Variables): string[] {
  const repository = /^[a-z]+:\/\/[^:@/]*:([^@/]+)@/.exec(payload.git.repoUrl)?.[1] ?? ''
  return [...variables.masked(), payload.token, repository, ...payload.dependencies.map((each) => each.token)]
}

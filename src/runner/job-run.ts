import fs from 'node:fs'
import os from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExecutorRunner, PrepareResult } from '../plugins/sdk.js'
import type { HttpClient } from './http.js'
import { program } from './identity.js'
import { formatDuration } from './job/duration.js'
import { customFolder, type JobFolders, projectFolder } from './job/folders.js'
import { jobVariables } from './job/job-variables.js'
import { JobLog } from './job/log.js'
import type { ArtifactSpec, JobPayload } from './job/payload.js'
import type { Failure, JobReport } from './job/report.js'
import { userLines } from './job/script.js'
import { type JobSettings, readSettings } from './job/settings.js'
import type { Slot } from './job/slots.js'
import {
  clearWorktreeScript,
  removeFetchFiles,
  sourcesEnvironment,
  sourcesScript,
  writeGitFiles,
} from './job/sources.js'
import { envFile, executorDeadlineMs, Stages } from './job/stages.js'
import { type Stop, StopLever, stopOf } from './job/stop.js'
import type { Variables } from './job/variables.js'
import { messageOf } from './runner-error.js'
import type { Spool } from './spool.js'

export interface JobRunOptions {
  payload: JobPayload
  spool: Spool
  executor: { name: string; runner: ExecutorRunner }
  slot: Slot
  builds: string
  runner: { name: string; shortToken: string; systemId: string }
  http: HttpClient
  /** The coordinator's HTTP address at this moment, for git and artifacts. */
  httpUrl: () => string
  /** Between attempts of a stage: the first wait and the longest, in milliseconds. */
  retryWaitMs: { first: number; longest: number }
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
  readonly #stop = new StopLever()
  #phase: 'before' | 'script' | 'after' | 'ended' = 'before'
  readonly #log: JobLog
  readonly #variables: Variables
  readonly #settings: JobSettings
  readonly #folders: JobFolders | undefined

  constructor(private readonly options: JobRunOptions) {
    const { payload, slot, builds, runner } = options
    const standard = projectFolder(builds, runner.shortToken, slot.projectId, payload)
    const draft = jobVariables(options, { builds, build: standard, temp: `${standard}.tmp` })
    const { clonePath, strategy } = readSettings(payload, draft)
    const folder = clonePath === '' ? standard : customFolder(builds, clonePath)
    const build = strategy === 'empty' && folder !== undefined ? `${folder}-empty` : folder
    this.#folders = build === undefined ? undefined : { builds, build, temp: `${build}.tmp` }
    this.#variables = this.#folders === undefined ? draft : jobVariables(options, this.#folders)
    this.#settings = readSettings(payload, this.#variables)
    this.#log = new JobLog(options.spool, {
      secrets: [...this.#variables.masked(), payload.token, ...payload.dependencies.map((each) => each.token)],
      tokenPrefixes: payload.features.tokenMaskPrefixes,
      sections: payload.features.traceSections,
    })
  }

  /** Runs the job to its end. Never rejects: what goes wrong is in the report. */
  async run(): Promise<JobReport> {
    const { payload } = this.options
    const timer = setTimeout(
      () => this.stop({ cause: 'timeout', graceMs: timeoutGraceMs }),
      Math.min(payload.timeoutMs, maxTimerMs),
    )
    let failure: Failure | undefined
    try {
      this.#header()
      failure = await this.#job()
    } catch (error) {
      failure = { reason: 'runner_system_failure', message: messageOf(error) }
    } finally {
      clearTimeout(timer)
      this.#phase = 'ended'
    }
    return this.#conclude(this.#stop.stopped === undefined ? failure : this.#stopFailure(this.#stop.stopped))
  }

  /** Asks the job to end in good order. Later calls change nothing. */
  cancel(graceMs: number): void {
    if (this.#phase === 'before') this.stop({ cause: 'canceled', graceMs })
    if (this.#phase === 'script') this.#stop.stopScript({ cause: 'canceled', graceMs })
  }

  /** Ends the job in whatever phase it is. */
  stop(stop: Stop): void {
    this.#log.stopWaiting()
    this.#stop.stopEverything(stop)
  }

  async #job(): Promise<Failure | undefined> {
    const refusal = this.#refusal()
    if (refusal !== undefined || this.#stop.everything.aborted) return refusal
    const folders = this.#folders as JobFolders
    fs.mkdirSync(folders.build, { recursive: true })
    fs.rmSync(folders.temp, { recursive: true, force: true })
    fs.mkdirSync(folders.temp, { recursive: true, mode: 0o700 })
    const { executor, spool } = this.options
    try {
      const prepared = await this.#prepare(folders)
      if (prepared === undefined) return undefined
      return await this.#stages(folders, prepared)
    } finally {
      await Promise.race([
        executor.runner.cleanUp({ session: spool.lease.session }).catch(() => undefined),
        sleep(executorDeadlineMs, undefined, { ref: false }),
      ])
      fs.rmSync(folders.temp, { recursive: true, force: true })
    }
  }

  /** What this runner cannot run at all. */
  #refusal(): Failure | undefined {
    const { payload } = this.options
    const refuse = (message: string): Failure => ({ reason: 'runner_configuration_error', message })
    if (payload.hasRunSteps) return refuse('`run:` steps are not supported by this runner')
    if (payload.inputs > 0) return refuse('job inputs are not supported by this runner')
    if (this.#folders === undefined) {
      const { clonePath } = this.#settings
      return refuse(`the GIT_CLONE_PATH=${JSON.stringify(clonePath)} has to be within ${this.options.builds}`)
    }
    if (this.#needsSha() && payload.git.sha.length < 8) return refuse('the commit id of the job is missing')
    return undefined
  }

  #needsSha(): boolean {
    return this.#settings.checkout
  }

  /** @returns nothing if the job was stopped meanwhile. */
  async #prepare(folders: JobFolders): Promise<PrepareResult | undefined> {
    const { executor, payload, spool, onStarted } = this.options
    const { name, runner } = executor
    const prepared = await this.#log.section('prepare_executor', `Preparing the "${name}" executor`, async () => {
      const image =
        payload.image === undefined || payload.image.name === '' ? {} : { image: this.#image(payload.image) }
      const call = runner.prepare({
        session: spool.lease.session,
        job: {
          id: payload.id,
          name: payload.job.name,
          projectPath: payload.job.projectPath,
          ...image,
          services: payload.services.map((service) => this.#image(service)),
        },
        folders: { build: folders.build, temp: folders.temp },
      })
      const result = await Promise.race([call, stopped(this.#stop.everything)])
      if (result !== undefined) this.#log.plain(`Using ${capitalize(name)} (${result.shell}) executor...`)
      return result
    })
    if (prepared === undefined) return undefined
    onStarted({ executor: name, ...prepared.facts })
    await this.#log.section('prepare_script', 'Preparing environment', async () => {
      for (const warning of this.#settings.warnings) this.#log.warning(warning)
      for (const file of this.#variables.files()) fs.writeFileSync(file.path, file.content, { mode: 0o600 })
      this.#log.plain(`Running on ${prepared.facts.host ?? os.hostname()}...`)
    })
    return prepared
  }

  async #stages(folders: JobFolders, prepared: PrepareResult): Promise<Failure | undefined> {
    const { executor, spool } = this.options
    const stages = new Stages({
      executor: executor.runner,
      session: spool.lease.session,
      shell: prepared.shell,
      folders,
      log: this.#log,
      trace: this.#settings.trace,
      onStopped: this.options.onScriptStopped,
    })
    let failure = await this.#getSources(stages, folders)
    // Caches are restored here.
    failure ??= await this.#downloadArtifacts(folders)
    if (failure === undefined) failure = await this.#userScripts(stages)
    this.#phase = 'after'
    // Caches are saved here.
    const upload = await this.#uploadArtifacts(folders, failure === undefined)
    if (!this.#stop.everything.aborted) await this.#cleanUp()
    return failure ?? upload
  }

  async #getSources(stages: Stages, folders: JobFolders): Promise<Failure | undefined> {
    const { payload, httpUrl } = this.options
    const env = { ...this.#environment('running'), ...sourcesEnvironment }
    const script = sourcesScript(payload, this.#settings, folders)
    return this.#attempts(this.#settings.sourcesAttempts, async (attempt) => {
      const signals = [this.#stop.everything]
      writeGitFiles(payload, folders, httpUrl())
      if (attempt === 1) {
        await this.#log.section(
          'clear_worktree',
          'Deleting all tracked and untracked files due to source fetch failure',
          () => stages.run('clear_worktree', clearWorktreeScript(folders), env, signals, folders.builds),
        )
      }
      return this.#log
        .section('get_sources', 'Getting source from Git repository', () =>
          stages.run('get_sources', script, env, signals, folders.builds),
        )
        .finally(() => removeFetchFiles(folders))
    })
  }

  async #downloadArtifacts(folders: JobFolders): Promise<Failure | undefined> {
    // Without a file name there is no archive: GitLab Runner, `shells/abstract.go` (jobArtifacts).
    const dependencies = this.options.payload.dependencies.filter((each) => each.filename !== '')
    if (dependencies.length === 0 || this.#stop.everything.aborted) return undefined
    const { downloadArtifact } = await import('./artifacts/download.js')
    return this.#attempts(this.#settings.downloadAttempts, () =>
      this.#log.section('download_artifacts', 'Downloading artifacts', async () => {
        for (const dependency of dependencies) {
          const problem = await downloadArtifact(dependency, folders, this.#artifactDoor(), this.#log)
          if (problem !== undefined) return artifactFailure(problem)
        }
        return undefined
      }),
    )
  }

  /** Uploads what is to be kept of a job that ended so; the first that fails ends it. */
  async #uploadArtifacts(folders: JobFolders, success: boolean): Promise<Failure | undefined> {
    const wanted = success ? ['on_success', 'always'] : ['on_failure', 'always']
    const artifacts = this.options.payload.artifacts.filter(
      (each) => wanted.includes(each.when) && (each.paths.length > 0 || each.untracked),
    )
    if (artifacts.length === 0 || this.#stop.everything.aborted) return undefined
    const { uploadArtifact } = await import('./artifacts/upload.js')
    const stage = `upload_artifacts_on_${success ? 'success' : 'failure'}`
    const title = `Uploading artifacts for ${success ? 'successful' : 'failed'} job`
    return this.#log.section(stage, title, async () => {
      for (const artifact of artifacts) {
        const problem = await uploadArtifact(this.#expand(artifact), folders.build, this.#artifactDoor(), this.#log)
        if (problem !== undefined) return artifactFailure(problem)
      }
      return undefined
    })
  }

  #artifactDoor() {
    const { payload, http, httpUrl, retryWaitMs } = this.options
    const signal = this.#stop.everything
    return { http, url: httpUrl(), jobId: payload.id, token: payload.token, signal, pauseMs: retryWaitMs.first }
  }

  #expand(artifact: ArtifactSpec): ArtifactSpec {
    const expand = (text: string) => this.#variables.expand(text)
    return {
      ...artifact,
      name: expand(artifact.name),
      paths: artifact.paths.map(expand),
      exclude: artifact.exclude.map(expand),
    }
  }

  async #userScripts(stages: Stages): Promise<Failure | undefined> {
    if (this.#stop.everything.aborted) return undefined
    this.#phase = 'script'
    const { payload } = this.options
    const limit = deadline(this.#settings.scriptTimeoutMs)
    const signals = [this.#stop.everything, this.#stop.script, limit.signal]
    let failure: Failure | undefined
    let status = 'success'
    for (const step of payload.steps.filter((each) => each.name !== 'after_script')) {
      const stage = `step_${step.name.toLowerCase()}`
      const lines = step.name === 'release' ? step.script.map((line) => this.#variables.expand(line)) : step.script
      failure = await this.#log.section(stage, `Executing "${stage}" stage of the job script`, () =>
        stages.run(stage, userLines(lines), this.#environment('running'), signals),
      )
      if (failure !== undefined) break
    }
    limit.clear()
    this.#phase = 'after'
    if (this.#stop.everything.aborted) return failure
    if (failure !== undefined) status = 'failed'
    if (this.#stop.script.aborted) {
      this.#log.warning('script canceled externally (UI, API)')
      failure = this.#stopFailure(stopOf(this.#stop.script) as Stop)
      status = 'canceled'
    } else if (limit.signal.aborted) {
      const message = `script took longer than ${formatDuration(this.#settings.scriptTimeoutMs)} (RUNNER_SCRIPT_TIMEOUT)`
      failure = { reason: 'job_execution_timeout', message }
      status = 'timedout'
    }
    const after = await this.#afterScript(stages, status)
    return failure ?? after
  }

  async #afterScript(stages: Stages, status: string): Promise<Failure | undefined> {
    const script = this.options.payload.steps.find((each) => each.name === 'after_script')?.script ?? []
    if (script.length === 0) return undefined
    const limit = deadline(this.#settings.afterScriptTimeoutMs)
    const failure = await this.#log.section('after_script', 'Running after_script', async () => {
      this.#log.notice('Running after script...')
      const signals = [this.#stop.everything, limit.signal]
      return stages.run('after_script', userLines(script), this.#environment(status), signals)
    })
    limit.clear()
    if (failure === undefined || this.#stop.everything.aborted) return undefined
    if (!this.#settings.ignoreAfterScriptErrors) return failure
    const why = limit.signal.aborted ? 'it took too long' : failure.message
    this.#log.warning(`after_script failed, but job will continue unaffected: ${why}`)
    return undefined
  }

  async #cleanUp(): Promise<void> {
    await this.#log.section(
      'cleanup_file_variables',
      'Cleaning up project directory and file based variables',
      async () => {
        for (const file of this.#variables.files()) fs.rmSync(file.path, { force: true })
      },
    )
  }

  /** Tries a stage again, with growing waits between, until it succeeds or the attempts are used up. */
  async #attempts(
    attempts: number,
    body: (attempt: number) => Promise<Failure | undefined>,
  ): Promise<Failure | undefined> {
    const { first, longest } = this.options.retryWaitMs
    for (let attempt = 0; ; attempt++) {
      const failure = await body(attempt)
      if (failure === undefined || this.#stop.everything.aborted || attempt + 1 >= attempts) return failure
      const waitMs = Math.min(first * 2 ** attempt, longest)
      this.#log.warning(`${failure.message}; trying again in ${formatDuration(waitMs)}`)
      await Promise.race([sleep(waitMs, undefined, { ref: false }), stopped(this.#stop.everything)])
    }
  }

  #environment(status: string): Record<string, string> {
    return {
      ...this.#variables.environment(),
      CI_JOB_STATUS: status,
      GITLAB_ENV: envFile(this.#folders as JobFolders),
    }
  }

  #image(image: NonNullable<JobPayload['image']>) {
    return {
      name: this.#variables.expand(image.name),
      ...(image.alias === '' ? {} : { alias: this.#variables.expand(image.alias) }),
      ...(image.command.length === 0 ? {} : { command: image.command }),
      ...(image.entrypoint.length === 0 ? {} : { entrypoint: image.entrypoint }),
      ...(image.pullPolicy.length === 0 ? {} : { pullPolicy: image.pullPolicy }),
    }
  }

  #header(): void {
    const { runner } = this.options
    const revision = program.revision === '' ? '' : ` (${program.revision})`
    this.#log.plain(`Running with ${program.name} ${program.version}${revision}`)
    this.#log.plain(`  on ${runner.name} ${runner.shortToken}, system ID: ${runner.systemId}`)
  }

  #stopFailure({ cause }: Stop): Failure {
    switch (cause) {
      case 'canceled':
        return { reason: 'job_canceled', message: 'canceled' }
      case 'timeout':
        return {
          reason: 'job_execution_timeout',
          message: `execution took longer than ${formatDuration(this.options.payload.timeoutMs)} seconds`,
        }
      case 'interrupted':
        return { reason: 'runner_interrupted', message: 'aborted: the runner was stopped' }
      case 'lease_lost':
        return {
          reason: 'runner_system_failure',
          message: 'the lease on this job could not be renewed in time, so the job was stopped',
        }
      case 'abandoned':
        return { reason: 'runner_system_failure', message: 'the job was given up' }
    }
  }

  #conclude(failure: Failure | undefined): JobReport {
    try {
      this.#log.flush()
      if (failure === undefined) this.#log.notice('Job succeeded')
      else {
        const system = failure.reason === 'runner_system_failure' ? ' (system failure)' : ''
        this.#log.error(`Job failed${system}: ${failure.message}`)
      }
      this.#log.flush()
    } catch (error) {
      // The disk is full, say. The report is still worth sending.
      failure ??= { reason: 'runner_system_failure', message: messageOf(error) }
    }
    if (failure === undefined) return { state: 'success', failureReason: '', message: '' }
    const exitCode = failure.exitCode === undefined ? {} : { exitCode: failure.exitCode }
    return { state: 'failed', failureReason: failure.reason, message: failure.message, ...exitCode }
  }
}

/** Source: GitLab Runner, whose helper ends with 1 then. */
function artifactFailure(message: string): Failure {
  return { reason: 'script_failure', message, exitCode: 1 }
}

/** What a script that has overrun its time may still take to end. */
const timeoutGraceMs = 10_000

// Node: a timer of more milliseconds fires at once.
const maxTimerMs = 2 ** 31 - 1

/** A signal that is pulled after so many milliseconds; 0 is never. */
function deadline(ms: number): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController()
  if (ms <= 0) return { signal: controller.signal, clear: () => undefined }
  const stop: Stop = { cause: 'timeout', graceMs: timeoutGraceMs }
  const timer = setTimeout(() => controller.abort(stop), Math.min(ms, maxTimerMs))
  return { signal: controller.signal, clear: () => clearTimeout(timer) }
}

function stopped(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined)
    signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}

function capitalize(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}

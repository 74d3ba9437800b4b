/** Runs jobs by the programs of a driver: config and prepare once, run for each script, cleanup at the end. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type {
  CancelInput,
  ExecutorRunner,
  PluginLogger,
  PrepareInput,
  PrepareResult,
  RunInput,
  RunResult,
} from '../../sdk.js'
import { type DriverCall, type DriverEnd, runDriver } from './driver.js'
import {
  customEnv,
  type DriverConfig,
  driverCodes,
  jobResponse,
  readDriverConfig,
  selfContained,
} from './driver-words.js'
import type { CustomOptions } from './index.js'

interface Session {
  input: PrepareInput
  /** The driver's own folder: scripts, exit code, the job's description. */
  folder: string
  config: DriverConfig
  /** Pulled when what runs is to end. */
  stop: AbortController
  graceMs: number
  running: Promise<unknown> | undefined
}

type Output = (chunk: Uint8Array) => Promise<void>

/** Attempts at making ready, and the pause between them. Source: GitLab Runner, `common/const.go`. */
const defaultPatience = { attempts: 3, pauseMs: 3_000 }

const longestConfigBytes = 1024 * 1024

/** An executor whose work is done by others. */
export class CustomRunner implements ExecutorRunner {
  readonly #sessions = new Map<string, Session>()

  constructor(
    private readonly options: CustomOptions,
    private readonly env: NodeJS.ProcessEnv,
    private readonly logger: Pick<PluginLogger, 'debug' | 'warn'>,
    private readonly patience = defaultPatience,
  ) {}

  async prepare(input: PrepareInput, output: Output): Promise<PrepareResult> {
    if (this.options.run_exec === undefined) return refused('the custom executor has no run_exec')
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-custom-'))
    fs.writeFileSync(path.join(folder, 'response.json'), JSON.stringify(jobResponse(input)), { mode: 0o600 })
    const stop = new AbortController()
    const session: Session = { input, folder, config: readDriverConfig(''), stop, graceMs: 0, running: undefined }
    this.#sessions.set(input.session, session)
    for (let left = this.patience.attempts; ; left--) {
      try {
        session.running = this.#makeReady(session, output)
        await session.running
        break
      } catch (error) {
        if (error instanceof BuildFailure) return refused(error.message)
        if (left <= 1 || stop.signal.aborted) throw error
        await output(
          Buffer.from(
            `WARNING: Preparation failed: ${(error as Error).message}\nWill be retried in ${this.patience.pauseMs / 1000}s ...\n`,
          ),
        )
        await sleep(this.patience.pauseMs)
      } finally {
        session.running = undefined
      }
    }
    const { hostname, driver, shell } = session.config
    if (driver !== undefined) await output(Buffer.from(`Using the driver ${driver} ...\n`))
    return {
      facts: { shell, ...(driver === undefined ? {} : { driver }), ...(hostname ? { host: hostname } : {}) },
      shell,
    }
  }

  async run({ session: name, stage, script, env, cwd }: RunInput, output: Output): Promise<RunResult> {
    const session = this.#sessions.get(name)
    if (session === undefined) throw new Error(`session ${name} is not prepared`)
    // The name that drivers know it by.
    const known = stage === 'step_script' ? 'build_script' : stage
    const file = path.join(fs.mkdtempSync(path.join(session.folder, 'script-')), 'script.sh')
    fs.writeFileSync(file, selfContained(script, cwd, env, session.config.shell), { mode: 0o700 })
    const { run_exec: program, run_args: args } = this.options
    const running = this.#call(session, {
      file: program!,
      args: [...args, file, known],
      env,
      stdout: output,
      stderr: output,
    })
    session.running = running
    try {
      const end = await running
      if (session.stop.signal.aborted) return { exitCode: null, signal: end.signal ?? 'SIGTERM' }
      return end.exitCode === null ? end : { exitCode: resultOf(end.exitCode, exitCodeFile(session)), signal: null }
    } finally {
      session.running = undefined
      session.stop = new AbortController()
      fs.rmSync(path.dirname(file), { recursive: true, force: true })
    }
  }

  async cancel({ session: name, graceMs }: CancelInput): Promise<void> {
    const session = this.#sessions.get(name)
    if (session?.running === undefined) return
    session.graceMs = Math.min(graceMs, this.options.graceful_kill_timeout * 1000)
    session.stop.abort()
    await session.running.catch(() => undefined)
  }

  async cleanUp({ session: name }: { session: string }): Promise<void> {
    const session = this.#sessions.get(name)
    if (session === undefined) return
    this.#sessions.delete(name)
    try {
      const { cleanup_exec: file, cleanup_args: args, cleanup_exec_timeout: timeout } = this.options
      if (file === undefined) return
      const say = (level: 'debug' | 'warn') => (chunk: Buffer) =>
        this.logger[level]({ job: session.input.job.id }, String(chunk).trimEnd())
      session.stop = new AbortController()
      const end = await this.#timed(session, timeout, { file, args, stdout: say('debug'), stderr: say('warn') })
      if (end.exitCode !== 0)
        this.logger.warn({ job: session.input.job.id, code: end.exitCode }, 'cleanup_exec has failed')
    } finally {
      fs.rmSync(session.folder, { recursive: true, force: true })
    }
  }

  async close(): Promise<void> {
    const names = [...this.#sessions.keys()]
    await Promise.all(names.map((session) => this.cancel({ session, graceMs: 0 })))
    await Promise.all(names.map((session) => this.cleanUp({ session }).catch(() => undefined)))
  }

  async #makeReady(session: Session, output: Output): Promise<void> {
    const { config_exec: config, prepare_exec: prepare } = this.options
    if (config !== undefined) {
      const chunks: Buffer[] = []
      let bytes = 0
      const stdout = (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > longestConfigBytes) throw new Error('config_exec prints more than a configuration')
        chunks.push(chunk)
      }
      const call = { file: config, args: this.options.config_args, stdout, stderr: output }
      check('config_exec', await this.#timed(session, this.options.config_exec_timeout, call), exitCodeFile(session))
      session.config = readDriverConfig(Buffer.concat(chunks).toString())
      for (const key of session.config.ignored) {
        await output(Buffer.from(`WARNING: ${key} of config_exec is not followed: the runner chooses the folders\n`))
      }
    }
    if (prepare === undefined) return
    const call = { file: prepare, args: this.options.prepare_args, stdout: output, stderr: output }
    check('prepare_exec', await this.#timed(session, this.options.prepare_exec_timeout, call), exitCodeFile(session))
  }

  /** The same, not for longer than so many seconds. */
  async #timed(
    session: Session,
    seconds: number,
    call: Pick<DriverCall, 'file' | 'args' | 'stdout' | 'stderr'>,
  ): Promise<DriverEnd> {
    const timer = setTimeout(
      () => {
        session.graceMs = this.options.graceful_kill_timeout * 1000
        session.stop.abort()
      },
      Math.min(seconds * 1000, 2 ** 31 - 1),
    )
    try {
      return await this.#call(session, { ...call, env: session.input.job.variables })
    } finally {
      clearTimeout(timer)
    }
  }

  #call(
    session: Session,
    { env, ...call }: Pick<DriverCall, 'file' | 'args' | 'stdout' | 'stderr' | 'env'>,
  ): Promise<DriverEnd> {
    const { folder, config, input, stop } = session
    fs.rmSync(exitCodeFile(session), { force: true })
    // Everything of the host, as drivers are used to, but what is ours.
    const host = Object.entries(this.env).filter(([key, value]) => value !== undefined && !key.startsWith('SIGNALBOX_'))
    return runDriver({
      ...call,
      cwd: folder,
      env: {
        ...(Object.fromEntries(host) as Record<string, string>),
        TMPDIR: folder,
        BUILD_FAILURE_EXIT_CODE: String(driverCodes.buildFailure),
        SYSTEM_FAILURE_EXIT_CODE: String(driverCodes.systemFailure),
        BUILD_EXIT_CODE_FILE: exitCodeFile(session),
        JOB_RESPONSE_FILE: path.join(folder, 'response.json'),
        ...config.jobEnv,
        ...customEnv(input.job, env),
      },
      signal: stop.signal,
      graceMs: () => session.graceMs,
      forceMs: this.options.force_kill_timeout * 1000,
    })
  }
}

/** The driver says that the job itself is at fault. */
class BuildFailure extends Error {
  override readonly name = 'BuildFailure'
}

function exitCodeFile({ folder }: Session): string {
  return path.join(folder, 'build_exit_code')
}

function refused(message: string): PrepareResult {
  return { failure: { reason: 'runner_configuration_error', message } }
}

/** Throws unless it has gone well. */
function check(what: string, end: DriverEnd, file: string): void {
  if (end.exitCode === 0) return
  if (end.exitCode === null) throw new Error(`${what} was ended by ${end.signal}`)
  throw new BuildFailure(`${what} has failed: exit code ${resultOf(end.exitCode, file)}`)
}

/** The exit code of the job's script. Throws for what the driver itself has failed at. */
function resultOf(exitCode: number, file: string): number {
  if (exitCode === 0) return 0
  if (exitCode === driverCodes.systemFailure) throw new Error('the driver reports a system failure')
  if (exitCode !== driverCodes.buildFailure) throw new Error(`unknown Custom executor executable exit code ${exitCode}`)
  let text: string
  try {
    text = fs.readFileSync(file, 'utf8').split('\n')[0]!.trim()
  } catch {
    return driverCodes.buildFailure
  }
  if (!/^\d{1,3}$/.test(text))
    throw new Error(`unknown Custom executor executable exit code: ${JSON.stringify(text.slice(0, 40))}`)
  return Number(text)
}

/** Runs one script after the other through the executor. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { ExecutorRunner, RunInput, RunResult } from '../../plugins/sdk.js'
import type { JobContext } from './context.js'
import type { Failure } from './report.js'
import { type Shell, wholeScript } from './script.js'
import { type Stop, stopOf } from './stop.js'
import { within } from './time.js'

/** Runs the scripts of one job, one after the other, through its executor. */
export class Stages {
  constructor(
    private readonly context: Pick<JobContext, 'executor' | 'session' | 'folders' | 'log' | 'settings' | 'stop'>,
    private readonly shells: { job: Shell; host: Shell },
    /** A script that was to be stopped is dead, with all that it had started. */
    private readonly onStopped: () => void,
  ) {}

  /**
   * Runs one script to its end, or until one of the signals in `limits` ends it, or everything is stopped.
   * @returns nothing if it succeeded; rejects if the executor could not run it.
   */
  async run(
    stage: string,
    lines: readonly string[],
    env: Record<string, string>,
    options: { limits?: readonly AbortSignal[]; cwd?: string } = {},
  ): Promise<Failure | undefined> {
    const { executor, folders, settings } = this.context
    const { limits = [], cwd = folders.inside.build } = options
    const script = wholeScript(this.shells.job, lines, settings.trace)
    const given = { ...env, ...readEnvFile(envFile(folders.temp)) }
    return this.#run(executor.runner, { stage, script, env: given, cwd }, limits)
  }

  /** Runs our own commands on this host, in the folder of all builds. */
  async runOnHost(stage: string, lines: readonly string[], env: Record<string, string>): Promise<Failure | undefined> {
    const { executor, folders, settings } = this.context
    if (!executor.apart) return this.run(stage, lines, env, { cwd: folders.builds })
    const script = wholeScript(this.shells.host, lines, settings.trace)
    return this.#run(executor.host, { stage, script, env, cwd: folders.builds }, [])
  }

  async #run(
    runner: ExecutorRunner,
    input: Omit<RunInput, 'session'>,
    limits: readonly AbortSignal[],
  ): Promise<Failure | undefined> {
    const { session, log, stop } = this.context
    const signals = [stop.everything, stop.force, ...limits]
    if (signals.some((signal) => signal.aborted)) return stoppedEarly
    const result = await this.#watched(runner, signals, () =>
      runner.run({ session, ...input }, (chunk) => log.output(chunk)),
    )
    if (result === undefined || signals.some((signal) => signal.aborted)) return stoppedEarly
    return failureOf(result)
  }

  /** @returns nothing if the script was stopped and the executor does not let go of it. */
  async #watched(
    runner: ExecutorRunner,
    signals: readonly AbortSignal[],
    run: () => Promise<RunResult>,
  ): Promise<RunResult | undefined> {
    const { log } = this.context
    const result = run()
    const ended = new AbortController()
    const stops: Promise<void>[] = []
    let giveUp: () => void = () => undefined
    const givenUp = new Promise<undefined>((resolve) => {
      giveUp = () => resolve(undefined)
    })
    for (const signal of signals) {
      const stop = () => {
        // What the dying script still says is little; it must not wait for room and so stay alive.
        log.stopWaiting()
        const running = result.then(() => undefined)
        stops.push(
          this.#cancel(runner, (stopOf(signal) as Stop).graceMs)
            .then(() => within(lastWordsMs, running))
            .then(giveUp),
        )
      }
      signal.addEventListener('abort', stop, { signal: ended.signal })
    }
    try {
      return await Promise.race([result, givenUp])
    } finally {
      ended.abort()
      await Promise.all(stops)
      if (stops.length > 0) {
        log.waitAgain()
        this.onStopped()
      }
    }
  }

  /** An executor that does not keep its word must not keep the job. */
  async #cancel(runner: ExecutorRunner, graceMs: number): Promise<void> {
    const { session } = this.context
    await within(graceMs + executorDeadlineMs, runner.cancel({ session, graceMs }))
  }
}

/** The SDK's deadline for a call to an executor. */
export const executorDeadlineMs = 30_000
/** What a script that is dead may take to be reported as such. */
const lastWordsMs = 5_000

/** `NAME=value` lines that a script appends here are in the environment of the scripts after it (`$GITLAB_ENV`). */
function envFile(temp: string): string {
  return path.join(temp, 'gitlab_runner_env')
}

/** A stand-in: whoever stopped the stage knows why. */
const stoppedEarly: Failure = { reason: 'script_failure', message: 'stopped' }

function failureOf({ exitCode, signal }: RunResult): Failure | undefined {
  if (exitCode === 0) return undefined
  if (exitCode !== null) return { reason: 'script_failure', message: `exit code ${exitCode}`, exitCode }
  const number = os.constants.signals[(signal ?? '') as NodeJS.Signals] ?? 0
  // As a shell reports a command that a signal has ended.
  return { reason: 'script_failure', message: `ended by signal ${signal ?? 'unknown'}`, exitCode: 128 + number }
}

function readEnvFile(file: string): Record<string, string> {
  const lines = readOwn(file).matchAll(/^([A-Za-z_]\w*)=([^\0\n]*)$/gm)
  return Object.fromEntries([...lines].map(([, key, value]) => [key, value]))
}

/** A file that a job wrote. What it has put there instead, such as a link or a pipe, is none. */
function readOwn(file: string): string {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants
  let fd: number
  try {
    fd = fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch {
    return ''
  }
  try {
    const stat = fs.fstatSync(fd)
    return stat.isFile() && stat.size <= maxEnvBytes ? fs.readFileSync(fd, 'utf8') : ''
  } finally {
    fs.closeSync(fd)
  }
}

/** More than any system hands to a process. */
const maxEnvBytes = 4 * 1024 * 1024

/** The environment of a job's scripts. */
export function environmentOf({ variables, folders }: JobContext, status: string): Record<string, string> {
  return { ...variables.environment(), CI_JOB_STATUS: status, GITLAB_ENV: envFile(folders.inside.temp) }
}

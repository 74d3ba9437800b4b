/** Runs one script after the other through the executor. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { RunResult } from '../../plugins/sdk.js'
import type { JobContext } from './context.js'
import type { JobFolders } from './folders.js'
import type { Failure } from './report.js'
import { type Shell, wholeScript } from './script.js'
import { type Stop, stopOf } from './stop.js'
import { within } from './time.js'

/** Runs the scripts of one job, one after the other, through its executor. */
export class Stages {
  constructor(
    private readonly context: Pick<JobContext, 'executor' | 'session' | 'folders' | 'log' | 'settings' | 'stop'>,
    private readonly shell: Shell,
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
    const { executor, session, log, settings, folders, stop } = this.context
    const { limits = [], cwd = folders.build } = options
    const signals = [stop.everything, stop.force, ...limits]
    if (signals.some((signal) => signal.aborted)) return stoppedEarly
    const script = wholeScript(this.shell, lines, settings.trace)
    const given = { ...env, ...readEnvFile(envFile(folders)) }
    const result = await this.#watched(signals, () =>
      executor.runner.run({ session, stage, script, env: given, cwd }, (chunk) => log.output(chunk)),
    )
    if (result === undefined || signals.some((signal) => signal.aborted)) return stoppedEarly
    return failureOf(result)
  }

  /** @returns nothing if the script was stopped and the executor does not let go of it. */
  async #watched(signals: readonly AbortSignal[], run: () => Promise<RunResult>): Promise<RunResult | undefined> {
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
          this.#cancel((stopOf(signal) as Stop).graceMs)
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
  async #cancel(graceMs: number): Promise<void> {
    const { executor, session } = this.context
    await within(graceMs + executorDeadlineMs, executor.runner.cancel({ session, graceMs }))
  }
}

/** The SDK's deadline for a call to an executor. */
export const executorDeadlineMs = 30_000
/** What a script that is dead may take to be reported as such. */
const lastWordsMs = 5_000

/** `NAME=value` lines that a script appends here are in the environment of the scripts after it (`$GITLAB_ENV`). */
function envFile(folders: JobFolders): string {
  return path.join(folders.temp, 'gitlab_runner_env')
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
  if (!fs.existsSync(file)) return {}
  const lines = fs.readFileSync(file, 'utf8').matchAll(/^([A-Za-z_]\w*)=([^\0\n]*)$/gm)
  return Object.fromEntries([...lines].map(([, key, value]) => [key, value]))
}

/** The environment of a job's scripts. */
export function environmentOf({ variables, folders }: JobContext, status: string): Record<string, string> {
  return { ...variables.environment(), CI_JOB_STATUS: status, GITLAB_ENV: envFile(folders) }
}

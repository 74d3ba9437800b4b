import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExecutorRunner, RunResult } from '../../plugins/sdk.js'
import type { JobFolders } from './folders.js'
import type { JobLog } from './log.js'
import type { Failure } from './report.js'
import { type Shell, wholeScript } from './script.js'
import { type Stop, stopOf } from './stop.js'

/** Runs the scripts of one job, one after the other, through its executor. */
export class Stages {
  constructor(
    private readonly options: {
      executor: ExecutorRunner
      session: string
      shell: Shell
      folders: JobFolders
      log: JobLog
      trace: boolean
      onStopped: () => void
    },
  ) {}

  /**
   * Runs one script to its end, or until one of the signals ends it.
   * @returns nothing if it succeeded; rejects if the executor could not run it.
   */
  async run(
    stage: string,
    lines: readonly string[],
    env: Record<string, string>,
    signals: readonly AbortSignal[],
    cwd = this.options.folders.build,
  ): Promise<Failure | undefined> {
    const { executor, session, shell, log, trace } = this.options
    if (signals.some((signal) => signal.aborted)) return stoppedEarly
    const stops: Promise<void>[] = []
    const ended = new AbortController()
    for (const signal of signals) {
      const stop = () => {
        // What the dying script still says is little; it must not wait for room and so stay alive.
        log.stopWaiting()
        stops.push(this.#cancel((stopOf(signal) as Stop).graceMs))
      }
      signal.addEventListener('abort', stop, { signal: ended.signal })
    }
    let result: RunResult
    try {
      const script = wholeScript(shell, lines, trace)
      const given = { ...env, ...readEnvFile(envFile(this.options.folders)) }
      result = await executor.run({ session, stage, script, env: given, cwd }, (chunk) => log.output(chunk))
    } finally {
      ended.abort()
      await Promise.all(stops)
      if (stops.length > 0) {
        log.waitAgain()
        this.options.onStopped()
      }
    }
    if (signals.some((signal) => signal.aborted)) return stoppedEarly
    return failureOf(result)
  }

  async #cancel(graceMs: number): Promise<void> {
    const { executor, session } = this.options
    const limit = new AbortController()
    await Promise.race([
      executor.cancel({ session, graceMs }).catch(() => undefined),
      // An executor that does not keep its word must not keep the job.
      sleep(graceMs + executorDeadlineMs, undefined, { signal: limit.signal }).catch(() => undefined),
    ])
    limit.abort()
  }
}

/** The SDK's deadline for a call to an executor. */
export const executorDeadlineMs = 30_000

/** `NAME=value` lines that a script appends here are in the environment of the scripts after it (`$GITLAB_ENV`). */
export function envFile(folders: JobFolders): string {
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
  const lines = fs.readFileSync(file, 'utf8').split('\n')
  return Object.fromEntries(
    lines.flatMap((line) => {
      const at = line.indexOf('=')
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1)]] : []
    }),
  )
}

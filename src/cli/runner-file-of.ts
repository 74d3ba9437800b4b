/** The file of this host's runners, for the commands that work with it. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { type RunnerFile, readRunnerFile } from '../config/runner-file.js'
import { SettingsError } from '../config/settings.js'
import { Exit, exitCodes } from './exit.js'

/** Where it is looked for, in this order. */
export const usualRunnerFiles = ['signalbox-runner.toml', '/etc/signalbox/signalbox-runner.toml'] as const

/** The file that is given, or the usual one that is there; undefined: there is none. */
export function findRunnerFile(given: string | undefined): string | undefined {
  return given ?? usualRunnerFiles.find((file) => existsSync(path.resolve(file)))
}

/** Reads it. Throws `Exit` (2) for none, and for one that is not right. */
export function readRunnerFileOrExit(given: string | undefined): RunnerFile & { file: string } {
  const file = findRunnerFile(given)
  if (file === undefined) {
    throw new Exit(exitCodes.usage, `no ${usualRunnerFiles.join(', no ')}: give --config FILE`)
  }
  try {
    return { file, ...readRunnerFile(file) }
  } catch (error) {
    throw error instanceof SettingsError ? new Exit(exitCodes.usage, error.message) : error
  }
}

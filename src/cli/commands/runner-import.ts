/** `signalbox runner import config.toml`: from GitLab Runner's own file, which is never changed. */
import { readFileSync, writeFileSync } from 'node:fs'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import {
  importLines,
  importRunnerConfig,
  RunnerConfigError,
  type RunnerImport,
  runnerFileOf,
} from '../runner-config.js'

interface ImportOptions {
  url?: string
  write?: string
  json?: boolean
}

/** Says what to change in a GitLab Runner's configuration, or writes one of our own. */
export function importRunners(file: string, options: ImportOptions): void {
  const { terminal, env, json } = openContext()
  const text = readOrExit(file)
  const runners = readRunners(file, text, options.url ?? env.SIGNALBOX_URL ?? 'http://127.0.0.1:8080')
  if (options.write !== undefined) {
    writeOwn(options.write, text, runners)
    return
  }
  // The entry of our own file holds a token.
  if (options.json) json(runners.map(withoutFile))
  else for (const line of importLines(runners)) terminal.out(line)
}

function withoutFile({ own: { command, missing }, ...rest }: RunnerImport) {
  return { ...rest, own: { command, missing } }
}

function readOrExit(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new Exit(exitCodes.usage, `cannot read ${file}: ${(error as Error).message}`)
  }
}

function readRunners(file: string, text: string, url: string): RunnerImport[] {
  try {
    return importRunnerConfig(text, url)
  } catch (error) {
    if (!(error instanceof RunnerConfigError)) throw error
    const place = error.line === undefined ? '' : `:${error.line}:${error.column}`
    throw new Exit(exitCodes.usage, `${file}${place}: ${error.message}`)
  }
}

function writeOwn(to: string, text: string, runners: readonly RunnerImport[]): void {
  const { terminal } = openContext()
  const { text: own, todo, left } = runnerFileOf(text, runners)
  if (left.length === runners.length) throw new Exit(exitCodes.failed, 'none of its runners has an executor of ours')
  try {
    writeFileSync(to, own, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    throw new Exit(exitCodes.usage, `cannot write ${to}: ${(error as Error).message}`)
  }
  terminal.say(`${to} has ${runners.length - left.length} of ${runners.length} runners`)
  for (const { name, executor } of left) terminal.say(`left out: ${name}, there is no executor ${executor}`)
  const lost = runners.flatMap(({ name, own }) =>
    own.file === null ? [] : own.missing.map((one) => ({ name, ...one })),
  )
  for (const { name, key, why } of lost) terminal.say(`${name}: ${key} has no counterpart: ${why}`)
  if (todo.length > 0)
    terminal.say('in its folder, with their tags (--tags A,B), make tokens for those that have none here:')
  for (const line of todo) terminal.out(line)
}

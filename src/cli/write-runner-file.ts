/** Writes runners into a `signalbox-runner.toml`: what stands there stays as it is, comments too. */
import fs from 'node:fs'
import path from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { parse, stringify } from 'smol-toml'
import { readRunnerFile } from '../config/runner-file.js'
import { SettingsError } from '../config/settings.js'
import { Exit, exitCodes } from './exit.js'

/** A runner as the file has it, apart from what has a default. */
export type RunnerFields = Record<string, unknown> & { name: string; url: string }

/** The text of `[[runners]]` entries, below settings of the whole file. */
export function runnerFileText(settings: Record<string, unknown>, runners: readonly RunnerFields[]): string {
  return `${stringify({ ...settings, runners })}\n`
}

/**
 * Adds a runner to the file, which is made where there is none. `token` is asked for only once the file would be right with the
 * runner, since what it registers nobody would find again. The new text takes the place of the old one by rename, so a service
 * that reads the file meanwhile sees one or the other. Throws `Exit` (2) for a file that would not be right, (5) while another
 * process does the same.
 */
export async function addToRunnerFile(file: string, runner: RunnerFields, token: () => Promise<string>): Promise<void> {
  const isThere = fs.existsSync(file)
  const place = isThere ? fs.realpathSync(file) : path.resolve(file)
  const before = isThere ? fs.readFileSync(place, 'utf8') : 'concurrent = 1\n'
  const gap = before === '' || before.endsWith('\n') ? '' : '\n'
  const textWith = (secret: string) => `${before}${gap}\n${runnerFileText({}, [{ ...runner, token: secret }])}`
  const fresh = `${place}.new`
  // It holds a token: nobody else may read it, unless the owner of the file has decided otherwise.
  const mode = isThere ? fs.statSync(place).mode & 0o777 : 0o600
  begin(fresh, textWith('glrt-'), mode)
  try {
    readRunnerFile(fresh)
    fs.writeFileSync(fresh, textWith(await token()))
    readRunnerFile(fresh)
    fs.renameSync(fresh, place)
  } catch (error) {
    fs.rmSync(fresh, { force: true })
    throw error instanceof SettingsError ? new Exit(exitCodes.usage, error.message.replace(fresh, file)) : error
  }
}

/**
 * Takes the runner at `index` from the file, once `then` has resolved. Everything else stays as it is. Throws `Exit` (2) where its
 * lines cannot be told from others, (5) while another process writes the file, and what `then` rejects with: nothing changes then.
 */
export async function takeFromRunnerFile(file: string, index: number, then: () => Promise<void>): Promise<void> {
  const place = fs.realpathSync(file)
  const before = fs.readFileSync(place, 'utf8')
  const after = withoutRunner(before, index)
  // As it was read, but for the one: a copy would have another prototype, which counts as a difference.
  const wanted = parse(before) as { runners?: unknown[] }
  if (wanted.runners?.length === 1) delete wanted.runners
  else wanted.runners?.splice(index, 1)
  if (!isSame(after, wanted)) throw new Exit(exitCodes.usage, `${file}: take it out by hand`)
  const fresh = `${place}.new`
  begin(fresh, after, fs.statSync(place).mode & 0o777)
  try {
    await then()
    fs.renameSync(fresh, place)
  } catch (error) {
    fs.rmSync(fresh, { force: true })
    throw error
  }
}

/** From its `[[runners]]` to the next table that is not below it. */
function withoutRunner(text: string, index: number): string {
  const lines = text.split(/(?<=\n)/)
  const begins = lines.flatMap((line, i) => (/^\s*\[\[\s*runners\s*\]\]/.test(line) ? [i] : []))
  const from = begins[index] ?? lines.length
  const end = lines.findIndex((line, i) => i > from && /^\s*\[(?!\[?\s*runners\s*\.)/.test(line))
  return [...lines.slice(0, from), ...lines.slice(end === -1 ? lines.length : end)].join('')
}

function isSame(text: string, wanted: object): boolean {
  try {
    return isDeepStrictEqual(parse(text), wanted)
  } catch {
    return false
  }
}

function begin(fresh: string, text: string, mode: number): void {
  try {
    fs.writeFileSync(fresh, text, { flag: 'wx', mode })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'EEXIST') throw new Exit(exitCodes.usage, `cannot write ${fresh}: ${message}`)
    throw new Exit(
      exitCodes.conflict,
      `${fresh} is there: another process writes the file, or one that has died left it`,
    )
  }
}

/** The file that settings are in, as it stands on the disk: `signalbox.toml`, or the one that `--config` names. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parse, TomlError } from 'smol-toml'
import { SettingsError } from './settings.js'

/**
 * Returns what the file says, and where it is; a default file that is not there says nothing. Throws `SettingsError` for one
 * that cannot be read, or is no TOML: with its line and column.
 */
export function readSettingsFile(
  given: string | undefined,
  cwd: string,
): { table: Record<string, unknown>; path: string; folder: string } {
  const file = path.resolve(cwd, given ?? 'signalbox.toml')
  let source: string
  try {
    source = readFileSync(file, 'utf8')
  } catch (error) {
    if (given === undefined && (error as NodeJS.ErrnoException).code === 'ENOENT')
      return { table: {}, path: file, folder: cwd }
    throw new SettingsError('--config', `cannot read ${file}: ${(error as Error).message}`)
  }
  try {
    return { table: parse(source), path: file, folder: path.dirname(file) }
  } catch (error) {
    if (error instanceof TomlError) throw new SettingsError(`${file}:${error.line}:${error.column}`, error.message)
    throw error
  }
}

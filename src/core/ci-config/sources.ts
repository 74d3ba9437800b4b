/** Knows the file, line and column of every place in a document. */
import type { ConfigError } from './config-error.js'
import { ConfigFault } from './fault.js'

/** More than any file may hold, so that file number and offset fit one small integer. */
const filesApart = 2 ** 22

interface Source {
  name: string
  text: string
  /** Offsets of line starts, made when the first error asks for them. */
  lineStarts?: number[]
}

export interface Location {
  /** Absent for the main file. */
  file?: string
  line: number
  column: number
}

/**
 * The files of one compilation. A place (`at`) is one number, `file × 2²² + offset`, so that every node can carry one;
 * line and column are only counted when somebody is told about them.
 */
export class Sources {
  readonly #sources: Source[] = []

  /** Registers a file and gives the place of its first character. The first file added is the main one. */
  add(name: string, text: string): number {
    this.#sources.push({ name, text })
    return (this.#sources.length - 1) * filesApart
  }

  nameOf(at: number): string {
    return this.#sources[Math.floor(at / filesApart)]?.name ?? ''
  }

  locate(at: number): Location | undefined {
    const index = Math.floor(at / filesApart)
    const source = this.#sources[index]
    if (source === undefined) return undefined
    source.lineStarts ??= lineStarts(source.text)
    const offset = at - index * filesApart
    const line = lastAtMost(source.lineStarts, offset)
    const column = offset - (source.lineStarts[line] ?? 0) + 1
    return index === 0 ? { line: line + 1, column } : { file: source.name, line: line + 1, column }
  }

  describe(message: string, at: number, path: string): ConfigError {
    return { message, path, ...this.locate(at) }
  }

  /** A fault as a `ConfigError`. Stack overflow, the one thing deep input could still cause, is told as a limit. */
  describeThrown(thrown: unknown): ConfigError {
    if (thrown instanceof ConfigFault) return this.describe(thrown.message, thrown.at, thrown.path)
    if (thrown instanceof RangeError) return this.describe('the configuration is nested too deep or too large', 0, '')
    throw thrown
  }
}

function lineStarts(text: string): number[] {
  const starts = [0]
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return starts
}

function lastAtMost(sorted: number[], value: number): number {
  let low = 0
  let high = sorted.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((sorted[middle] ?? 0) <= value) low = middle
    else high = middle - 1
  }
  return low
}

/** Files of variables in the manner of `.env`: `NAME=value` lines, as shells, Docker Compose and `dotenv` read them. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { PlanVariable } from '../core/ci-config/variables.js'
import { Exit, exitCodes } from './exit.js'

/** The variables of the files, later ones stronger. Ends the program (2, or 3 for a file that is not there). */
export function readVariableFiles(cwd: string, names: readonly string[]): PlanVariable[] {
  return names.flatMap((name) => parseVariableFile(readText(path.resolve(cwd, name), name), name))
}

function readText(file: string, name: string): string {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code === 'ENOENT' ? exitCodes.notFound : exitCodes.usage
    throw new Exit(code, `--var-file ${name}: ${(error as Error).message}`)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new Exit(exitCodes.usage, `--var-file ${name}: is not text in UTF-8`)
  }
}

const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t' }

/**
 * The variables of a text. `name` is what errors call it. Blank lines and lines that begin with `#` are left out, `export `
 * before a name too. A value without quotes ends at ` #` or the end of its line; in quotes it may go over several lines:
 * in double ones `\n`, `\"` and the like are escapes, and what stands in single ones is taken as it is, `$` too.
 */
export function parseVariableFile(text: string, name: string): PlanVariable[] {
  const source = text.replace(/^\uFEFF/, '').replace(/\r\n?/g, '\n')
  const found: PlanVariable[] = []
  let at = 0
  const fail = (where: number, message: string): never => {
    const line = source.slice(0, where).split('\n').length
    throw new Exit(exitCodes.usage, `${name}:${line}: ${message}`)
  }
  while (at < source.length) {
    const blank = /\s*(?:#[^\n]*)?(?:\n|$)/y
    blank.lastIndex = at
    const skipped = blank.exec(source)
    if (skipped && skipped[0] !== '') {
      at += skipped[0].length
      continue
    }
    const head = /[ \t]*(?:export[ \t]+)?([^\s=#]*)[ \t]*(=?)[ \t]*/y
    head.lastIndex = at
    const [whole, key, equals] = head.exec(source)!
    if (!equals) fail(at, `expected NAME=VALUE, found ${JSON.stringify(lineAt(source, at))}`)
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key!)) fail(at, `${JSON.stringify(key)} is not the name of a variable`)
    const start = at + whole.length
    const quote = source[start]
    if (quote !== '"' && quote !== "'") {
      const line = /[^\n]*/y
      line.lastIndex = start
      const raw = line.exec(source)![0]
      found.push({ key: key!, value: raw.replace(/(?:^|\s)#.*$/, '').trim() })
      at = start + raw.length + 1
      continue
    }
    const quoted = quote === '"' ? /"((?:[^"\\]|\\[\s\S])*)"/y : /'([^']*)'/y
    quoted.lastIndex = start
    const body = quoted.exec(source)
    if (!body) fail(start, `the quote of ${key} is not closed`)
    const after = /[ \t]*(?:#[^\n]*)?(?:\n|$)/y
    after.lastIndex = start + body![0].length
    const rest = after.exec(source)
    if (!rest) fail(start + body![0].length, `nothing may follow the closing quote of ${key}`)
    const value =
      quote === '"'
        ? body![1]!.replace(/\\([\s\S])/g, (_, letter: string) => escapes[letter] ?? unescaped(letter))
        : body![1]!
    found.push(quote === '"' ? { key: key!, value } : { key: key!, value, raw: true })
    at = start + body![0].length + rest![0].length
  }
  return found
}

/** `\$` is a dollar that refers to nothing; GitLab writes such a one twice. */
function unescaped(letter: string): string {
  if (letter === '$') return '$$'
  return letter === '"' || letter === '\\' || letter === '`' ? letter : `\\${letter}`
}

function lineAt(text: string, at: number): string {
  return text.slice(at).split('\n', 1)[0]!.trim()
}

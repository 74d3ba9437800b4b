/** Regular expressions of users, on an engine that takes linear time. */
import { createRequire } from 'node:module'
import type { RE2JS } from 're2js'
import { limits } from './limits.js'
import { spend } from './meter.js'

/** A regular expression of a user: RE2, so that no subject takes more than linear time. */
export interface Regex {
  test(subject: string): boolean
  /** The last match in the subject, or that match's last group; undefined if there is none. */
  lastMatch(subject: string): string | undefined
}

const require = createRequire(import.meta.url)
let engine: typeof RE2JS | undefined

/** Loaded when the first regular expression is met: most files have none and should not wait for it. */
function loadEngine(): typeof RE2JS {
  engine ??= (require('re2js') as typeof import('re2js')).RE2JS
  return engine
}

/** The same few patterns come back with every pipeline. */
const cache = new Map<string, Regex | Error>()
const cacheSize = 500

/**
 * Compiles a pattern with GitLab's flags (`i`, `s`, `m`, `U`). `^` and `$` are the ends of the text unless `m` is given
 * (lib/gitlab/untrusted_regexp/ruby_syntax.rb).
 *
 * @returns an Error, not thrown, when RE2 does not take the pattern or it is beyond the limits
 */
export function compileRegex(pattern: string, flags = ''): Regex | Error {
  const key = flags === '' ? pattern : `(?${flags})${pattern}`
  const known = cache.get(key)
  if (known !== undefined) return known
  spend(compileSteps(key))
  const compiled = compile(key)
  if (cache.size >= cacheSize) cache.delete(cache.keys().next().value ?? '')
  cache.set(key, compiled)
  return compiled
}

function compile(pattern: string): Regex | Error {
  if (Buffer.byteLength(pattern) > limits.regexBytes) {
    return new Error(`a regular expression may have ${limits.regexBytes} bytes at most`)
  }
  try {
    const compiled = loadEngine().compile(pattern)
    if (compiled.programSize() > limits.regexProgram) return new Error('this regular expression is too complex')
    return metered(compiled)
  } catch (error) {
    return new Error(error instanceof Error ? error.message : 'this regular expression is not valid')
  }
}

/** Found by measuring: characters times instructions that a microsecond does, to find a match and to tell its groups. */
const testedInAStep = 200
const matchedInAStep = 14

function metered(compiled: RE2JS): Regex {
  const program = compiled.programSize()
  return {
    test: (subject) => {
      const looked = cut(subject)
      spend(1 + (looked.length * program) / testedInAStep)
      return compiled.test(looked)
    },
    lastMatch: (subject) => {
      const looked = cut(subject)
      spend(1 + (looked.length * program) / matchedInAStep)
      return lastMatch(compiled, looked)
    },
  }
}

/** Repetitions are written out when a pattern is compiled, and classes of Unicode are large. */
function compileSteps(pattern: string): number {
  let repeated = 1
  for (const [, count = '1'] of pattern.matchAll(/\{(?:\d+,)?(\d+)/g)) repeated *= Math.max(1, Number(count))
  const classes = pattern.match(/\\p|\[:/gi)?.length ?? 0
  return 60 + (pattern.length + 200 * classes) * repeated
}

function lastMatch(compiled: RE2JS, subject: string): string | undefined {
  const matcher = compiled.matcher(subject)
  let last: string | undefined
  while (matcher.find()) last = matcher.group(matcher.groupCount()) ?? undefined
  return last
}

/** Only the beginning of a long subject is looked at. */
function cut(subject: string): string {
  return subject.length > limits.regexSubjectBytes ? subject.slice(0, limits.regexSubjectBytes) : subject
}

/** Reads `/pattern/flags`, the form of a regular expression in a text. */
export function parseRegexText(text: string): { pattern: string; flags: string } | undefined {
  if (text.length < 2 || text.charCodeAt(0) !== 0x2f) return undefined
  const end = text.lastIndexOf('/')
  const flags = text.slice(end + 1)
  if (end === 0 || !/^[ismU]*$/.test(flags)) return undefined
  return { pattern: text.slice(1, end).replaceAll('\\/', '/'), flags }
}

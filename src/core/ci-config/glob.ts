/** Patterns of files, as Ruby matches them. */
import { limits } from './limits.js'
import { spend } from './meter.js'

/**
 * File patterns. `changes` and `exists` match as Ruby's `File.fnmatch` does with FNM_PATHNAME, FNM_DOTMATCH and
 * FNM_EXTGLOB: `*` and `?` stop at slashes, `**` is any number of directories when it is a whole one, `[a-z]` and
 * `{a,b}` work, dots are nothing special, and nothing is normalised.
 */
export type Matcher = (path: string) => boolean

const cache = new Map<string, Matcher>()
const cacheSize = 1_000

/** Returns what tells whether a path matches. Compiled patterns are kept. */
export function compileGlob(pattern: string): Matcher {
  const known = cache.get(pattern)
  if (known !== undefined) return known
  const alternatives = expandBraces(pattern).map(compileAlternative)
  const [only] = alternatives
  const matcher: Matcher =
    alternatives.length === 1 && only !== undefined ? only : (path) => alternatives.some((match) => match(path))
  if (cache.size >= cacheSize) cache.delete(cache.keys().next().value ?? '')
  cache.set(pattern, matcher)
  return matcher
}

/** Does a pattern have anything but plain text? */
export function isPattern(text: string): boolean {
  return /[*?[{]/.test(text)
}

const maxAlternatives = 1_000

/** `{a,b}` written out. What would make too many patterns makes none and so matches nothing. */
function expandBraces(pattern: string): string[] {
  let open: string[] = [pattern]
  const done: string[] = []
  while (open.length > 0) {
    const next: string[] = []
    for (const one of open) {
      const brace = firstBrace(one)
      if (brace === undefined) done.push(one)
      else for (const part of brace.parts) next.push(one.slice(0, brace.start) + part + one.slice(brace.end))
    }
    if (next.length + done.length > maxAlternatives) return []
    open = next
  }
  return done
}

function firstBrace(pattern: string): { start: number; end: number; parts: string[] } | undefined {
  let depth = 0
  let start = -1
  let partStart = 0
  const parts: string[] = []
  for (let at = 0; at < pattern.length; at++) {
    const c = pattern[at]
    if (c === '\\') at++
    else if (c === '{') {
      depth++
      if (depth === 1) {
        start = at
        partStart = at + 1
      }
    } else if (depth === 1 && (c === ',' || c === '}')) {
      parts.push(pattern.slice(partStart, at))
      partStart = at + 1
      if (c === '}') return { start, end: at + 1, parts }
    } else if (c === '}' && depth > 0) {
      depth--
    }
  }
  return undefined
}

/** One character of a segment: itself, any, or one of a class; or any run of characters. */
type Piece =
  | { kind: 'char'; char: string }
  | { kind: 'any' }
  | { kind: 'run' }
  | { kind: 'class'; class: CharacterClass }

interface CharacterClass {
  negated: boolean
  ranges: [low: number, high: number][]
}

/** A directory or file name of a pattern; `directories` is `**`, any number of them. */
type Segment = { kind: 'directories' } | { kind: 'name'; pieces: Piece[]; literal: string | undefined }

function compileAlternative(pattern: string): Matcher {
  if (!/[*?[\\]/.test(pattern)) return (path) => path === pattern
  const texts = pattern.split('/')
  const segments = texts.map((text, index): Segment => {
    // The last `**` has no slash after it and acts like `*`.
    if (text === '**' && index < texts.length - 1) return { kind: 'directories' }
    const pieces = parsePieces(text)
    const literal = pieces.every((piece) => piece.kind === 'char')
      ? pieces.map((piece) => piece.char).join('')
      : undefined
    return { kind: 'name', pieces, literal }
  })
  return (path) => matchSegments(segments, path.split('/'))
}

function parsePieces(text: string): Piece[] {
  const pieces: Piece[] = []
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at)
    if (char === '*') {
      if (pieces.at(-1)?.kind !== 'run') pieces.push({ kind: 'run' })
    } else if (char === '?') {
      pieces.push({ kind: 'any' })
    } else if (char === '[') {
      const parsed = parseClass(text, at)
      if (parsed === undefined) {
        pieces.push({ kind: 'char', char })
      } else {
        pieces.push({ kind: 'class', class: parsed.class })
        at = parsed.end
      }
    } else if (char === '\\' && at + 1 < text.length) {
      pieces.push({ kind: 'char', char: text.charAt(++at) })
    } else {
      pieces.push({ kind: 'char', char })
    }
  }
  return pieces
}

function parseClass(text: string, start: number): { class: CharacterClass; end: number } | undefined {
  let at = start + 1
  const negated = text[at] === '!' || text[at] === '^'
  if (negated) at++
  const ranges: [number, number][] = []
  const first = at
  for (; at < text.length; at++) {
    if (text[at] === ']' && at > first) return { class: { negated, ranges }, end: at }
    if (text[at] === '\\') at++
    const low = text.charCodeAt(at)
    if (text[at + 1] === '-' && at + 2 < text.length && text[at + 2] !== ']') {
      at += text[at + 2] === '\\' ? 3 : 2
      ranges.push([low, text.charCodeAt(at)])
    } else {
      ranges.push([low, low])
    }
  }
  return undefined
}

/** Both levels match greedily and go back to the last wildcard only, which keeps them quadratic at worst. */
function matchSegments(segments: readonly Segment[], names: readonly string[]): boolean {
  let segment = 0
  let name = 0
  let retrySegment = -1
  let retryName = -1
  while (name < names.length) {
    const current = segments[segment]
    if (current?.kind === 'directories') {
      retrySegment = ++segment
      retryName = name
    } else if (current !== undefined && matchName(current, names[name] ?? '')) {
      segment++
      name++
    } else if (retrySegment !== -1) {
      segment = retrySegment
      name = ++retryName
    } else {
      return false
    }
  }
  return segment === segments.length
}

function matchName(segment: Extract<Segment, { kind: 'name' }>, name: string): boolean {
  if (segment.literal !== undefined) return segment.literal === name
  const { pieces } = segment
  let piece = 0
  let at = 0
  let retryPiece = -1
  let retryAt = -1
  while (at < name.length) {
    const current = pieces[piece]
    if (current?.kind === 'run') {
      retryPiece = ++piece
      retryAt = at
    } else if (current !== undefined && matchPiece(current, name, at)) {
      piece++
      at++
    } else if (retryPiece !== -1) {
      piece = retryPiece
      at = ++retryAt
    } else {
      return false
    }
  }
  while (pieces[piece]?.kind === 'run') piece++
  return piece === pieces.length
}

function matchPiece(piece: Piece, name: string, at: number): boolean {
  if (piece.kind === 'char') return piece.char === name[at]
  if (piece.kind !== 'class') return piece.kind === 'any'
  const code = name.charCodeAt(at)
  return piece.class.ranges.some(([low, high]) => low <= code && code <= high) !== piece.class.negated
}

/**
 * Paths of `include:local` with wildcards: `*` is any run without a slash, `**` any run with slashes
 * (lib/gitlab/ci/config/external/mapper/location_expander.rb).
 */
export function matchesIncludePath(pattern: string, path: string): boolean {
  const parts = pattern.match(/\*\*|\*|[^*]+/g) ?? []
  // Which positions in the path the parts so far can lead to.
  let reached = Array.from({ length: path.length + 1 }, (_, at) => at === 0)
  for (const part of parts) {
    const stopsAt = part === '*' ? '/' : part === '**' ? '' : undefined
    reached = stopsAt === undefined ? stepOver(reached, path, part) : stretch(reached, path, stopsAt)
  }
  return reached[path.length] === true
}

function stepOver(reached: readonly boolean[], path: string, part: string): boolean[] {
  return reached.map((_, to) => {
    const from = to - part.length
    return from >= 0 && reached[from] === true && path.startsWith(part, from)
  })
}

/** Every position that a run beginning at a reached one can end at. */
function stretch(reached: readonly boolean[], path: string, stopsAt: string): boolean[] {
  let running = false
  return reached.map((one, at) => {
    running = one || (running && path[at - 1] !== stopsAt)
    return running
  })
}

/** Steps that matching all of these takes at most: within a name it is quadratic, and braces are written out. */
export function globSteps(patterns: readonly string[], paths: readonly string[]): number {
  if (patterns.length === 0) return 0
  const characters = paths.reduce((sum, path) => sum + path.length, 0)
  const written = patterns.reduce((sum, pattern) => sum + pattern.length * alternativesAtMost(pattern), 0)
  return 0.3 * patterns.length * paths.length + (written * characters) / 500
}

function alternativesAtMost(pattern: string): number {
  return pattern.includes('{') ? Math.min(maxAlternatives, 2 ** (pattern.split(',').length - 1)) : 1
}

/** Does any path match any pattern? True without a look when that would take too many comparisons. */
export function anyMatches(
  patterns: readonly string[],
  paths: readonly string[],
  limit: number = limits.globComparisons,
): boolean {
  if (patterns.length * paths.length > limit) return true
  spend(globSteps(patterns, paths))
  return patterns.some((pattern) => paths.some(compileGlob(pattern)))
}

/**
 * A pattern for paths, as `artifacts:paths` and `artifacts:exclude` have them: `*` and `?` stay within one part of a
 * path, `**` as a whole part stands for any number of parts, `[a-z]` and `{one,two}` are alternatives, `\` takes the next
 * character as it is. Names that begin with a dot are no exception. Source: the documentation of bmatcuk/doublestar v4,
 * which GitLab Runner uses.
 */
export interface Glob {
  /** The parts before the first that has a special character. */
  base: string
  /** How many parts a match has; no limit with `**`. */
  depth: number
  matches(path: string): boolean
}

/** Whether the text has characters with a meaning. */
export function hasGlob(text: string): boolean {
  return /[*?[{\\]/.test(text)
}

/**
 * @param pattern relative, with `/` between its parts and none at the ends
 * @throws SyntaxError for a pattern that has no meaning, such as `[z-a]`
 */
export function compileGlob(pattern: string): Glob {
  const parts = pattern.split('/')
  const literal = parts.findIndex(hasGlob)
  const base = (literal < 0 ? parts : parts.slice(0, literal)).join('/')
  const expression = new RegExp(`^${toExpression(pattern)}$`, 'su')
  const open = parts.includes('**') || /\{[^}]*\//.test(pattern)
  return {
    base,
    depth: open ? Number.POSITIVE_INFINITY : parts.length,
    matches: (path) => expression.test(path),
  }
}

function toExpression(pattern: string): string {
  let out = ''
  let open = 0
  for (let at = 0; at < pattern.length; ) {
    const rest = pattern.slice(at)
    const partStart = at === 0 || pattern[at - 1] === '/'
    if (partStart && rest === '**') {
      // `a/**` is also `a` itself.
      out = out.endsWith('/') ? `${out.slice(0, -1)}(?:/.*)?` : `${out}.*`
      at += 2
    } else if (partStart && rest.startsWith('**/')) {
      out += '(?:[^/]+/)*'
      at += 3
    } else if (rest.startsWith('*')) {
      out += '[^/]*'
      while (pattern[at] === '*') at++
    } else if (rest.startsWith('?')) {
      out += '[^/]'
      at++
    } else if (rest.startsWith('[') && rest.indexOf(']', 2) > 0) {
      const end = rest.indexOf(']', 2)
      out += toClass(rest.slice(1, end))
      at += end + 1
    } else if (rest.startsWith('{') && rest.includes('}')) {
      out += '(?:'
      open++
      at++
    } else if (rest.startsWith('}') && open > 0) {
      out += ')'
      open--
      at++
    } else if (rest.startsWith(',') && open > 0) {
      out += '|'
      at++
    } else {
      if (rest.startsWith('\\') && rest.length > 1) at++
      const character = String.fromCodePoint(pattern.codePointAt(at) ?? 0)
      out += escapeCharacter(character)
      at += character.length
    }
  }
  return out + ')'.repeat(open)
}

function toClass(inside: string): string {
  const negated = inside.startsWith('^') || inside.startsWith('!')
  const characters = (negated ? inside.slice(1) : inside).replace(/[\]\\^[]/g, '\\$&')
  return `(?!/)[${negated ? '^' : ''}${characters}]`
}

function escapeCharacter(character: string): string {
  return /[\\^$.*+?()[\]{}|]/.test(character) ? `\\${character}` : character
}

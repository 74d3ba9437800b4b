/** Parses and evaluates the expressions of rules. */
import { limits } from './limits.js'
import { spend } from './meter.js'
import { compileRegex, parseRegexText, type Regex } from './regex.js'

/**
 * The expressions of `rules:if`, `only:variables` and input rules (lib/gitlab/ci/pipeline/expression):
 *
 *     or    := and { "||" and }
 *     and   := cmp { "&&" cmp }
 *     cmp   := unary { ("==" | "!=" | "=~" | "!~") unary }
 *     unary := "!" unary | "(" or ")" | value
 *     value := $NAME | "text" | 'text' | /regex/flags | null | true | false | $[[ inputs.NAME ]]
 *
 * A parsed expression is plain data, so that it can be cached with the configuration.
 */
export type Expression =
  | { kind: 'variable'; name: string }
  | { kind: 'input'; name: string }
  | { kind: 'text'; value: string }
  | { kind: 'regex'; pattern: string; flags: string }
  | { kind: 'constant'; value: boolean | null }
  | { kind: 'not'; of: Expression }
  | { kind: Operator; left: Expression; right: Expression }

/** The operators of expressions: `&&`, `||`, `==`, `!=`, `=~`, `!~`. */
export type Operator = 'and' | 'or' | 'equals' | 'differs' | 'matches' | 'mismatches'

/** Value of a variable, undefined when there is none. */
export type Lookup = (name: string) => string | undefined

/** What is wrong with an expression, in a sentence. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError'
}

/**
 * @param options.inputs whether `$[[ inputs.NAME ]]` is part of the grammar, as in input rules
 * @throws ExpressionError telling what is wrong and where
 */
export function parseExpression(source: string, options: { inputs?: boolean } = {}): Expression {
  const parser = new Parser(tokenize(source, options.inputs === true))
  return parser.parse()
}

type Token =
  | { kind: 'value'; expression: Expression; text: string }
  | { kind: 'operator'; operator: Operator; text: string }
  | { kind: '(' | ')' | '!'; text: string }

const operators = new Map<string, Operator>([
  ['==', 'equals'],
  ['=~', 'matches'],
  ['!=', 'differs'],
  ['!~', 'mismatches'],
  ['&&', 'and'],
  ['||', 'or'],
])

const patterns = {
  blank: /\s+/y,
  input: /\$\[\[\s*inputs\.([\w-]+)\s*\]\]/y,
  variable: /\$(\w+)/y,
  text: /"([^"\n]*)"|'([^'\n]*)'/y,
  regex: /\/((?:\\\/|\\(?!\/)|[^/\\\n])+)\/([ismU]*)/y,
  word: /null|true\b|false\b/y,
  symbol: /==|=~|!=|!~|&&|\|\||[()!]/y,
}

function tokenize(source: string, inputs: boolean): Token[] {
  const tokens: Token[] = []
  let pos = 0
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = pos
    const match = pattern.exec(source) ?? undefined
    if (match !== undefined) pos += match[0].length
    return match
  }
  for (;;) {
    take(patterns.blank)
    if (pos >= source.length) return tokens
    if (tokens.length >= limits.expressionTokens) {
      throw new ExpressionError(`more than ${limits.expressionTokens} tokens`)
    }
    const start = pos
    const token = nextToken(take, inputs)
    if (token === undefined) throw new ExpressionError(`unexpected ${JSON.stringify(source.slice(start, start + 20))}`)
    tokens.push(token)
  }
}

function nextToken(take: (pattern: RegExp) => RegExpExecArray | undefined, inputs: boolean): Token | undefined {
  const value = (expression: Expression, text: string): Token => ({ kind: 'value', expression, text })
  const input = inputs ? take(patterns.input) : undefined
  if (input !== undefined) return value({ kind: 'input', name: input[1] ?? '' }, input[0])
  const variable = take(patterns.variable)
  if (variable !== undefined) return value({ kind: 'variable', name: variable[1] ?? '' }, variable[0])
  const text = take(patterns.text)
  if (text !== undefined) return value({ kind: 'text', value: text[1] ?? text[2] ?? '' }, text[0])
  const regex = take(patterns.regex)
  if (regex !== undefined) return value(regexLiteral(regex[1] ?? '', regex[2] ?? ''), regex[0])
  const word = take(patterns.word)
  if (word !== undefined) {
    return value({ kind: 'constant', value: word[0] === 'null' ? null : word[0] === 'true' }, word[0])
  }
  const symbol = take(patterns.symbol)?.[0]
  if (symbol === undefined) return undefined
  const operator = operators.get(symbol)
  return operator === undefined
    ? { kind: symbol as '(' | ')' | '!', text: symbol }
    : { kind: 'operator', operator, text: symbol }
}

/** The lexer of the original asks for two characters at least between the slashes. */
function regexLiteral(body: string, flags: string): Expression {
  if (body.length < 2) throw new ExpressionError(`the regular expression /${body}/ needs two characters at least`)
  const pattern = body.replaceAll('\\/', '/')
  const compiled = compileRegex(pattern, flags)
  if (compiled instanceof Error) throw new ExpressionError(`/${body}/ is not an RE2 expression: ${compiled.message}`)
  return { kind: 'regex', pattern, flags }
}

class Parser {
  readonly #tokens: Token[]
  #next = 0

  constructor(tokens: Token[]) {
    this.#tokens = tokens
  }

  parse(): Expression {
    const expression = this.#binary(0)
    const left = this.#tokens[this.#next]
    if (left !== undefined) throw new ExpressionError(`unexpected ${JSON.stringify(left.text)}`)
    return expression
  }

  /** Operators of level 0 bind weakest; all are left-associative. */
  #binary(level: number): Expression {
    const operatorsHere = levels[level]
    if (operatorsHere === undefined) return this.#unary()
    let left = this.#binary(level + 1)
    for (;;) {
      const token = this.#tokens[this.#next]
      if (token?.kind !== 'operator' || !operatorsHere.has(token.operator)) return left
      this.#next++
      left = { kind: token.operator, left, right: this.#binary(level + 1) }
    }
  }

  #unary(): Expression {
    const token = this.#tokens[this.#next++]
    if (token === undefined) throw new ExpressionError('a value is missing at the end')
    if (token.kind === 'value') return token.expression
    if (token.kind === '!') return { kind: 'not', of: this.#unary() }
    if (token.kind !== '(') throw new ExpressionError(`a value is missing before ${JSON.stringify(token.text)}`)
    const inner = this.#binary(0)
    if (this.#tokens[this.#next++]?.kind !== ')') throw new ExpressionError('a parenthesis is never closed')
    return inner
  }
}

const levels: ReadonlySet<Operator>[] = [
  new Set(['or']),
  new Set(['and']),
  new Set(['equals', 'differs', 'matches', 'mismatches']),
]

/** What an expression comes to; null: a variable that is not there. */
export type ExpressionValue = string | boolean | null | Regex

/** The raw result of an expression; what `rules` ask is `isTrue`. */
export function evaluateExpression(expression: Expression, lookup: Lookup, inputs?: Lookup): ExpressionValue {
  spend(0.2)
  const evaluate = (part: Expression): ExpressionValue => evaluateExpression(part, lookup, inputs)
  switch (expression.kind) {
    case 'variable':
      return lookup(expression.name) ?? null
    case 'input':
      return inputs?.(expression.name) ?? null
    case 'text':
    case 'constant':
      return expression.value
    case 'regex': {
      const regex = compileRegex(expression.pattern, expression.flags)
      return regex instanceof Error ? null : regex
    }
    case 'not':
      return !isPresent(evaluate(expression.of))
    case 'and': {
      const left = evaluate(expression.left)
      return left === null || left === false ? left : evaluate(expression.right)
    }
    case 'or': {
      const left = evaluate(expression.left)
      return left === null || left === false ? evaluate(expression.right) : left
    }
    case 'equals':
      return isEqual(evaluate(expression.left), evaluate(expression.right))
    case 'differs':
      return !isEqual(evaluate(expression.left), evaluate(expression.right))
    case 'matches': {
      const pattern = evaluate(expression.right)
      return pattern === null ? false : doesMatch(evaluate(expression.left), pattern)
    }
    case 'mismatches': {
      const pattern = evaluate(expression.right)
      return pattern === null ? true : !doesMatch(evaluate(expression.left), pattern)
    }
  }
}

/** Whether an expression holds: its value is neither null nor false nor blank. */
export function isTrue(expression: Expression, lookup: Lookup, inputs?: Lookup): boolean {
  return isPresent(evaluateExpression(expression, lookup, inputs))
}

function isPresent(value: ExpressionValue): boolean {
  return typeof value === 'string' ? value.trim() !== '' : value !== null && value !== false
}

/** A boolean equals the text that spells it. */
function isEqual(left: ExpressionValue, right: ExpressionValue): boolean {
  return (typeof left === 'boolean' ? String(left) : left) === (typeof right === 'boolean' ? String(right) : right)
}

/**
 * A pattern that is a text counts as a regular expression only when written `/…/`. Any other text asks the reverse: does
 * it contain the subject? (lib/gitlab/ci/pipeline/expression/lexeme/matches.rb: `scan` of a string.)
 */
function doesMatch(subject: ExpressionValue, pattern: ExpressionValue): boolean {
  const text =
    typeof subject === 'string' ? subject : subject === null || typeof subject === 'object' ? '' : String(subject)
  if (pattern !== null && typeof pattern === 'object') return pattern.test(text)
  if (typeof pattern !== 'string') return false
  const parsed = parseRegexText(pattern)
  const regex = parsed === undefined ? undefined : compileRegex(parsed.pattern, parsed.flags)
  return regex === undefined || regex instanceof Error ? pattern.includes(text) : regex.test(text)
}

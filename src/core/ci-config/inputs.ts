/** Gives inputs of a header their values, and checks them. */
import { type Expression, isTrue } from './expression.js'
import { ConfigFault } from './fault.js'
import type { InputType, PlanInput } from './job-definition.js'
import type { InputMap, InputRule, InputSpecs } from './keywords/header.js'
import { isNull, type MapNode, makeScalar, type Node, quote, textOf } from './node.js'
import { fromPlain, toPlain } from './plain.js'
import { compileRegex, type Regex } from './regex.js'

/** The values of all inputs, or what is wrong with them. */
export interface ResolvedInputs {
  values: Map<string, Node>
  /** The values are of no use if there are any. */
  problems: InputProblem[]
}

/** Something wrong with the value of an input. */
export interface InputProblem {
  /** A sentence. */
  message: string
  /** Where the value stands that is wrong, given or the default; absent: it is not about one. */
  at?: number
}

/**
 * Gives every input of a header its value: the one given, else the default, checked against type, options and pattern
 * (lib/ci/inputs). Rules are evaluated in the order of definition: an input sees what was given and what those above it
 * became.
 *
 * @param given the arguments; undefined for none
 * @param at where values that no file holds are said to stand
 */
export function resolveInputs(specs: InputSpecs, given: MapNode | undefined, at: number): ResolvedInputs {
  const problems: InputProblem[] = []
  const unknown = given === undefined ? [] : [...given.entries.keys()].map(String).filter((name) => !specs.has(name))
  if (unknown.length > 0) problems.push({ message: `unknown input arguments: ${unknown.join(', ')}` })
  const values = new Map<string, Node>()
  const circle = ruleCircle(specs)
  if (circle !== undefined) problems.push({ message: `circular dependency between inputs: ${circle.join(' → ')}` })
  const textOfInput = (name: string): string | undefined => {
    const value = values.get(name) ?? given?.entries.get(name)?.value
    return value?.kind === 'scalar' && value.value !== null ? textOf(value) : undefined
  }
  for (const [name, spec] of specs) {
    const argument = given?.entries.get(name)?.value
    const result = resolveInput(spec, argument, textOfInput, specs, at)
    if ('message' in result) problems.push({ ...result, message: `${name} input: ${result.message}` })
    else values.set(name, result)
  }
  return { values, problems }
}

/**
 * The inputs of a job with other values for some of them.
 *
 * @param given by name; texts are read as JSON where another type is wanted
 * @returns the inputs, or what is wrong with the values, in sentences
 */
export function withValues(
  inputs: readonly PlanInput[],
  given: Readonly<Record<string, unknown>>,
): { inputs: PlanInput[]; problems: string[] } {
  const known = new Set(inputs.map(({ key }) => key))
  const unknown = Object.keys(given).filter((name) => !known.has(name))
  if (unknown.length > 0) return { inputs: [], problems: [`unknown input arguments: ${unknown.join(', ')}`] }
  const specs: InputSpecs = new Map(
    inputs.map(({ key, value: { type, content }, options, regex }) => [
      key,
      {
        type,
        default: fromPlain(content, 0),
        ...(options === undefined ? {} : { options: options.map((one) => fromPlain(one, 0)) }),
        ...(regex === undefined ? {} : { regex }),
      },
    ]),
  )
  try {
    const { values, problems } = resolveInputs(specs, fromPlain(given, 0) as MapNode, 0)
    const chosen = inputs.map((one) => ({
      ...one,
      value: { type: one.value.type, content: toPlain(values.get(one.key) ?? fromPlain(null, 0)) },
    }))
    return { inputs: chosen, problems: problems.map(({ message }) => message) }
  } catch (error) {
    if (error instanceof ConfigFault) return { inputs: [], problems: [error.message] }
    throw error
  }
}

type Lookup = (name: string) => string | undefined

/** The value, or what is wrong with it. */
function resolveInput(
  spec: InputMap | null,
  argument: Node | undefined,
  inputs: Lookup,
  specs: InputSpecs,
  at: number,
): Node | InputProblem {
  const { type = 'string', rules, regex } = spec ?? {}
  const pattern = regex === undefined ? undefined : compileRegex(regex)
  if (pattern instanceof Error) return { message: `invalid regular expression: ${pattern.message}` }
  for (const rule of rules ?? []) {
    const missing = rule.if === undefined ? undefined : inputsOf(rule.if.tree).find((name) => !specs.has(name))
    if (missing !== undefined) return { message: `rule refers to the undefined input ${quote(missing)}` }
  }
  const { options, fallback, isOptional = rules === undefined } = choose(spec, inputs)
  const checks = { type, options, pattern }
  const standard = fallback === undefined || fallback === null ? fallback : convert(fallback, checks, 'default')
  if (standard && 'message' in standard) return standard
  const blank = rules !== undefined && argument?.kind === 'scalar' && argument.value === ''
  if (argument !== undefined && !isNull(argument) && !blank) return convert(argument, checks, 'provided')
  if (standard === undefined) return notProvided
  if (standard !== null) return standard
  // `default: null` beside rules means that anything may be given, but something must be.
  return isOptional ? makeScalar(null, at) : notProvided
}

const notProvided: InputProblem = { message: 'required value has not been provided' }

/** Options and default, from the first rule that holds if there are rules. */
function choose(
  spec: InputMap | null,
  inputs: Lookup,
): { options?: Node[] | undefined; fallback?: Node | null | undefined; isOptional?: boolean } {
  if (spec?.rules === undefined) return { options: spec?.options, fallback: spec?.default }
  const rule: InputRule | undefined = spec.rules.find(
    (one) => one.if === undefined || isTrue(one.if.tree, none, inputs),
  )
  if (rule === undefined) {
    // One whose rules could give a default is not required where none of them holds (lib/ci/inputs/base_input.rb).
    const mayHave = spec.rules.some((one) => one.default !== undefined || one.if === undefined)
    return { fallback: null, isOptional: mayHave }
  }
  return { options: rule.options, fallback: rule.default }
}

function none(): undefined {}

interface Checks {
  type: InputType
  options: Node[] | undefined
  pattern: Regex | undefined
}

function convert(node: Node, { type, options, pattern }: Checks, which: 'provided' | 'default'): Node | InputProblem {
  const problem = (what: string): InputProblem => ({ message: `${which} value ${what}`, at: node.at })
  const value = toType(node, type)
  if (value === undefined) return problem(`is not ${type === 'array' ? 'an array' : `a ${type}`}`)
  if (options !== undefined && !options.some((option) => same(option, value, type))) {
    const given = value.kind === 'scalar' ? textOf(value) : 'it'
    return problem(`${quote(given)} is not in the list of allowed options`)
  }
  if (pattern !== undefined && !(value.kind === 'scalar' && pattern.test(textOf(value)))) {
    return problem('does not match the RegEx pattern')
  }
  return value
}

/** The node as a value of the type; texts are read as JSON where another type is wanted. */
function toType(node: Node, type: InputType): Node | undefined {
  if (type === 'string') return node.kind === 'scalar' ? makeScalar(textOf(node), node.at) : undefined
  const parsed = node.kind === 'scalar' && typeof node.value === 'string' ? fromJson(node.value, node.at) : node
  if (type === 'array') return parsed?.kind === 'list' ? parsed : undefined
  if (parsed?.kind !== 'scalar') return undefined
  return typeof parsed.value === type && !Number.isNaN(parsed.value) ? parsed : undefined
}

function fromJson(text: string, at: number): Node | undefined {
  try {
    return fromPlain(JSON.parse(text), at)
  } catch {
    return undefined
  }
}

function same(option: Node, value: Node, type: InputType): boolean {
  if (option.kind !== 'scalar' || value.kind !== 'scalar')
    return JSON.stringify(toPlain(option)) === JSON.stringify(toPlain(value))
  return type === 'string' ? textOf(option) === textOf(value) : option.value === value.value
}

/** Names of inputs that an expression looks at. */
function inputsOf(tree: Expression): string[] {
  const found: string[] = []
  const open: Expression[] = [tree]
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    if (part.kind === 'input') found.push(part.name)
    else if (part.kind === 'not') open.push(part.of)
    else if ('left' in part) open.push(part.left, part.right)
  }
  return found
}

function ruleCircle(specs: InputSpecs): string[] | undefined {
  const seen = new Set<string>()
  const visit = (name: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(name)) return [...trail.slice(trail.indexOf(name)), name]
    if (seen.has(name)) return undefined
    seen.add(name)
    for (const rule of specs.get(name)?.rules ?? []) {
      for (const other of rule.if === undefined ? [] : inputsOf(rule.if.tree)) {
        const circle = visit(other, [...trail, name])
        if (circle !== undefined) return circle
      }
    }
    return undefined
  }
  for (const name of specs.keys()) {
    const circle = visit(name, [])
    if (circle !== undefined) return circle
  }
  return undefined
}

/** Expands references to variables in texts and in lists of variables. */
import { limits } from './limits.js'
import type { PlanVariable } from './variables.js'

/**
 * References to variables in texts: `$NAME`, `${NAME}`, `%NAME%` (lib/expand_variables.rb,
 * lib/gitlab/ci/variables/collection.rb). Anything else that begins with a dollar is left alone.
 */

/** What becomes of a reference to a variable that does not exist: nothing, or it stays as written. */
export type ExpandMode = 'blank' | 'existing'

const references = /\$([A-Za-z_]\w*)|\$\{([A-Za-z_]\w*)\}|%([A-Za-z_]\w*)%/g

/** In values of variables `$$` and `%%` keep what follows from being a reference, and stay. */
const referencesInValues = /\$\$|%%|\$([A-Za-z_]\w*)|\$\{([A-Za-z_]\w*)\}|%([A-Za-z_]\w*)%/g

/** One pass over a text: values are put in as they are. */
export function expandText(text: string, lookup: (name: string) => string | undefined, mode: ExpandMode): string {
  return replace(text, references, (name, written) => lookup(name) ?? (mode === 'existing' ? written : ''))
}

function replace(text: string, pattern: RegExp, put: (name: string, written: string) => string): string {
  if (!mayRefer(text)) return text
  return text.replace(pattern, (written: string, plain?: string, braces?: string, percent?: string) => {
    const name = plain ?? braces ?? percent
    return name === undefined ? written : put(name, written)
  })
}

/** Whether a text may refer to a variable; most do not, and need no more than this look. */
export function mayRefer(text: string): boolean {
  return text.includes('$') || text.includes('%')
}

/** Names that a variable's value refers to. Raw values refer to nothing. */
export function referencesOf(variable: PlanVariable): string[] {
  const names: string[] = []
  if (variable.raw === true || !mayRefer(variable.value)) return names
  referencesInValues.lastIndex = 0
  for (
    let match = referencesInValues.exec(variable.value);
    match !== null;
    match = referencesInValues.exec(variable.value)
  ) {
    const name = match[1] ?? match[2] ?? match[3]
    if (name !== undefined) names.push(name)
  }
  return names
}

/** How references are treated that are special. */
export interface ExpandOptions {
  /** References to variables that do not exist stay as written; default: they vanish. */
  keepUndefined?: boolean
  /** References to file variables give the content, not the reference; default true. */
  expandFiles?: boolean
  /** References to raw variables give the value, not the reference; default true. */
  expandRaw?: boolean
}

/** What a runner is given: it resolves files itself and must see raw and unknown references untouched. */
export const forRunner: ExpandOptions = { keepUndefined: true, expandFiles: false, expandRaw: false }

/**
 * Expands the values of a list, weakest variable first, as deep as they refer to each other. A value may refer to its own
 * name: that means the weaker variable of this name.
 *
 * @returns the list in the same order, with the same objects where a value stands; unchanged, with the problem told, when references form a circle or the values
 *   become too large
 */
export function expandVariables(
  variables: readonly PlanVariable[],
  options: ExpandOptions = {},
): { variables: PlanVariable[]; problem?: string } {
  if (!variables.some(mayChange)) return { variables: [...variables] }
  const { keepUndefined = false, expandFiles = true, expandRaw = true } = options
  const graph = new ReferenceGraph(variables)
  const order = graph.order()
  if (!Array.isArray(order)) return { variables: [...variables], problem: circleMessage(order.circle) }
  const values = variables.map(({ value }) => value)
  let characters = 0
  for (const index of order) {
    const variable = variables[index]
    if (variable === undefined || variable.raw === true) continue
    const value = replace(variable.value, referencesInValues, (name, written) => {
      const target = graph.target(index, name)
      const found = target === undefined ? undefined : variables[target]
      if (target === undefined || found === undefined) return keepUndefined ? written : ''
      if ((found.file === true && !expandFiles) || (found.raw === true && !expandRaw)) return written
      return (values[target] ?? '').slice(0, limits.characters)
    })
    characters += value.length
    if (characters > limits.characters) {
      return { variables: [...variables], problem: 'variables are too large once they are expanded' }
    }
    values[index] = value
  }
  return {
    variables: variables.map((variable, index) => {
      const value = values[index] ?? ''
      return value === variable.value ? variable : { ...variable, value }
    }),
  }
}

function mayChange({ raw, value }: PlanVariable): boolean {
  return raw !== true && mayRefer(value)
}

/** Returns the sentence about variables that refer to each other in a circle. */
export function circleMessage(circle: readonly string[]): string {
  return `circular variable reference detected: [${circle.join(', ')}]`
}

/** Which variable of a list each reference means. */
class ReferenceGraph {
  readonly #variables: readonly PlanVariable[]
  /** Positions of the variables of one name, weakest first. */
  readonly #positions = new Map<string, number[]>()

  constructor(variables: readonly PlanVariable[]) {
    this.#variables = variables
    variables.forEach(({ key }, index) => {
      const positions = this.#positions.get(key)
      if (positions === undefined) this.#positions.set(key, [index])
      else positions.push(index)
    })
  }

  target(from: number, name: string): number | undefined {
    const positions = this.#positions.get(name)
    if (this.#variables[from]?.key !== name) return positions?.at(-1)
    return positions?.findLast((position) => position < from)
  }

  /** Every variable after those it refers to, or the names of a circle. Without recursion: chains may be long. */
  order(): number[] | { circle: string[] } {
    const order: number[] = []
    const state = new Uint8Array(this.#variables.length)
    const trail: { index: number; targets: number[] }[] = []
    const enter = (index: number): void => {
      const variable = this.#variables[index]
      const names = variable === undefined ? [] : referencesOf(variable)
      trail.push({ index, targets: names.flatMap((name) => this.target(index, name) ?? []) })
      state[index] = 1
    }
    for (let start = 0; start < this.#variables.length; start++) {
      if (state[start] === 0) enter(start)
      for (let top = trail.at(-1); top !== undefined; top = trail.at(-1)) {
        const next = top.targets.pop()
        if (next === undefined) {
          order.push(top.index)
          state[top.index] = 2
          trail.pop()
        } else if (state[next] === 1) {
          const from = trail.findIndex(({ index }) => index === next)
          return { circle: trail.slice(from).map(({ index }) => this.#variables[index]?.key ?? '') }
        } else if (state[next] === 0) {
          enter(next)
        }
      }
    }
    return order
  }
}

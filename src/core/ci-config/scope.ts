/** Which variables a rule or a job sees, and which of two with one name wins. */
import type { CompiledInstance, CompiledJob } from './config.js'
import { circleMessage, expandText, mayRefer, referencesOf } from './expand.js'
import { limits } from './limits.js'
import { spend } from './meter.js'
import { groupName } from './parallel.js'
import type { PlanContext } from './planning.js'
import { mergeVariables, type PlanVariable } from './variables.js'

/** One source of variables. */
type Layer = (name: string) => PlanVariable | undefined

/**
 * The variables that one decision can see, as layers from the strongest to the weakest. Layers are only asked for names
 * that somebody wants, so a job costs nothing until a rule of it looks at a variable.
 */
export class Scope {
  readonly #layers: readonly Layer[]
  readonly #visible: readonly PlanVariable[]
  readonly #expanded = new Map<string, string | undefined>()
  /** How many expansions are under way, one in the other. */
  #open = 0

  /** @param visible all variables of which some may be masked */
  constructor(layers: readonly Layer[], visible: readonly PlanVariable[]) {
    this.#layers = layers
    this.#visible = visible
  }

  /** The stored text of a variable: what `if` compares. */
  readonly lookup = (name: string): string | undefined => this.find(name)?.value

  /** The value with everything in it expanded: what paths and names are made of. */
  readonly expanded = (name: string): string | undefined => {
    if (this.#expanded.has(name)) return this.#expanded.get(name)
    const own = this.find(name)?.value
    if (this.#open >= longestChain) return own
    // Met again while it is being expanded, it stands for itself: a circle, which is told elsewhere.
    this.#expanded.set(name, own)
    this.#open++
    const value = this.#expand(name, 0)
    this.#open--
    this.#expanded.set(name, value)
    return value
  }

  find(name: string, from = 0): PlanVariable | undefined {
    for (let layer = from; layer < this.#layers.length; layer++) {
      const variable = this.#layers[layer]?.(name)
      if (variable !== undefined) return variable
    }
    return undefined
  }

  #layerOf(name: string, from: number): number {
    for (let layer = from; layer < this.#layers.length; layer++) {
      if (this.#layers[layer]?.(name) !== undefined) return layer
    }
    return -1
  }

  /** A reference to the own name means the weaker variable of this name. */
  #expand(name: string, from: number): string | undefined {
    const layer = this.#layerOf(name, from)
    const variable = layer === -1 ? undefined : this.#layers[layer]?.(name)
    if (variable === undefined || variable.raw === true || !mayRefer(variable.value)) return variable?.value
    spend(1 + variable.value.length / 100)
    const value = expandText(
      variable.value,
      (other) => (other === name ? this.#expand(name, layer + 1) : this.expanded(other)),
      'blank',
    )
    return value.length > limits.regexSubjectBytes ? variable.value : value
  }

  /** Names of a circle of references that begins at one of these variables. */
  circleThrough(variables: readonly PlanVariable[]): string | undefined {
    const free = new Set<string>()
    for (const variable of variables) {
      const circle = this.#circle(variable, [], free)
      if (circle !== undefined) return circleMessage(circle)
    }
    return undefined
  }

  /** @param free names that are known to lead to no circle */
  #circle(variable: PlanVariable, open: readonly string[], free: Set<string>): string[] | undefined {
    const names = referencesOf(variable)
    spend(0.5 + open.length / 10)
    if (names.length === 0 || free.has(variable.key)) return undefined
    const inner = [...open, variable.key]
    if (inner.length > longestChain) return undefined
    for (const name of names) {
      if (name === variable.key) continue
      if (inner.includes(name)) return inner.slice(inner.indexOf(name))
      const next = this.find(name)
      const circle = next === undefined ? undefined : this.#circle(next, inner, free)
      if (circle !== undefined) return circle
    }
    free.add(variable.key)
    return undefined
  }

  /** A text for messages, with the values of masked variables made unreadable. */
  mask(text: string): string {
    let masked = text
    for (const { masked: secret, value } of this.#visible) {
      if (secret === true && value !== '') masked = masked.replaceAll(value, 'x'.repeat(value.length))
    }
    return masked
  }
}

/** Longest chain of variables, each referring to the next, that is expanded and searched for a circle. */
const longestChain = 500

const indexes = new WeakMap<readonly PlanVariable[], Map<string, PlanVariable>>()

/** A list as a layer; the last of equal names counts. Lists of a configuration are indexed once. */
export function layerOf(variables: readonly PlanVariable[]): Layer {
  if (variables.length === 0) return nothing
  let index = indexes.get(variables)
  if (index === undefined) {
    spend(variables.length / 5)
    index = new Map(variables.map((variable) => [variable.key, variable]))
    indexes.set(variables, index)
  }
  const found = index
  return (name) => found.get(name)
}

function nothing(): undefined {}

function filtered(layer: Layer, allowed: false | readonly string[] | undefined): Layer {
  if (allowed === undefined) return layer
  if (allowed === false) return nothing
  return (name) => {
    spend(allowed.length / 100)
    return allowed.includes(name) ? layer(name) : undefined
  }
}

/** The two ends of every scope: what the event brings, stronger and weaker than the file. */
export function contextLayers(context: PlanContext): { strong: Layer; weak: Layer } {
  return {
    strong: layerOf(context.variables.slice(context.strongFrom)),
    weak: layerOf(context.variables.slice(0, context.strongFrom)),
  }
}

export type ContextLayers = ReturnType<typeof contextLayers>

/** What `workflow` sees: nothing of any job. */
export function globalScope(context: PlanContext, layers: ContextLayers, globals: readonly PlanVariable[]): Scope {
  return new Scope([layers.strong, layerOf(globals), layers.weak], context.variables)
}

/** What the rules of a job see. @param own variables of the job and its matrix */
export function jobScope(
  context: PlanContext,
  layers: ContextLayers,
  globals: readonly PlanVariable[],
  job: CompiledJob,
  instance: CompiledInstance,
  own: readonly PlanVariable[],
): Scope {
  spend(2)
  const inherited = filtered(layerOf(globals), job.inheritVariables)
  const predefined = jobLayer(job, instance, () => environmentName(job, scope))
  const scope: Scope = new Scope([layers.strong, layerOf(own), inherited, predefined, layers.weak], context.variables)
  return scope
}

const merged = new WeakMap<CompiledInstance, PlanVariable[]>()

/** The job's variables with the values of its matrix over them. */
export function ownVariables(job: CompiledJob, instance: CompiledInstance): readonly PlanVariable[] {
  if (instance.variables === undefined) return job.variables
  let own = merged.get(instance)
  if (own === undefined) {
    own = mergeVariables(job.variables, instance.variables)
    merged.set(instance, own)
  }
  return own
}

/** The name of a job's environment, expanded without what the environment itself would bring. */
export function environmentName(job: CompiledJob, scope: Scope): string | undefined {
  const name = job.plan.environment?.name
  if (name === undefined || !mayRefer(name)) return name
  return expandText(name, (one) => (one.startsWith('CI_ENVIRONMENT_') ? undefined : scope.expanded(one)), 'blank')
}

/** Predefined variables of the job itself, which rules can see before the job exists. */
function jobLayer(job: CompiledJob, instance: CompiledInstance, environmentName: () => string | undefined): Layer {
  const { plan } = job
  const value = (name: string): string | undefined => {
    switch (name) {
      case 'CI_JOB_NAME':
        return instance.name
      case 'CI_JOB_NAME_SLUG':
        return slug(instance.name)
      case 'CI_JOB_GROUP_NAME':
        return groupName(instance.name)
      case 'CI_JOB_STAGE':
        return plan.stage
      case 'CI_NODE_INDEX':
        return instance.parallel === undefined ? undefined : String(instance.parallel.index)
      case 'CI_NODE_TOTAL':
        return String(instance.parallel?.total ?? 1)
      case 'CI_ENVIRONMENT_NAME':
        return environmentName()
      case 'CI_ENVIRONMENT_ACTION':
        return plan.environment?.action
      case 'CI_ENVIRONMENT_URL':
        return plan.environment?.url
      case 'CI_ENVIRONMENT_TIER':
        return plan.environment?.deploymentTier ?? guessTier(environmentName())
      default:
        return undefined
    }
  }
  return (name) => {
    const found = name.startsWith('CI_') ? value(name) : undefined
    return found === undefined ? undefined : { key: name, value: found, raw: true }
  }
}

function slug(name: string): string {
  const dashed = name
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '-')
    .slice(0, 63)
  return dashed.replace(/^-+/, '').replace(/-+$/, '')
}

const tierWords: readonly [string, RegExp][] = [
  ['development', /dev|review|trunk/i],
  ['testing', /test|tst|int|acc?e?pt|qa|qc|control|quality/i],
  ['staging', /sta?g|mode?l|pre|demo|non/i],
  ['production', /pro?d|live/i],
]

/** The tier that the name of an environment suggests (app/models/environment.rb). */
function guessTier(name: string | undefined): string | undefined {
  return name === undefined ? undefined : (tierWords.find(([, words]) => words.test(name))?.[0] ?? 'other')
}

/** Variables as lists, weaker ones first. */
import { spend } from './meter.js'

/** A variable as it will stand in a job's environment. */
export interface PlanVariable {
  key: string
  value: string
  /** The value is never expanded (`expand: false`). */
  raw?: boolean
  /** The runner writes the value to a file and sets the variable to its path. */
  file?: boolean
  /** Never shown: replaced in the trace. */
  masked?: boolean
}

/** The value of a variable as a file gives it. */
export interface VariableValue {
  value: string
  raw?: boolean
  description?: string
  options?: string[]
}

/** Variables of a file as the list that the rest of the product knows. */
export function toPlanVariables(values: ReadonlyMap<string, VariableValue> | undefined): PlanVariable[] {
  if (values === undefined) return []
  return Array.from(values, ([key, { value, raw }]) => (raw === true ? { key, value, raw } : { key, value }))
}

/** Weaker variables first; one of the same name is replaced where it stands. One list alone is given back as it is. */
export function mergeVariables(...lists: readonly (readonly PlanVariable[])[]): PlanVariable[] {
  const given = lists.filter((list) => list.length > 0)
  if (given.length < 2) return (given[0] ?? []) as PlanVariable[]
  for (const list of given) spend(0.5 + list.length / 5)
  const merged = new Map<string, PlanVariable>()
  for (const list of lists) for (const variable of list) merged.set(variable.key, variable)
  return [...merged.values()]
}

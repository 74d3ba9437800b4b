/** Variables that people set for a project, a group or the whole instance: whom they reach, and what they may hold. */
import type { PlanVariable } from './ci-config/variables.js'

/** Whose variable it is. An id stands with a project and a group only. */
export type VariableOwner = { type: 'instance'; id: 0 } | { type: 'group' | 'project'; id: number }

export interface CiVariable {
  id: number
  ownerType: VariableOwner['type']
  ownerId: number
  key: string
  /** `*`, the name of an environment, or one with `*` in it. */
  environmentScope: string
  /** Sealed with the node's key. */
  value: Uint8Array
  file: number
  /** Only for pipelines of protected refs. */
  protected: number
  masked: number
  /** Masked, and never shown again. */
  hidden: number
  raw: number
  description: string | null
}

/** What a variable is told apart by among those that reach a job. */
export type ScopedVariable = Pick<CiVariable, 'ownerType' | 'ownerId' | 'key' | 'environmentScope' | 'protected'>

/** Whether a scope holds for the environment; null: the job has none, and only `*` does. */
function scopeHolds(scope: string, environment: string | null): boolean {
  if (scope === '*') return true
  if (environment === null) return false
  const [first = '', ...rest] = scope.split('*')
  const last = rest.pop()
  if (last === undefined) return scope === environment
  if (!environment.startsWith(first)) return false
  let at = first.length
  for (const part of rest) {
    const found = environment.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return environment.length - last.length >= at && environment.endsWith(last)
}

/**
 * The variables that reach a job, weakest first: the instance's, those of groups from the outermost inwards, the
 * project's; of equal keys of one owner only the one with the closest scope. `groupIds`: the project's groups, innermost
 * first. Rules: https://docs.gitlab.com/ci/variables/#cicd-variable-precedence,
 * gitlab app/models/concerns/has_environment_scope.rb; among scopes with `*` the longer is the closer one.
 */
export function variablesThatReach<Variable extends ScopedVariable>(
  variables: readonly Variable[],
  job: { protected: boolean; environment: string | null; groupIds: readonly number[] },
): Variable[] {
  const rank = ({ ownerType, ownerId }: Variable) =>
    ownerType === 'instance'
      ? 0
      : ownerType === 'project'
        ? Infinity
        : job.groupIds.length - job.groupIds.indexOf(ownerId)
  const closest = new Map<string, Variable>()
  for (const one of variables) {
    if (one.protected === 1 && !job.protected) continue
    if (!scopeHolds(one.environmentScope, job.environment)) continue
    const identity = `${one.ownerType} ${one.ownerId} ${one.key}`
    const other = closest.get(identity)
    if (!other || closeness(one, job.environment) > closeness(other, job.environment)) closest.set(identity, one)
  }
  return [...closest.values()].sort((a, b) => rank(a) - rank(b) || (a.key < b.key ? -1 : 1))
}

function closeness({ environmentScope }: ScopedVariable, environment: string | null): number {
  if (environmentScope === '*') return 0
  return environmentScope === environment ? Infinity : environmentScope.length
}

/** The variable as jobs and rules see it. */
export function toPlanVariable(
  variable: Pick<CiVariable, 'key' | 'file' | 'masked' | 'raw'>,
  value: string,
): PlanVariable {
  return {
    key: variable.key,
    value,
    ...(variable.raw === 1 ? { raw: true } : {}),
    ...(variable.file === 1 ? { file: true } : {}),
    ...(variable.masked === 1 ? { masked: true } : {}),
  }
}

/** Whether logs can be masked for this value. Rule: gitlab lib/gitlab/ci/maskable.rb. */
export function isMaskable(value: string, raw: boolean): boolean {
  return raw ? /^\S{8,}$/.test(value) : /^[a-zA-Z0-9_+=/@:.~-]{8,}$/.test(value)
}

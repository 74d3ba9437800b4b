/** The compiled file as compiling and planning see it. */
import type { CiConfig } from './compilation.js'
import type { ConfigError } from './config-error.js'
import type { JobPlan, JobWhen } from './job-definition.js'
import type { Condition } from './keywords/parts.js'
import type { Changes, Exists } from './keywords/rules.js'
import type { PipelinePlan } from './planning.js'
import type { PlanVariable } from './variables.js'

/**
 * What compilation leaves behind, seen from inside: the part of `CiConfig` that belongs to this module. Plain data.
 * Whatever users name stands in lists, never as keys of objects.
 */
export interface CompiledConfig extends CiConfig {
  readonly workflow: CompiledWorkflow
  readonly variables: readonly PlanVariable[]
  /** Global variables as a form for a manual run shows them. */
  readonly prefill: readonly Prefill[]
  readonly jobs: readonly CompiledJob[]
}

/** A variable that people are asked for when they start a pipeline by hand. */
export interface Prefill extends PlanVariable {
  description?: string
  options?: string[]
}

/** When there is a pipeline at all, and what it is called. */
export interface CompiledWorkflow {
  rules?: CompiledWorkflowRule[]
  name?: string
  autoCancel: PipelinePlan['autoCancel']
}

interface Clauses {
  if?: Condition
  changes?: Changes
  exists?: Exists
}

/** A rule of `workflow:rules`. */
export interface CompiledWorkflowRule extends Clauses {
  when: 'always' | 'never'
  variables?: PlanVariable[]
  autoCancel?: Partial<PipelinePlan['autoCancel']>
}

/** A rule of a job. */
export interface CompiledRule extends Clauses {
  when?: JobWhen
  startInSeconds?: number
  allowFailure?: boolean
  variables?: PlanVariable[]
  needs?: CompiledNeed[]
  interruptible?: boolean
}

/** `only` or `except`: everything that is given has to hold. */
export interface CompiledPolicy {
  refs?: string[]
  variables?: Condition[]
  changes?: string[]
  kubernetes?: boolean
}

/** A need as written: all instances of the job, unless `instances` names some. */
export interface CompiledNeed {
  job: string
  artifacts: boolean
  optional: boolean
  instances?: string[]
}

/** One job, or each of the jobs that `parallel` makes of it. */
export interface CompiledInstance {
  name: string
  parallel?: { index: number; total: number }
  /** Values of the matrix. */
  variables?: PlanVariable[]
  /** Needs that hold matrix expressions, resolved for this instance. */
  needs?: CompiledNeed[]
}

/** A job before rules and variables of an event have had their say. */
export interface CompiledJob {
  name: string
  /** Where the job stands, for errors that only a pipeline brings to light. */
  place: Pick<ConfigError, 'file' | 'line' | 'column'>
  /** How many lines of the plan's script are `before_script`. */
  beforeScriptLines?: number
  /** What no event changes; a copy of it, completed, is the plan of each instance. */
  plan: JobPlan
  instances: CompiledInstance[]
  when: JobWhen
  startInSeconds?: number
  /** As written; absent: it follows from `when`. */
  allowFailure?: boolean
  allowFailureExitCodes?: number[]
  /** Absent: decided by `only` and `except`. Null was written as such and lets the job into every pipeline. */
  rules?: CompiledRule[] | null
  only?: CompiledPolicy
  except?: CompiledPolicy
  /** The job's own variables. */
  variables: PlanVariable[]
  /** Which global variables it takes; absent: all. */
  inheritVariables?: false | string[]
  needs?: CompiledNeed[]
}

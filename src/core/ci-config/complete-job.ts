/** The last part of planning: one job of a pipeline, completed by the event and the rule that matched. */
import type { CompiledInstance, CompiledJob, CompiledRule } from './config.js'
import { expandText, mayRefer } from './expand.js'
import type { JobPlan, PlanNeed } from './job-definition.js'
import { spend } from './meter.js'
import { environmentName, type Scope } from './scope.js'
import { mergeVariables, type PlanVariable } from './variables.js'

/** An instance of a job that is in the pipeline, and by which rule. */
export interface Included {
  job: CompiledJob
  instance: CompiledInstance
  /** Its own variables, those of the matrix included. */
  own: readonly PlanVariable[]
  /** What its rules saw. */
  scope: Scope
  /** The same with the variables of the rule that matched. */
  ruled: Scope
  rule: CompiledRule | undefined
}

/**
 * What the event and the rule that matched make of a job (lib/gitlab/ci/pipeline/seed/build.rb).
 *
 * @param present names of all jobs in the pipeline
 */
export function planJob(
  { job, instance, own, rule, scope, ruled }: Included,
  globals: readonly PlanVariable[],
  needs: PlanNeed[] | undefined,
  present: ReadonlySet<string>,
): JobPlan {
  const { plan: fixed } = job
  spend(3 + (fixed.dependencies?.length ?? 0) / 10)
  // Copied first and completed after: a literal that goes on after a spread takes fifty times as long in V8.
  const plan = { ...fixed }
  plan.name = instance.name
  plan.when = rule?.when ?? job.when
  plan.allowFailure = rule?.allowFailure ?? allowsFailure(job)
  plan.variables = variablesOf(job, globals, own, rule)
  const startIn = rule?.when === undefined ? job.startInSeconds : rule.startInSeconds
  if (startIn !== undefined && plan.when === 'delayed') plan.startInSeconds = startIn
  if (job.allowFailureExitCodes !== undefined && rule?.allowFailure === undefined) {
    plan.allowFailureExitCodes = job.allowFailureExitCodes
  }
  if (needs !== undefined) plan.needs = needs
  if (rule?.interruptible !== undefined) plan.interruptible = rule.interruptible
  if (instance.parallel !== undefined) plan.parallel = instance.parallel
  if (fixed.dependencies !== undefined) plan.dependencies = fixed.dependencies.filter((name) => present.has(name))
  // Tags are the one text that does not see the variables of the rule, as in GitLab.
  if (fixed.tags.some(mayRefer)) plan.tags = fixed.tags.map((tag) => expandText(tag, scope.lookup, 'existing'))
  if (fixed.environment !== undefined) {
    plan.environment = { ...fixed.environment, name: environmentName(job, ruled) ?? fixed.environment.name }
  }
  if (fixed.resourceGroup !== undefined) plan.resourceGroup = resourceGroup(fixed.resourceGroup, ruled)
  return plan
}

/** Without a word in the rule: exit codes decide later, and a manual job is one that nobody has to start. */
export function allowsFailure(job: CompiledJob): boolean {
  if (job.allowFailureExitCodes !== undefined) return false
  return job.allowFailure ?? job.when === 'manual'
}

function variablesOf(
  { inheritVariables: inherited }: CompiledJob,
  globals: readonly PlanVariable[],
  own: readonly PlanVariable[],
  rule: CompiledRule | undefined,
): PlanVariable[] {
  if (inherited) spend((globals.length * inherited.length) / 100)
  const taken =
    inherited === undefined ? globals : inherited === false ? [] : globals.filter(({ key }) => inherited.includes(key))
  return mergeVariables(taken, own, rule?.variables ?? [])
}

/** What is wrong with references between the variables that the job and its rule bring. */
export function circleOf({ own, rule, ruled }: Included): string | undefined {
  const changed = rule?.variables === undefined ? own : [...own, ...rule.variables]
  return changed.some(({ value }) => mayRefer(value)) ? ruled.circleThrough(changed) : undefined
}

/** The slug of an environment is made when the environment is, so a reference to it stays for then. */
function resourceGroup(written: string, scope: Scope): string {
  return expandText(
    written,
    (name) => (name === 'CI_ENVIRONMENT_SLUG' ? '$CI_ENVIRONMENT_SLUG' : scope.expanded(name)),
    'blank',
  )
}

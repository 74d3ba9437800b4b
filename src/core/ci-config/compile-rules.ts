/** Rules as keywords give them, made into what planning works with. */
import type { CompiledPolicy, CompiledRule, CompiledWorkflowRule } from './config.js'
import type { Policy, Rule, WorkflowRule } from './keywords/rules.js'
import { compiledNeeds } from './needs.js'
import { toPlanVariables } from './variables.js'

/** Rules as they stand in the file, made into what planning works with. */

export function toPolicy(policy: Policy, defaultRefs?: string[]): CompiledPolicy {
  const { refs, variables, changes, kubernetes } = policy as Extract<Policy, { kubernetes?: unknown }>
  const matched = refs ?? defaultRefs
  return {
    ...(matched === undefined ? {} : { refs: matched }),
    ...(variables === undefined ? {} : { variables }),
    ...(changes === undefined ? {} : { changes }),
    ...(kubernetes === undefined ? {} : { kubernetes: true }),
  }
}

const compiledByRules = new WeakMap<readonly Rule[], CompiledRule[]>()

/** Jobs that have the same rules through `extends` share them compiled, too. */
export function compiledRules(rules: readonly Rule[]): CompiledRule[] {
  let compiled = compiledByRules.get(rules)
  if (compiled === undefined) {
    compiled = rules.map(toRule)
    compiledByRules.set(rules, compiled)
  }
  return compiled
}

function toRule(rule: Rule): CompiledRule {
  return {
    ...(rule.if === undefined ? {} : { if: rule.if }),
    ...(rule.changes === undefined ? {} : { changes: rule.changes }),
    ...(rule.exists === undefined ? {} : { exists: rule.exists }),
    ...(rule.when === undefined ? {} : { when: rule.when }),
    ...(rule.start_in === undefined ? {} : { startInSeconds: rule.start_in }),
    ...(rule.allow_failure === undefined ? {} : { allowFailure: rule.allow_failure }),
    ...(rule.variables === undefined ? {} : { variables: toPlanVariables(rule.variables) }),
    ...(rule.needs === undefined ? {} : { needs: compiledNeeds(rule.needs) }),
    ...(rule.interruptible === undefined ? {} : { interruptible: rule.interruptible }),
  }
}

/** Returns a rule of `workflow` as planning takes it. */
export function toWorkflowRule(rule: WorkflowRule): CompiledWorkflowRule {
  const { on_new_commit: onNewCommit, on_job_failure: onJobFailure } = rule.auto_cancel ?? {}
  const autoCancel = {
    ...(onNewCommit === undefined ? {} : { onNewCommit }),
    ...(onJobFailure === undefined ? {} : { onJobFailure }),
  }
  return {
    ...(rule.if === undefined ? {} : { if: rule.if }),
    ...(rule.changes === undefined ? {} : { changes: rule.changes }),
    ...(rule.exists === undefined ? {} : { exists: rule.exists }),
    when: rule.when ?? 'always',
    ...(rule.variables === undefined ? {} : { variables: toPlanVariables(rule.variables) }),
    ...(rule.auto_cancel === undefined ? {} : { autoCancel }),
  }
}

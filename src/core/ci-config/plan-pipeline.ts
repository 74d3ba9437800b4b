/** Planning: the pipeline that one event makes of a compiled file. */
import {
  ClauseError,
  clausesText,
  clauseText,
  Files,
  failingClause,
  failingKey,
  holdingKey,
  type RefFacts,
} from './clauses.js'
import type { CiConfig } from './compilation.js'
import { circleOf, type Included, planJob } from './complete-job.js'
import type {
  CompiledConfig,
  CompiledInstance,
  CompiledJob,
  CompiledNeed,
  CompiledRule,
  CompiledWorkflowRule,
} from './config.js'
import type { ConfigError } from './config-error.js'
import { expandText } from './expand.js'
import type { JobPlan, PlanNeed } from './job-definition.js'
import { limits } from './limits.js'
import { spend } from './meter.js'
import { JobNames } from './needs.js'
import type { JobDecision, PipelinePlan, PlanContext, PlanResult } from './planning.js'
import { contextLayers, globalScope, jobScope, ownVariables, type Scope } from './scope.js'
import { mergeVariables, type PlanVariable } from './variables.js'

/**
 * The pipeline that one event makes of a compiled file: workflow rules, then the rules of every job, then needs between
 * the jobs that are left (lib/gitlab/ci/pipeline/chain, lib/gitlab/ci/pipeline/seed/build.rb). Pure and quick: it runs
 * for every event, on a configuration that is compiled once.
 *
 * The plan shares parts with the configuration; neither may be changed.
 *
 * @returns not ok with `filtered` when rules leave nothing to run; not ok with errors when a rule cannot be decided, a
 *   needed job is left out, variables refer to each other in a circle, or a limit is exceeded
 */
export function planPipeline(config: CiConfig, context: PlanContext): PlanResult {
  return new Planner(config as CompiledConfig, context).plan()
}

/** Whether a job is in the pipeline, by the rule of this index if it has rules and one holds. */
interface Decision {
  included: boolean
  index?: number
}

class Planner {
  readonly #config: CompiledConfig
  readonly #context: PlanContext
  readonly #layers: ReturnType<typeof contextLayers>
  readonly #files: Files
  readonly #event: RefFacts
  readonly #names: JobNames
  readonly #errors: ConfigError[] = []
  readonly #decisions: JobDecision[] | undefined
  #globals: readonly PlanVariable[]

  constructor(config: CompiledConfig, context: PlanContext) {
    this.#config = config
    this.#context = context
    this.#layers = contextLayers(context)
    this.#files = new Files(context)
    this.#names = namesOf(config)
    this.#globals = config.variables
    this.#decisions = context.explain === true ? [] : undefined
    const { strong, weak } = this.#layers
    const projectPath = (strong('CI_PROJECT_PATH') ?? weak('CI_PROJECT_PATH'))?.value
    this.#event = {
      source: context.source,
      ref: context.ref,
      tag: context.tag,
      mergeRequest: context.source === 'merge_request_event' || weak('CI_MERGE_REQUEST_IID') !== undefined,
      ...(projectPath === undefined ? {} : { projectPath }),
    }
  }

  plan(): PlanResult {
    const { workflow, stages } = this.#config
    let rule: CompiledWorkflowRule | undefined
    if (workflow.rules !== undefined) {
      rule = this.#decideWorkflow(workflow.rules)
      if (this.#errors.length > 0) return this.#failure()
      if (rule === undefined || rule.when === 'never') return this.#filteredByWorkflow(rule)
      if (rule.variables !== undefined) this.#globals = mergeVariables(this.#globals, rule.variables)
    }
    const scope = this.#globalScope()
    const circle = scope.circleThrough(this.#globals)
    if (circle !== undefined) this.#fail(circle, 'variables')
    const included = this.#decideJobs()
    const chosen = this.#chosen(included)
    if (chosen === undefined) return { ...this.#failure(), asked: true }
    const jobs = this.#resolveNeeds(chosen)
    if (this.#errors.length > 0) return this.#failure()
    if (jobs.length > limits.jobsPerPipeline) {
      this.#fail(`the pipeline has ${jobs.length} jobs; ${limits.jobsPerPipeline} at most are allowed`, 'jobs')
      return this.#failure()
    }
    if (jobs.length === 0)
      return this.#filtered('the pipeline was filtered by rules: job rules leave no job to run', 'jobs')
    // Whoever names a job means it, also one at the edge.
    if (this.#context.onlyJobs === undefined && jobs.every(({ stage }) => stage === '.pre' || stage === '.post')) {
      return this.#filtered(edgesOnly, 'jobs')
    }
    const plan: PipelinePlan = {
      stages: [...stages],
      jobs,
      variables: [...this.#globals],
      autoCancel: { ...workflow.autoCancel, ...rule?.autoCancel },
      warnings: [],
      ...this.#explained(),
    }
    const name = workflow.name === undefined ? '' : expandText(workflow.name, scope.expanded, 'blank').trim()
    if (name !== '') plan.name = name.slice(0, limits.nameCharacters)
    return { ok: true, plan }
  }

  #globalScope(): Scope {
    return globalScope(this.#context, this.#layers, this.#globals)
  }

  #decideWorkflow(rules: readonly CompiledWorkflowRule[]): CompiledWorkflowRule | undefined {
    const scope = this.#globalScope()
    try {
      return rules.find((rule) => failingClause(rule, scope, this.#files) === undefined)
    } catch (error) {
      this.#failClause(error, 'workflow', 'workflow')
      return undefined
    }
  }

  #decideJobs(): Included[] {
    const included: Included[] = []
    for (const job of this.#config.jobs) {
      for (const instance of job.instances) {
        const found = this.#decideInstance(job, instance)
        if (found !== undefined) included.push(found)
      }
    }
    return included
  }

  #decideInstance(job: CompiledJob, instance: CompiledInstance): Included | undefined {
    const own = ownVariables(job, instance)
    const scope = jobScope(this.#context, this.#layers, this.#globals, job, instance, own)
    try {
      const { included, index } = this.#decide(job, scope)
      this.#decisions?.push({
        job: instance.name,
        stage: job.plan.stage,
        included,
        ...this.#explain(job, scope, { included, index }),
      })
      const rule = index === undefined ? undefined : job.rules?.[index]
      return included
        ? { job, instance, own, scope, rule, ruled: this.#ruledScope(job, instance, own, scope, rule) }
        : undefined
    } catch (error) {
      this.#failClause(error, instance.name, `jobs:${job.name}:rules`, job)
      return undefined
    }
  }

  #ruledScope(
    job: CompiledJob,
    instance: CompiledInstance,
    own: readonly PlanVariable[],
    scope: Scope,
    rule: CompiledRule | undefined,
  ): Scope {
    if (rule?.variables === undefined) return scope
    return jobScope(this.#context, this.#layers, this.#globals, job, instance, mergeVariables(own, rule.variables))
  }

  #decide({ rules, only, except, when }: CompiledJob, scope: Scope): Decision {
    if (rules !== undefined && rules !== null) {
      const index = rules.findIndex((rule) => failingClause(rule, scope, this.#files) === undefined)
      return index === -1 ? { included: false } : { included: (rules[index]?.when ?? when) !== 'never', index }
    }
    if (only !== undefined && failingKey(only, this.#event, scope, this.#files) !== undefined)
      return { included: false }
    return { included: except === undefined || holdingKey(except, this.#event, scope, this.#files) === undefined }
  }

  /** What decided, for people: found out anew, since hardly anybody asks. */
  #explain(job: CompiledJob, scope: Scope, { included, index }: Decision): Pick<JobDecision, 'by' | 'detail'> {
    const { rules, only, except } = job
    const rule = index === undefined ? undefined : rules?.[index]
    if (rule !== undefined) {
      return { by: `rules[${index}]`, detail: `${clausesText(rule)}when: ${rule.when ?? job.when}` }
    }
    if (rules !== undefined && rules !== null) return { by: 'rules', detail: this.#missed(rules, scope) }
    if (included) return { by: only === undefined ? 'when' : 'only', detail: `when: ${job.when}` }
    const missed = only && failingKey(only, this.#event, scope, this.#files)
    if (missed !== undefined) return { by: 'only', detail: `only:${missed.name} does not hold: ${missed.listed}` }
    const met = except && holdingKey(except, this.#event, scope, this.#files)
    return { by: 'except', detail: `except:${met?.name} holds: ${met?.listed}` }
  }

  #missed(rules: readonly CompiledRule[], scope: Scope): string {
    const told = rules.slice(0, rulesTold).flatMap((rule, index) => {
      const clause = failingClause(rule, scope, this.#files)
      return clause === undefined ? [] : [`[${index}] ${clauseText(rule, clause)}`]
    })
    const more = rules.length > rulesTold ? `; and ${rules.length - rulesTold} more` : ''
    return `no rule matches: ${told.join('; ')}${more}`
  }

  /** With `onlyJobs`, those jobs and what they need; undefined when one asked for is not there, or left out by rules. */
  #chosen(included: Included[]): Included[] | undefined {
    const { onlyJobs } = this.#context
    if (onlyJobs === undefined || this.#errors.length > 0) return included
    const byName = new Map(included.map((one) => [one.instance.name, one]))
    const chosen = new Set<Included>()
    const open: string[] = []
    for (const name of onlyJobs) {
      const found = this.#names.find(name)
      const names = found?.all === true ? found.job.instances.map((instance) => instance.name) : [name]
      if (names.some((one) => byName.has(one))) open.push(...names)
      else if (found === undefined) this.#fail(`there is no job ${JSON.stringify(name)}`, `jobs:${name}`)
      else
        this.#fail(
          `job ${JSON.stringify(name)} is not in this pipeline: ${this.#why(name, found.job)}`,
          `jobs:${name}`,
          found.job,
        )
    }
    if (this.#errors.length > 0) return undefined
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      const one = byName.get(name)
      if (one === undefined || chosen.has(one)) continue
      chosen.add(one)
      if (this.#context.alone !== true) open.push(...this.#awaited(one, included))
    }
    return included.filter((one) => chosen.has(one))
  }

  /**
   * Names of what a job needs: of one without `needs` that from which it takes artifacts, which are all jobs of earlier
   * stages unless `dependencies` names some. Manual ones among all are left out: nobody asked to start them.
   */
  #awaited(one: Included, included: readonly Included[]): string[] {
    const needs = needsOf(one)
    if (needs !== undefined) return needs.flatMap((need) => this.#names.instances(need))
    const { dependencies, stage } = one.job.plan
    if (dependencies !== undefined) return [...dependencies]
    const { stages } = this.#config
    return included
      .filter(
        ({ job, rule }) =>
          stages.indexOf(job.plan.stage) < stages.indexOf(stage) && (rule?.when ?? job.when) !== 'manual',
      )
      .map(({ instance }) => instance.name)
  }

  #why(name: string, job: CompiledJob): string {
    const instance = job.instances.find((one) => one.name === name) ?? job.instances[0]
    if (instance === undefined) return 'it has no instance'
    const own = ownVariables(job, instance)
    const scope = jobScope(this.#context, this.#layers, this.#globals, job, instance, own)
    return this.#explain(job, scope, this.#decide(job, scope)).detail
  }

  #resolveNeeds(included: readonly Included[]): JobPlan[] {
    const present = new Set(included.map(({ instance }) => instance.name))
    return included.map((one) => {
      const circle = circleOf(one)
      if (circle !== undefined) {
        this.#fail(`${one.instance.name}: ${circle}`, `jobs:${one.job.name}:variables`, one.job)
      }
      const needs = needsOf(one)
      return planJob(
        one,
        this.#globals,
        needs === undefined ? undefined : this.#planNeeds(one, needs, present),
        present,
      )
    })
  }

  #planNeeds({ job, instance }: Included, needs: readonly CompiledNeed[], present: ReadonlySet<string>): PlanNeed[] {
    const planned: PlanNeed[] = []
    for (const need of needs) {
      for (const name of this.#names.instances(need)) {
        if (present.has(name)) planned.push({ job: name, artifacts: need.artifacts, optional: need.optional })
        else if (!need.optional && this.#context.alone !== true) {
          this.#fail(
            `'${instance.name}' job needs '${name}' job, but '${name}' does not exist in the pipeline; rules, only or ` +
              'except may have left it out. To need a job that is sometimes absent, use needs:optional.',
            `jobs:${job.name}:needs`,
            job,
          )
        }
        if (planned.length > limits.needs) {
          this.#fail(
            `${instance.name} job can only need ${limits.needs} others, but needs more`,
            `jobs:${job.name}:needs`,
            job,
          )
          return planned
        }
      }
    }
    return planned
  }

  #fail(message: string, path: string, job?: CompiledJob): void {
    if (this.#errors.length < limits.errors) this.#errors.push({ message, path, ...job?.place })
  }

  #failClause(error: unknown, name: string, path: string, job?: CompiledJob): void {
    if (!(error instanceof ClauseError)) throw error
    this.#fail(`Failed to parse rule for ${name}: ${error.message}`, path, job)
  }

  #failure(): Extract<PlanResult, { ok: false }> {
    return { ok: false, filtered: false, errors: this.#errors, ...this.#explained() }
  }

  #explained(): { decisions?: JobDecision[] } {
    return this.#decisions === undefined ? {} : { decisions: this.#decisions }
  }

  #filteredByWorkflow(rule: CompiledWorkflowRule | undefined): PlanResult {
    const rules = this.#config.workflow.rules ?? []
    const by = rule === undefined ? 'workflow' : `workflow:rules[${rules.indexOf(rule)}]`
    const detail = rule === undefined ? 'no workflow rule matches' : `${clausesText(rule)}when: ${rule.when}`
    for (const { plan, instances } of this.#decisions === undefined ? [] : this.#config.jobs) {
      for (const { name } of instances) {
        this.#decisions?.push({ job: name, stage: plan.stage, included: false, by, detail })
      }
    }
    return this.#filtered('the pipeline was filtered by workflow rules: they admit no pipeline', 'workflow')
  }

  #filtered(message: string, path: string): PlanResult {
    const errors = [{ message, path }]
    return { ok: false, filtered: true, errors, ...this.#explained() }
  }
}

/** GitLab's own sentence (app/models/ci/pipeline.rb: rules_failure_message), and why (lib/gitlab/ci/pipeline/chain/populate.rb). */
const edgesOnly =
  'Pipeline will not run for the selected trigger. The rules configuration prevented any jobs from being added to the ' +
  'pipeline. It contains only jobs in the .pre or .post stages; there must be at least one other job in a different stage.'

/** Rules that did not match which are listed for one job. */
const rulesTold = 10

/** Needs of the rule that matched replace all others, also when they are an empty list. */
function needsOf({ job, instance, rule }: Included): readonly CompiledNeed[] | undefined {
  return rule?.needs ?? instance.needs ?? job.needs
}

const names = new WeakMap<CompiledConfig, JobNames>()

function namesOf(config: CompiledConfig): JobNames {
  let found = names.get(config)
  if (found === undefined) {
    spend(config.jobs.length)
    found = new JobNames(config.jobs)
    names.set(config, found)
  }
  return found
}

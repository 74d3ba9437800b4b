/** Lists the jobs and the described variables of a compiled file for people. */
import type { CiConfig } from './compilation.js'
import { allowsFailure } from './complete-job.js'
import type { CompiledConfig, CompiledPolicy, Prefill } from './config.js'
import type { JobPlan } from './job-definition.js'
import type { ListedJob, ListedPolicy } from './listed-job.js'

/** Every job of a file, whatever rules will say of it. */
export function listJobs(config: CiConfig): ListedJob[] {
  return (config as CompiledConfig).jobs.flatMap((job) =>
    job.instances.map(({ name, needs = job.needs }) => ({
      ...listed(name, job.plan, job.beforeScriptLines),
      when: job.when,
      allowFailure: allowsFailure(job),
      ...(needs === undefined
        ? {}
        : { needs: needs.map(({ job: needed, artifacts, optional }) => ({ job: needed, artifacts, optional })) }),
      ...(job.only === undefined ? {} : { only: toListedPolicy(job.only) }),
      ...(job.except === undefined ? {} : { except: toListedPolicy(job.except) }),
    })),
  )
}

/** Global variables that describe themselves: what a person who starts a pipeline is asked for. */
export function listPrefilled(config: CiConfig): Pick<Prefill, 'key' | 'value' | 'description' | 'options'>[] {
  return (config as CompiledConfig).prefill
    .filter(({ description }) => description !== undefined)
    .map(({ key, value, description, options }) => ({ key, value, description, ...(options ? { options } : {}) }))
}

/** The jobs of one pipeline of the file, whose jobs are `all`. */
export function listPlannedJobs(all: readonly ListedJob[], plans: readonly JobPlan[]): ListedJob[] {
  const lines = new Map(all.map(({ name, beforeScript }) => [name, beforeScript.length]))
  return plans.map((plan) => listed(plan.name, plan, lines.get(plan.name)))
}

function listed(name: string, plan: JobPlan, beforeScriptLines = 0): ListedJob {
  return {
    name,
    stage: plan.stage,
    beforeScript: plan.script.slice(0, beforeScriptLines),
    script: plan.script.slice(beforeScriptLines),
    afterScript: plan.afterScript ?? [],
    tags: plan.tags,
    when: plan.when,
    allowFailure: plan.allowFailure,
    ...(plan.environment === undefined ? {} : { environment: plan.environment.name }),
    ...(plan.needs === undefined ? {} : { needs: plan.needs }),
  }
}

function toListedPolicy({ refs, variables, changes, kubernetes }: CompiledPolicy): ListedPolicy {
  return {
    ...(refs === undefined ? {} : { refs }),
    ...(variables === undefined ? {} : { variables: variables.map(({ source }) => source) }),
    ...(changes === undefined ? {} : { changes }),
    ...(kubernetes === undefined ? {} : { kubernetes: 'active' }),
  }
}

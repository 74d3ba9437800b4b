/** The variables of a job as texts of its configuration may refer to them, with what they refer to themselves put in. */
import { expandText } from '../ci-config/expand.js'
import type { JobPlan } from '../ci-config/job-definition.js'
import type { PlanVariable } from '../ci-config/variables.js'
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import { jobVariables } from '../payload/predefined-variables.js'
import type { Pipeline, PipelineVariables } from '../pipeline.js'
import type { Project } from '../project.js'
import { jobSpan, traceparentOf } from '../trace-context.js'

/** Returns the value of a variable; undefined: the job has none of this name. */
export type VariableLookup = (name: string) => string | undefined

/** `dotenv`: what jobs have reported. Tokens are not looked up: such texts are shown. */
export function lookupFor(
  core: Core,
  job: Job,
  plan: JobPlan,
  from: { pipeline: Pipeline; project: Project; variables: PipelineVariables; dotenv?: readonly PlanVariable[] },
): VariableLookup {
  const { pipeline, project, variables, dotenv = [] } = from
  const own = jobVariables({
    externalUrl: core.externalUrl(),
    projectPath: project.fullPath,
    job: { ...job, stage: plan.stage },
    pipeline,
    plan,
    token: '',
    traceparent: traceparentOf(jobSpan(core.keys, pipeline, job.id)),
  }).filter((one) => !one.masked)
  const values = new Map<string, PlanVariable>()
  const weakestFirst = [...own, ...variables.predefined, ...plan.variables, ...dotenv, ...variables.strong]
  for (const one of weakestFirst) values.set(one.key, one)
  const lookup = (name: string, seen: readonly string[] = []): string | undefined => {
    const found = values.get(name)
    if (!found || found.raw || seen.includes(name)) return found?.value
    return expandText(found.value, (inner) => lookup(inner, [...seen, name]), 'blank')
  }
  return lookup
}

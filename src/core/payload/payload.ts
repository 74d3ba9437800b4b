/**
 * The runner payload: GitLab's job response. What is known only when a runner is given the job (its token, the effective
 * timeout, the runner's own variables, queue figures) fills slots in it. A job that is given away the moment it is queued gets
 * its payload with these filled; one that waits is serialised once, with marks in the slots, which are replaced at the
 * hand-out: that costs a sixth of serialising it again.
 * Shape: gitlab-runner common/spec/spec.go.
 */
import { expandText, expandVariables, forRunner } from '../ci-config/expand.js'
import type { JobPlan } from '../ci-config/job-definition.js'
import type { PlanVariable } from '../ci-config/variables.js'
import { reasonsForRunners } from '../failure.js'
import { isOfFork } from '../forge.js'
import type { Pipeline } from '../pipeline.js'
import type { Project } from '../project.js'
import type { IdTokenClaims } from '../tokens/id-token.js'
import { secretsForRunner } from '../tokens/secrets.js'
import { gitInfo } from './git-info.js'
import { type HandOut, slotsOf } from './hand-out.js'
import { artifactOf, cachesOf, imageOf, inputOf, serviceOf, stepsOf } from './job-fields.js'
import { newMarks, type Slots } from './marks.js'
import { jobVariables } from './predefined-variables.js'
import { textOf, textOnce } from './variable-text.js'

export interface PayloadFacts {
  project: Project
  rootGroupId: number
  externalUrl: string
  /** The job's place in the trace of its pipeline. */
  traceparent: string
  job: { id: number; name: string; runWhen: string; userId: number | null }
  plan: JobPlan
  pipeline: Pick<Pipeline, 'id' | 'iid' | 'name' | 'createdAt' | 'ref' | 'tag' | 'protected' | 'sha' | 'beforeSha'>
  /** Predefined variables of the pipeline, weakest. */
  pipelineVariables: readonly PlanVariable[]
  /** Variables that people have set for the instance, the groups and the project: no service of the job gets them. */
  setVariables: readonly PlanVariable[]
  /** Variables that are stronger still: user, pipeline. */
  strongVariables: readonly PlanVariable[]
  /** Variables that the jobs before it have given: stronger than its YAML, weaker than the rest. */
  dotenvVariables: readonly PlanVariable[]
  /** Jobs whose artifacts this one downloads. */
  dependencies: readonly { id: number; name: string; filename: string; sizeBytes: number }[]
  /** What the job's ID tokens say, but for whom each is; absent: it has none. */
  idTokenClaims?: IdTokenClaims
  /** Depth of the fetch unless `GIT_DEPTH` says otherwise; 0: all. */
  gitDepth: number
}

/** Returns the payload as bytes with marks, for `spliceHandOut`. */
export function buildPayload(facts: PayloadFacts): Buffer {
  const { nonce, marks } = newMarks()
  return Buffer.from(`${nonce}\n${payloadText(facts, marks)}`)
}

/** Returns the payload of a job that is given away at once, as JSON text in UTF-8, ready to be sent. It must have no secrets. */
export function buildHandOut(facts: PayloadFacts, handOut: HandOut): Buffer {
  return Buffer.from(payloadText(facts, slotsOf(handOut)))
}

/** Whether its runner is told to mask more than the job's token: the log is searched for that too, as long as the job runs. */
export function hasSecrets({ plan, dotenvVariables, setVariables, strongVariables }: PayloadFacts): boolean {
  const isMasked = ({ masked }: PlanVariable) => masked === true
  return (
    plan.idTokens !== undefined ||
    [plan.variables, dotenvVariables, setVariables, strongVariables].some((list) => list.some(isMasked))
  )
}

/** What every payload ends with. */
const features = JSON.stringify({
  trace_sections: true,
  token_mask_prefixes: [],
  failure_reasons: reasonsForRunners,
})

/** The variables and the features are texts already, so the rest is serialised in two parts around them. */
function payloadText(facts: PayloadFacts, slots: Slots): string {
  const { list, texts } = variablesOf(facts, slots)
  const before = JSON.stringify(partBefore(facts, slots, list))
  const after = JSON.stringify(partAfter(facts, slots, list))
  return `${before.slice(0, -1)},"variables":[${texts.join()}],${after.slice(1, -1)},"features":${features}}`
}

function partBefore(facts: PayloadFacts, slots: Slots, list: readonly PlanVariable[]): object {
  const { job, plan } = facts
  return {
    id: job.id,
    token: slots.token,
    allow_git_fetch: true,
    job_info: jobInfo(facts, slots),
    git_info: gitInfo(facts, slots, list),
    runner_info: { timeout: slots.timeout },
    ...(plan.inputs ? { inputs: plan.inputs.map(inputOf) } : {}),
  }
}

function partAfter(facts: PayloadFacts, slots: Slots, list: readonly PlanVariable[]): object {
  const { plan } = facts
  return {
    steps: stepsOf(plan, slots),
    ...(plan.hooks?.preGetSources
      ? { hooks: [{ name: 'pre_get_sources_script', script: plan.hooks.preGetSources }] }
      : {}),
    image: plan.image ? imageOf(plan.image) : null,
    services: (plan.services ?? []).map(serviceOf),
    artifacts: (plan.artifacts ?? []).map(artifactOf),
    cache: cachesOf(facts),
    credentials: [],
    dependencies: facts.dependencies.map((dependency) => ({
      id: dependency.id,
      name: dependency.name,
      token: slots.token,
      artifacts_file: { filename: dependency.filename, size: dependency.sizeBytes },
    })),
    ...(plan.run ? { run: JSON.stringify(plan.run) } : {}),
    ...(plan.secrets ? { secrets: secretsForRunner(plan, list) } : {}),
  }
}

function jobInfo({ project, job, plan, pipeline, rootGroupId }: PayloadFacts, slots: Slots): object {
  return {
    id: job.id,
    name: job.name,
    stage: plan.stage,
    pipeline_id: pipeline.id,
    project_id: project.id,
    project_name: project.name,
    project_full_path: project.fullPath,
    namespace_id: project.groupId,
    root_namespace_id: rootGroupId,
    organization_id: 1,
    user_id: job.userId ?? 0,
    time_in_queue_seconds: slots.waited,
    project_jobs_running_on_instance_runners_count: slots.running,
    queue_size: slots.size,
    queue_depth: slots.depth,
  }
}

/** Variables as the job gets them, weakest first, and the text of each. */
function variablesOf(facts: PayloadFacts, slots: Slots): { list: PlanVariable[]; texts: string[] } {
  const { project, job, plan, pipeline, pipelineVariables, setVariables, strongVariables } = facts
  const own = jobVariables({
    externalUrl: facts.externalUrl,
    projectPath: project.fullPath,
    job: { id: job.id, name: job.name, runWhen: job.runWhen, stage: plan.stage },
    pipeline,
    plan,
    token: slots.token,
    traceparent: facts.traceparent,
  })
  // Others trust such a token because of the project: what a stranger has written is not given one.
  if (plan.idTokens && !isOfFork(pipeline)) own.push(...idTokens(facts, slots))
  const setFrom = own.length + pipelineVariables.length + plan.variables.length + facts.dotenvVariables.length
  const strongFrom = setFrom + setVariables.length
  const list = expand([
    ...own,
    ...pipelineVariables,
    ...plan.variables,
    ...facts.dotenvVariables,
    ...setVariables,
    ...strongVariables,
  ])
  const textAt = (at: number) => {
    const one = list[at]!
    const isSet = at >= setFrom && at < strongFrom
    const isPublic = !isSet && (!one.masked || pipelineVariables.some(({ key }) => key === one.key))
    // What a person has set is another object each time; the rest may serve many jobs.
    return isSet || at < own.length ? textOf(one, isPublic) : textOnce(one, isPublic)
  }
  const texts: string[] = []
  for (let at = 0; at < own.length; at++) texts.push(textAt(at))
  // The runner's own come after the pipeline's and before the job's YAML.
  if (pipelineVariables.length > 0) texts.push(slots.pipeline)
  texts.push(slots.runner)
  for (let at = own.length + pipelineVariables.length; at < list.length; at++) texts.push(textAt(at))
  return { list, texts }
}

function expand(list: readonly PlanVariable[]): PlanVariable[] {
  return expandVariables(list, forRunner).variables
}

/** A variable for each ID token, with all that it will say as its mark. Whom it is for may refer to what people have set. */
function idTokens(facts: PayloadFacts, slots: Slots): PlanVariable[] {
  const { plan, pipelineVariables, dotenvVariables, setVariables, strongVariables } = facts
  const known = new Map(
    expand([...pipelineVariables, ...plan.variables, ...dotenvVariables, ...setVariables, ...strongVariables]).map(
      ({ key, value }) => [key, value],
    ),
  )
  const put = (text: string) => expandText(text, (name) => known.get(name), 'blank')
  return Object.entries(plan.idTokens ?? {}).map(([key, { aud }]) => {
    const claims = { ...facts.idTokenClaims, aud: typeof aud === 'string' ? put(aud) : aud.map(put) }
    const encoded = Buffer.from(JSON.stringify({ key, claims })).toString('base64url')
    return { key, value: `${slots.idToken}${encoded}@`, masked: true }
  })
}

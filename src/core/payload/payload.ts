/**
 * The runner payload: GitLab's job response. It is serialised once, when the job enters the queue; what is known only when
 * a runner is given the job (its token, the effective timeout, the runner's own variables, queue figures) stands in the
 * text as marks and is spliced in then, which costs a sixth of serialising it again.
 * Shape: gitlab-runner common/spec/spec.go.
 */
import { expandText } from '../ci-config/expand.js'
import type { JobPlan } from '../ci-config/job-definition.js'
import type { PlanVariable } from '../ci-config/variables.js'
import { reasonsForRunners } from '../failure.js'
import type { Project } from '../project.js'
import type { IdTokenClaims } from '../tokens/id-token.js'
import { secretsForRunner } from '../tokens/secrets.js'
import { gitInfo } from './git-info.js'
import { artifactOf, cachesOf, imageOf, inputOf, serviceOf, stepsOf } from './job-fields.js'
import { type Marks, newMarks } from './marks.js'
import { jobVariables } from './predefined-variables.js'
import { textOf, textOnce } from './variable-text.js'

export interface PayloadFacts {
  project: Project
  rootGroupId: number
  externalUrl: string
  job: { id: number; name: string; runWhen: string; userId: number | null }
  plan: JobPlan
  pipeline: {
    id: number
    iid: number
    name: string | null
    createdAt: number
    ref: string
    tag: boolean
    protected: boolean
    sha: string
    beforeSha: string
  }
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

/** Returns the payload as bytes with marks, for `spliceHandOut`. `expand` turns variables into what a runner gets. */
export function buildPayload(facts: PayloadFacts, expand: (list: PlanVariable[]) => PlanVariable[]): Buffer {
  const { nonce, marks } = newMarks()
  const { list, texts } = variablesOf(facts, marks, expand)
  const [before, after] = JSON.stringify(payloadOf(facts, marks, list)).split(JSON.stringify(marks.variables))
  return Buffer.from(`${nonce}\n${before}[${texts.join()}]${after}`)
}

/** The payload with a mark for its variables, which `list` has as they are. */
function payloadOf(facts: PayloadFacts, marks: Marks, list: readonly PlanVariable[]): object {
  const { job, plan } = facts
  return {
    id: job.id,
    token: marks.token,
    allow_git_fetch: true,
    job_info: jobInfo(facts, marks),
    git_info: gitInfo(facts, marks, list),
    runner_info: { timeout: marks.timeout },
    ...(plan.inputs ? { inputs: plan.inputs.map(inputOf) } : {}),
    variables: marks.variables,
    steps: stepsOf(plan, marks),
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
      token: marks.token,
      artifacts_file: { filename: dependency.filename, size: dependency.sizeBytes },
    })),
    ...(plan.run ? { run: JSON.stringify(plan.run) } : {}),
    ...(plan.secrets ? { secrets: secretsForRunner(plan, list) } : {}),
    features: {
      trace_sections: true,
      token_mask_prefixes: [],
      failure_reasons: reasonsForRunners,
    },
  }
}

function jobInfo({ project, job, plan, pipeline, rootGroupId }: PayloadFacts, marks: Marks): object {
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
    time_in_queue_seconds: marks.waited,
    project_jobs_running_on_instance_runners_count: marks.running,
    queue_size: marks.size,
    queue_depth: marks.depth,
  }
}

/** Variables as the job gets them, weakest first, and the text of each; marks among the texts stand for those of the hand-out. */
function variablesOf(
  facts: PayloadFacts,
  marks: Marks,
  expand: (list: PlanVariable[]) => PlanVariable[],
): { list: PlanVariable[]; texts: string[] } {
  const { project, job, plan, pipeline } = facts
  const predefined = new Set(facts.pipelineVariables.map((one) => one.key))
  const own = jobVariables({
    externalUrl: facts.externalUrl,
    projectPath: project.fullPath,
    job: { ...job, stage: plan.stage },
    pipeline,
    plan,
    token: marks.token,
  })
  if (plan.idTokens) own.push(...idTokens(facts, marks, expand))
  const weaker = [...own, ...facts.pipelineVariables, ...plan.variables, ...facts.dotenvVariables]
  const list = expand([...weaker, ...facts.setVariables, ...facts.strongVariables])
  const isSet = (at: number) => at >= weaker.length && at < weaker.length + facts.setVariables.length
  const isStrong = (at: number) => at >= list.length - facts.strongVariables.length
  const textAt = (at: number) => {
    const one = list[at]!
    const isPublic = !isSet(at) && (!one.masked || predefined.has(one.key))
    return isStrong(at) ? textOnce(one, isPublic) : textOf(one, isPublic)
  }
  // The runner's own come after the pipeline's and before the job's YAML.
  const shared = facts.pipelineVariables.length > 0 ? [marks.pipeline, marks.runner] : [marks.runner]
  const texts = [
    ...range(0, own.length).map(textAt),
    ...shared.map((mark) => JSON.stringify(mark)),
    ...range(own.length + facts.pipelineVariables.length, list.length).map(textAt),
  ]
  return { list, texts }
}

/** A variable for each ID token, with all that it will say as its mark. Whom it is for may refer to what people have set. */
function idTokens(facts: PayloadFacts, marks: Marks, expand: (list: PlanVariable[]) => PlanVariable[]): PlanVariable[] {
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
    return { key, value: `${marks.idToken}${encoded}@`, masked: true }
  })
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

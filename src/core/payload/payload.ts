/**
 * The runner payload: GitLab's job response. It is serialised once, when the job enters the queue; what is known only when
 * a runner is given the job (its token, the effective timeout, the runner's own variables, queue figures) stands in the
 * text as marks and is spliced in then, which costs a sixth of serialising it again.
 * Shape: gitlab-runner common/spec/spec.go.
 */
import { randomBytes } from 'node:crypto'
import { expandText } from '../ci-config/expand.js'
import type { JobPlan, PlanInput } from '../ci-config/job-definition.js'
import type { PlanVariable } from '../ci-config/variables.js'
import { reasonsForRunners } from '../failure.js'
import type { Project } from '../project.js'
import type { IdTokenClaims } from '../tokens/id-token.js'
import { secretsForRunner } from '../tokens/secrets.js'
import { jobVariables, repositoryUrl } from './predefined-variables.js'
import { releaseScript } from './release-step.js'

/** Stands in the text for what is spliced in. Its random part makes sure that no job's own text looks like it. */
interface Marks {
  token: string
  timeout: string
  runner: string
  waited: string
  running: string
  size: string
  depth: string
  /** Begins the mark of an ID token; its claims follow, up to the end of the mark. */
  idToken: string
  /** The whole list of variables, when the payload is built. */
  variables: string
  /** The pipeline's predefined variables, which all its jobs have alike: most of the text, and kept once. */
  pipeline: string
}

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

/** What the moment of the hand-out knows. */
/** What the runner's metrics tell of the queue that the job came out of. Rule: gitlab app/services/ci/register_job_service.rb */
export interface QueueFigures {
  /** Jobs that the runner could have been given, this one counted. */
  size: number
  /** Where it stood among those that were tried. */
  depth: number
}

export interface HandOut {
  token: string
  timeoutS: number
  runner: { id: number; description: string; tags: readonly string[] }
  /** Whole seconds in the queue; null if unknown. */
  waitedS: number | null
  /** `project_jobs_running_on_instance_runners_count`: "0" to "4", "5+", "+Inf". */
  running: string
  queue: QueueFigures
  /** Predefined variables of the pipeline, as they were when the payload was built. */
  pipelineVariables: readonly PlanVariable[]
  /** Signs an ID token with the claims of its mark, for a job that has such. */
  idToken?: (claims: string) => string
}

/** The payload as bytes with marks, for `spliceHandOut`. `expand` turns variables into what a runner gets. */
export function buildPayload(facts: PayloadFacts, expand: (list: PlanVariable[]) => PlanVariable[]): Buffer {
  const nonce = randomBytes(8).toString('hex')
  const mark = (name: string) => `@${nonce}:${name}@`
  const marks: Marks = {
    token: mark('token'),
    timeout: mark('timeout'),
    runner: mark('runner'),
    waited: mark('waited'),
    running: mark('running'),
    size: mark('size'),
    depth: mark('depth'),
    idToken: `@${nonce}:${idTokenMark}`,
    variables: mark('variables'),
    pipeline: mark('pipeline'),
  }
  const { payload, variables } = payloadOf(facts, marks, expand)
  const [before, after] = JSON.stringify(payload).split(JSON.stringify(marks.variables))
  return Buffer.from(`${nonce}\n${before}[${variables.join()}]${after}`)
}

/** The payload for one hand-out: JSON text, ready to be sent. */
export function spliceHandOut(stored: Uint8Array, handOut: HandOut): Buffer {
  const text = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength).toString('utf8')
  const nonce = text.slice(0, 16)
  const { token, timeoutS, runner, waitedS, running, queue, pipelineVariables, idToken } = handOut
  const whole: Record<string, string> = {
    timeout: String(timeoutS),
    waited: waitedS === null ? 'null' : String(waitedS),
    size: String(queue.size),
    depth: String(queue.depth),
    runner: runnerVariables(runner),
    pipeline: textOfAll(pipelineVariables),
  }
  // A mark that stands for a whole value goes with its quotes, one inside a text without.
  const parts = text.slice(17).split(`@${nonce}:`)
  let out = parts[0]!
  for (const part of parts.slice(1)) {
    const end = part.indexOf('@')
    const name = part.slice(0, end)
    const value = whole[name]
    if (name.startsWith(idTokenMark)) out += (idToken?.(name.slice(idTokenMark.length)) ?? '') + part.slice(end + 1)
    else if (value === undefined) out += (name === 'token' ? token : running) + part.slice(end + 1)
    else out = out.slice(0, -1) + value + part.slice(end + 2)
  }
  return Buffer.from(out)
}

/** The values that the runner is told to mask, besides the job's token. `idToken`: signs those of this hand-out. */
export function maskedIn(stored: Uint8Array, idToken: (claims: string) => string): string[] {
  const text = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength).toString('utf8')
  const mark = `@${text.slice(0, 16)}:`
  const { variables }: { variables: { value?: string; masked?: boolean }[] } = JSON.parse(text.slice(17))
  return variables.flatMap(({ value, masked }) => {
    if (!masked || !value) return []
    if (value.startsWith(mark + idTokenMark)) return [idToken(value.slice(mark.length + idTokenMark.length, -1))]
    return value.includes(mark) ? [] : [value]
  })
}

function runnerVariables(runner: HandOut['runner']): string {
  const list: [string, string][] = [
    ['CI_RUNNER_ID', String(runner.id)],
    ['CI_RUNNER_DESCRIPTION', runner.description],
    ['CI_RUNNER_TAGS', JSON.stringify(runner.tags)],
  ]
  return list.map(([key, value]) => JSON.stringify(variable({ key, value, raw: true }, true))).join(',')
}

/** The payload with a mark for its variables, and the text of each of these. */
function payloadOf(
  facts: PayloadFacts,
  marks: Marks,
  expand: (list: PlanVariable[]) => PlanVariable[],
): { payload: object; variables: string[] } {
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
  const variables = [
    ...range(0, own.length).map(textAt),
    ...shared.map((mark) => JSON.stringify(mark)),
    ...range(own.length + facts.pipelineVariables.length, list.length).map(textAt),
  ]
  const payload = {
    id: job.id,
    token: marks.token,
    allow_git_fetch: true,
    job_info: {
      id: job.id,
      name: job.name,
      stage: plan.stage,
      pipeline_id: pipeline.id,
      project_id: project.id,
      project_name: project.name,
      project_full_path: project.fullPath,
      namespace_id: project.groupId,
      root_namespace_id: facts.rootGroupId,
      organization_id: 1,
      user_id: job.userId ?? 0,
      time_in_queue_seconds: marks.waited,
      project_jobs_running_on_instance_runners_count: marks.running,
      queue_size: marks.size,
      queue_depth: marks.depth,
    },
    git_info: gitInfo(facts, marks, list),
    runner_info: { timeout: marks.timeout },
    ...(plan.inputs ? { inputs: plan.inputs.map(inputOf) } : {}),
    variables: marks.variables,
    steps: stepsOf(plan, marks),
    ...(plan.hooks?.preGetSources
      ? { hooks: [{ name: 'pre_get_sources_script', script: plan.hooks.preGetSources }] }
      : {}),
    image: plan.image ? image(plan.image) : null,
    services: (plan.services ?? []).map((service) => ({
      ...image(service),
      alias: service.alias ?? null,
      command: service.command ?? null,
      variables: (service.variables ?? []).map((one) => variable(one, true)),
    })),
    artifacts: (plan.artifacts ?? []).map((artifact) => ({
      ...(artifact.name === undefined ? {} : { name: artifact.name }),
      untracked: artifact.untracked ?? false,
      paths: artifact.paths,
      ...(artifact.exclude ? { exclude: artifact.exclude } : {}),
      when: artifact.when,
      ...(artifact.expireIn === undefined ? {} : { expire_in: artifact.expireIn }),
      artifact_type: artifact.type,
      artifact_format: artifact.format,
    })),
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
  return { payload, variables }
}

const idTokenMark = 'id_token:'

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

function gitInfo(facts: PayloadFacts, marks: Marks, variables: readonly PlanVariable[]): object {
  const { project, pipeline, externalUrl } = facts
  const wanted = variables.findLast((one) => one.key === 'GIT_DEPTH')?.value
  const depth = wanted !== undefined && /^\d{1,9}$/.test(wanted) ? Number(wanted) : facts.gitDepth
  const pinned = `+refs/pipelines/${pipeline.id}:refs/pipelines/${pipeline.id}`
  const own = pipeline.tag
    ? `+refs/tags/${pipeline.ref}:refs/tags/${pipeline.ref}`
    : `+refs/heads/${pipeline.ref}:refs/remotes/origin/${pipeline.ref}`
  return {
    repo_url: repositoryUrl(externalUrl, project.fullPath, marks.token),
    repo_object_format: pipeline.sha.length === 64 ? 'sha256' : 'sha1',
    ref: pipeline.ref,
    ref_type: pipeline.tag ? 'tag' : 'branch',
    sha: pipeline.sha,
    before_sha: pipeline.beforeSha,
    refspecs: pipeline.ref.startsWith('refs/')
      ? [pinned]
      : depth > 0
        ? [pinned, own]
        : [pinned, '+refs/heads/*:refs/remotes/origin/*', '+refs/tags/*:refs/tags/*'],
    depth,
    protected: pipeline.protected,
  }
}

function stepsOf(plan: JobPlan, marks: Marks): object[] {
  if (plan.run) return []
  const steps: object[] = [
    { name: 'script', script: plan.script, timeout: marks.timeout, when: 'on_success', allow_failure: false },
  ]
  if (plan.release) {
    steps.push({
      name: 'release',
      script: releaseScript(plan.release),
      timeout: marks.timeout,
      when: 'on_success',
      allow_failure: false,
    })
  }
  if (plan.afterScript?.length) {
    steps.push({
      name: 'after_script',
      script: plan.afterScript,
      timeout: marks.timeout,
      when: 'always',
      allow_failure: true,
    })
  }
  return steps
}

/** Every key carries how often the caches were cleared, and whose they are: gitlab app/models/ci/build.rb, `cache`. */
function cachesOf({ plan, pipeline, project }: PayloadFacts): object[] {
  const index = project.cacheIndex > 0 ? `-${project.cacheIndex}` : ''
  return (plan.caches ?? []).map((cache) => {
    const suffix = pipeline.protected && !cache.unprotect ? '-protected' : '-non_protected'
    const full = (key: string) => `${key}${index}${suffix}`
    return {
      key: full(typeof cache.key === 'string' ? cache.key : 'default'),
      untracked: cache.untracked ?? false,
      policy: cache.policy,
      paths: cache.paths,
      when: cache.when,
      ...(cache.fallbackKeys ? { fallback_keys: cache.fallbackKeys.map(full) } : {}),
    }
  })
}

function image(from: { name: string; entrypoint?: string[]; pullPolicy?: string[]; executorOpts?: object }): object {
  return {
    name: from.name,
    ...(from.entrypoint ? { entrypoint: from.entrypoint } : {}),
    ...(from.pullPolicy ? { pull_policy: from.pullPolicy } : {}),
    ...(from.executorOpts ? { executor_opts: from.executorOpts } : {}),
  }
}

function inputOf({ key, value }: PlanInput): object {
  return { key, value: { ...value, sensitive: false } }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

function textOf(one: PlanVariable, isPublic: boolean): string {
  return JSON.stringify(variable(one, isPublic))
}

/** Predefined variables are raw, so a job changes none of them. */
const textsOfAll = new WeakMap<readonly PlanVariable[], string>()

function textOfAll(list: readonly PlanVariable[]): string {
  let text = textsOfAll.get(list)
  if (text === undefined) {
    text = list.map((one) => textOf(one, true)).join()
    textsOfAll.set(list, text)
  }
  return text
}

/** A pipeline's own variables serve all its jobs: their texts are kept as long as the objects live. */
const texts = { public: new WeakMap<PlanVariable, string>(), hidden: new WeakMap<PlanVariable, string>() }

function textOnce(one: PlanVariable, isPublic: boolean): string {
  const known = texts[isPublic ? 'public' : 'hidden']
  let text = known.get(one)
  if (text === undefined) {
    text = textOf(one, isPublic)
    known.set(one, text)
  }
  return text
}

function variable(one: PlanVariable, isPublic: boolean): object {
  return {
    key: one.key,
    value: one.value,
    public: isPublic,
    masked: one.masked ?? false,
    file: one.file ?? false,
    raw: one.raw ?? false,
  }
}

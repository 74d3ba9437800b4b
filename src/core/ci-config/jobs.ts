/** A part of compiling: the jobs of a document, from their keywords to compiled jobs. */
import { compiledRules, toPolicy } from './compile-rules.js'
import type { CompiledJob } from './config.js'
import type { Findings } from './findings.js'
import { resolveInputs } from './inputs.js'
import { type Bridge, bridgeShape, deprecatedReasons, type Job, jobShape } from './keywords/job.js'
import type { Need } from './keywords/needs.js'
import { reservedNames, rootKeys } from './keywords/root.js'
import { limits } from './limits.js'
import { compiledNeeds } from './needs.js'
import { type Entry, isBlank, type MapNode, quote, type Scalar } from './node.js'
import { hasMatrixExpression, instancesOf, matrixProblem, replaceMatrixExpressions } from './parallel.js'
import { beforeScriptOf, type Defaults, staticBridgePlan, staticPlan } from './static-definition.js'
import { nearest } from './suggest.js'
import { join, validate } from './validate.js'
import { toPlanVariables } from './variables.js'

/** What all jobs of a file have around them. */
export interface Surroundings {
  defaults: Defaults
  /** Absent when the list of stages was refused: nothing can be said of a job's stage then. */
  stages: readonly string[] | undefined
  hasWorkflowRules: boolean
  findings: Findings
}

/** A compiled job and what the checks between jobs still have to know. */
export interface JobDraft {
  job: CompiledJob
  node: MapNode
  /** Place of its name. */
  at: number
  path: string
  dependencies?: string[]
  onStop?: string
}

/** The jobs of a document as far as they are right. */
export interface Jobs {
  drafts: JobDraft[]
  /** Names of jobs in which something is wrong. That others need them is no fault of those others. */
  refused: ReadonlySet<string>
}

/**
 * Compiles every job of the merged document.
 *
 * What kind of job a map is follows from its keys, first match: hidden by its name, then `script` or `run`, then
 * `trigger` or `needs` (lib/gitlab/ci/config/entry/jobs.rb).
 */
export function readJobs(root: MapNode, around: Surroundings): Jobs {
  const drafts: JobDraft[] = []
  const refused = new Set<string>()
  const { findings } = around
  const names = new Set<string>()
  let visible = 0
  let rules = 0
  for (const [name, entry] of root.entries) {
    if (typeof name === 'string' && Object.hasOwn(rootKeys, name)) continue
    if (findings.full) break
    if (!isVisibleJob(name, entry, findings)) continue
    visible++
    const draft = readJob(name, entry, around)
    if (draft === undefined) {
      refused.add(name)
      continue
    }
    for (const instance of draft.job.instances) {
      if (names.has(instance.name))
        findings.error(`another job is named ${quote(instance.name)}, too`, entry.at, draft.path)
      names.add(instance.name)
    }
    if (names.size > limits.jobsPerFile) {
      findings.error(`more than ${limits.jobsPerFile} jobs`, entry.at, draft.path)
      return { drafts, refused }
    }
    rules += (draft.job.rules?.length ?? 0) * draft.job.instances.length
    if (rules > limits.rulesPerFile) {
      findings.error(`more than ${limits.rulesPerFile} rules, counted for each job`, entry.at, draft.path)
      return { drafts, refused }
    }
    drafts.push(draft)
  }
  if (visible === 0 && !findings.failed)
    findings.error('jobs config should contain at least one visible job', root.at, 'jobs')
  return { drafts, refused }
}

function isVisibleJob(name: Scalar, entry: Entry, findings: Findings): name is string {
  const path = `jobs:${name}`
  if (typeof name !== 'string') {
    findings.error(`the job name ${name} must be a string; put it in quotes`, entry.at, path)
  } else if (name.trim() === '') {
    findings.error("job name can't be blank", entry.at, path)
  } else if (name.startsWith('.')) {
    if (isBlank(entry.value)) findings.error("a hidden job can't be blank", entry.at, path)
  } else if (reservedNames.has(name)) {
    findings.error(`${JSON.stringify(name)} is reserved and can't name a job`, entry.at, path)
  } else if (name.length > limits.nameCharacters) {
    findings.error(`the job name is too long: ${limits.nameCharacters} characters at most`, entry.at, path)
  } else {
    return true
  }
  return false
}

/** What was meant by a job without a script: the script under a misspelt keyword, or a keyword of the file itself. */
function hintFor(name: string, node: Entry['value']): string {
  for (const key of node.kind === 'map' ? node.entries.keys() : []) {
    const meant = typeof key === 'string' ? nearest(key, ['script', 'run', 'trigger']) : undefined
    if (meant !== undefined) return ` (did you mean ${JSON.stringify(meant)} by ${JSON.stringify(key)}?)`
  }
  const near = nearest(name, Object.keys(rootKeys))
  return near === undefined ? '' : ` (did you mean the keyword ${JSON.stringify(near)}?)`
}

function readJob(name: string, entry: Entry, around: Surroundings): JobDraft | undefined {
  const { findings } = around
  const { value: node } = entry
  const path = `jobs:${name}`
  // A key counts even with null: what it lacks is told by the kind of job that it makes.
  const has = (key: string): boolean => node.kind === 'map' && node.entries.has(key)
  const runs = has('script') || has('run')
  if (node.kind !== 'map' || !(runs || has('trigger') || has('needs'))) {
    findings.error(
      `${name} config should implement the script:, run:, or trigger: keyword${hintFor(name, node)}`,
      entry.at,
      path,
    )
    return undefined
  }
  if (runs && has('trigger')) {
    const key = has('script') ? 'script' : 'run'
    findings.error(`the keys ${key} and trigger can't be used together`, entry.at, path)
    return undefined
  }
  const draft = runs ? readScriptJob(name, entry, node, path, around) : readTriggerJob(name, entry, node, path, around)
  if (draft !== undefined) warnAboutPipelines(draft, around)
  return draft
}

function readScriptJob(
  name: string,
  entry: Entry,
  node: MapNode,
  path: string,
  around: Surroundings,
): JobDraft | undefined {
  const job = validate(jobShape, node, path, around.findings)
  if (job === undefined) return undefined
  const stage = job.stage ?? 'test'
  if (job.publish !== undefined && name !== 'pages' && (job.pages === undefined || job.pages === false)) {
    around.findings.error(
      'publish can only be used within a pages job',
      placeOf(node, 'publish'),
      join(path, 'publish'),
    )
  }
  if (job.publish !== undefined && typeof job.pages === 'object' && job.pages.publish !== undefined) {
    around.findings.error("publish and pages:publish can't be used together", placeOf(node, 'publish'), path)
  }
  const { problems } = resolveInputs(job.inputs ?? new Map(), undefined, node.at)
  for (const { message, at } of problems) {
    around.findings.error(message, at ?? placeOf(node, 'inputs'), join(path, 'inputs'))
  }
  for (const reason of job.retry?.when ?? []) {
    if (!deprecatedReasons.has(reason)) continue
    around.findings.warn(`retry:when uses the deprecated value ${reason}`, placeOf(node, 'retry'), join(path, 'retry'))
  }
  const inherited = inheritedBy(job, around.defaults)
  const plan = staticPlan(name, job, inherited, stage, stageIndex(around, stage))
  const draft = common(name, entry, node, path, job, plan, around)
  if (draft === undefined) return undefined
  const lines = beforeScriptOf(job, inherited).length
  if (lines > 0) draft.job.beforeScriptLines = lines
  const { allow_failure: allowFailure, start_in: startIn } = job
  if (typeof allowFailure === 'boolean') draft.job.allowFailure = allowFailure
  else if (allowFailure !== undefined) draft.job.allowFailureExitCodes = allowFailure.exit_codes
  if (startIn !== undefined) draft.job.startInSeconds = startIn
  if (job.dependencies !== undefined) draft.dependencies = job.dependencies
  return draft
}

function readTriggerJob(
  name: string,
  entry: Entry,
  node: MapNode,
  path: string,
  around: Surroundings,
): JobDraft | undefined {
  const bridge = validate(bridgeShape, node, path, around.findings)
  if (bridge === undefined) return undefined
  const stage = bridge.stage ?? 'test'
  const plan = staticBridgePlan(name, bridge, inheritedBy(bridge, around.defaults), stage, stageIndex(around, stage))
  const draft = common(name, entry, node, path, bridge, plan, around)
  if (draft !== undefined && bridge.allow_failure !== undefined) draft.job.allowFailure = bridge.allow_failure
  return draft
}

function common(
  name: string,
  entry: Entry,
  node: MapNode,
  path: string,
  job: Job | Bridge,
  plan: CompiledJob['plan'],
  around: Surroundings,
): JobDraft | undefined {
  const { findings, stages } = around
  if (plan.stageIndex === -1 && stages !== undefined) {
    const available = stages.join(', ')
    const at = placeOf(node, 'stage', entry.at)
    findings.error(
      `chosen stage ${plan.stage} does not exist; available stages are ${available}`,
      at,
      join(path, 'stage'),
    )
  }
  if (job.parallel !== undefined && 'matrix' in job.parallel) {
    const problem = matrixProblem(job.parallel.matrix)
    if (problem !== undefined) {
      findings.error(problem, placeOf(node, 'parallel'), join(path, 'parallel:matrix'))
      return undefined
    }
  }
  const instances = instancesOf(name, job.parallel)
  const long = instances.find((instance) => instance.name.length > limits.nameCharacters)
  if (long !== undefined) {
    const message = `the name ${quote(long.name.slice(0, 60))}… is too long: ${limits.nameCharacters} characters at most`
    findings.error(message, placeOf(node, 'parallel'), join(path, 'parallel'))
  }
  const compiled: CompiledJob = {
    name,
    place: findings.sources.locate(entry.at) ?? {},
    plan,
    instances,
    when: job.when ?? 'on_success',
    variables: toPlanVariables(job.variables),
  }
  const draft: JobDraft = { job: compiled, node, at: entry.at, path }
  addWhenIncluded(compiled, job, around)
  const inherited = job.inherit?.variables
  if (inherited !== undefined && inherited !== true) compiled.inheritVariables = inherited
  if (job.needs?.every((need) => need.kind !== 'bridge') === true) {
    addNeeds(draft, job.needs, findings)
  }
  if (plan.environment?.onStop !== undefined) draft.onStop = plan.environment.onStop
  return draft
}

/** `only` and `except`, or `rules`. Without either, only branches and tags are meant. */
function addWhenIncluded(compiled: CompiledJob, job: Job | Bridge, around: Surroundings): void {
  if (job.rules !== undefined) compiled.rules = job.rules === null ? null : compiledRules(job.rules)
  const only = job.only ?? undefined
  const except = job.except ?? undefined
  const byDefault = job.rules === undefined && !around.hasWorkflowRules
  if (only !== undefined) compiled.only = toPolicy(only, ['branches', 'tags'])
  else if (byDefault) compiled.only = { refs: ['branches', 'tags'] }
  if (except !== undefined) compiled.except = toPolicy(except)
}

/** Needs with matrix expressions differ between the instances of the job. */
function addNeeds(draft: JobDraft, needs: Need[], findings: Findings): void {
  const { job } = draft
  if (!needs.some((need) => need.kind === 'job' && needTexts(need).some(hasMatrixExpression))) {
    job.needs = compiledNeeds(needs)
    return
  }
  for (const instance of job.instances) {
    const values = new Map([...job.variables, ...(instance.variables ?? [])].map(({ key, value }) => [key, value]))
    let missing: string | undefined
    const fill = (text: string): string =>
      replaceMatrixExpressions(text, (name) => {
        const value = values.get(name)
        if (value === undefined) missing ??= name
        return value ?? ''
      })
    instance.needs = compiledNeeds(needs.map((need) => fillNeed(need, fill)))
    if (missing !== undefined) {
      const at = placeOf(draft.node, 'needs')
      findings.error(
        `${job.name} job: '${missing}' does not exist in matrix configuration`,
        at,
        join(draft.path, 'needs'),
      )
      return
    }
  }
}

function needTexts(need: Extract<Need, { kind: 'job' }>): string[] {
  return [need.job, ...(need.matrix ?? []).flatMap((map) => [...map.values()].flat())]
}

function fillNeed(need: Need, fill: (text: string) => string): Need {
  if (need.kind !== 'job') return need
  const matrix = need.matrix?.map((map) => new Map(Array.from(map, ([key, values]) => [key, values.map(fill)])))
  return { ...need, job: fill(need.job), ...(matrix === undefined ? {} : { matrix }) }
}

/** The defaults that a job takes over. A keyword that it gives, even as an empty list, hides the default altogether. */
function inheritedBy(job: Job | Bridge, defaults: Defaults): Defaults {
  const wanted = job.inherit?.default
  if (wanted === undefined || wanted === true) return defaults
  if (wanted === false) return {}
  return Object.fromEntries(Object.entries(defaults).filter(([key]) => wanted.includes(key as keyof Defaults)))
}

/** A last rule that admits every event makes one pipeline for the branch and one for its merge request. */
function warnAboutPipelines({ job, node, path }: JobDraft, around: Surroundings): void {
  const last = job.rules?.at(-1)
  if (around.hasWorkflowRules || last === undefined || last.when === undefined || last.when === 'never') return
  if (Object.keys(last).length > 1) return
  around.findings.warn(
    'rules may allow multiple pipelines to run for a single action: the last one admits every event',
    placeOf(node, 'rules'),
    join(path, 'rules'),
  )
}

function stageIndex({ stages }: Surroundings, stage: string): number {
  return stages?.indexOf(stage) ?? -1
}

function placeOf(node: MapNode, key: string, otherwise = node.at): number {
  return node.entries.get(key)?.at ?? otherwise
}

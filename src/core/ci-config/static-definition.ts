/** A part of compiling: what no event changes about a job. */
import { resolveInputs } from './inputs.js'
import type { JobPlan, PlanArtifact, PlanInput } from './job-definition.js'
import { type Artifacts, coverageFormats, reportTypes } from './keywords/artifacts.js'
import type { Bridge, Job } from './keywords/job.js'
import type { defaults } from './keywords/root.js'
import { toPlain } from './plain.js'
import type { ValueOf } from './shape.js'

export type Defaults = ValueOf<typeof defaults>

/** From the keywords of a job, and the defaults that it takes, to what no event changes about it. */
export function staticPlan(name: string, job: Job, inherited: Defaults, stage: string, stageIndex: number): JobPlan {
  const own = <K extends keyof Defaults>(key: K): Job[K] | Defaults[K] => job[key] ?? inherited[key]
  const plan = emptyPlan(name, 'build', stage, stageIndex)
  plan.tags = own('tags') ?? []
  plan.script = scriptOf(job, inherited)
  const afterScript = job.run === undefined ? own('after_script') : undefined
  const hooks = own('hooks')
  const image = own('image')
  const services = own('services')
  const publish = publishedPath(name, job)
  const artifacts = toArtifacts(own('artifacts'), publish)
  const caches = own('cache')
  const retry = own('retry')
  const timeout = own('timeout')
  const idTokens = own('id_tokens')
  if (afterScript !== undefined && afterScript.length > 0) plan.afterScript = afterScript
  if (hooks?.pre_get_sources_script !== undefined) plan.hooks = { preGetSources: hooks.pre_get_sources_script }
  if (image !== undefined) plan.image = image
  if (services !== undefined) plan.services = services
  if (artifacts.length > 0) plan.artifacts = artifacts
  if (caches !== undefined && caches.length > 0) plan.caches = caches
  if (retry !== undefined) plan.retry = retry
  if (timeout !== undefined) plan.timeoutSeconds = timeout
  if (job.dependencies !== undefined) plan.dependencies = job.dependencies
  if (job.coverage !== undefined) plan.coverage = job.coverage
  if (job.manual_confirmation !== undefined) plan.manualConfirmation = job.manual_confirmation
  if (idTokens !== undefined) plan.idTokens = idTokens
  if (job.secrets !== undefined) plan.secrets = job.secrets
  if (job.inputs !== undefined) plan.inputs = toInputs(job.inputs)
  if (job.release !== undefined) plan.release = { ...job.release, name: job.release.name ?? job.release.tag_name }
  if (job.run !== undefined) plan.run = job.run
  if (publish !== undefined) plan.pages = { ...(typeof job.pages === 'object' ? job.pages : {}), publish }
  addLeftovers(plan, { identity: own('identity'), exposeAs: own('artifacts')?.expose_as })
  addCommon(plan, job, inherited)
  return plan
}

/** The same for a trigger job. */
export function staticBridgePlan(
  name: string,
  bridge: Bridge,
  inherited: Defaults,
  stage: string,
  stageIndex: number,
): JobPlan {
  const plan = emptyPlan(name, 'bridge', stage, stageIndex)
  if (bridge.trigger !== undefined) plan.trigger = { ...bridge.trigger }
  addCommon(plan, bridge, inherited)
  return plan
}

/** `when`, `allowFailure` and `variables` come with the event. */
function emptyPlan(name: string, kind: JobPlan['kind'], stage: string, stageIndex: number): JobPlan {
  return { name, kind, stage, stageIndex, when: 'on_success', allowFailure: false, tags: [], script: [], variables: [] }
}

function scriptOf(job: Job, inherited: Defaults): string[] {
  const script = job.script ?? []
  const before = beforeScriptOf(job, inherited)
  return before.length === 0 ? script : [...before, ...script]
}

/** What runs before the job's own script, in the same shell. */
export function beforeScriptOf(job: Job, inherited: Defaults): readonly string[] {
  return (job.run === undefined ? (job.before_script ?? inherited.before_script) : undefined) ?? []
}

function addCommon(plan: JobPlan, job: Job | Bridge, inherited: Defaults): void {
  const interruptible = job.interruptible ?? inherited.interruptible
  if (interruptible !== undefined) plan.interruptible = interruptible
  if (job.resource_group !== undefined) plan.resourceGroup = job.resource_group
  if (job.environment !== undefined) {
    plan.environment = job.environment.plan
    addLeftovers(plan, { kubernetes: job.environment.kubernetes })
  }
  if (job.needs === undefined) return
  const cross = job.needs.flatMap((need) =>
    need.kind === 'cross' ? [need.written] : need.kind === 'bridge' ? [{ pipeline: need.pipeline }] : [],
  )
  if (cross.length > 0) plan.crossNeeds = cross
}

/** Keywords that no part of a `JobPlan` has a place for. */
function addLeftovers(plan: JobPlan, more: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(more)) {
    if (value !== undefined) plan.options = { ...plan.options, [name]: value }
  }
}

/**
 * What a pages job publishes, and therefore keeps: any job with `pages`, or the one of that name
 * (lib/gitlab/ci/config/entry/job.rb).
 */
function publishedPath(name: string, job: Job): string | undefined {
  if (job.pages === false || (job.pages === undefined && name !== 'pages')) return undefined
  return (typeof job.pages === 'object' ? job.pages.publish : undefined) ?? job.publish ?? 'public'
}

function toArtifacts(value: Artifacts | undefined, publish: string | undefined): PlanArtifact[] {
  if (value === undefined && publish === undefined) return []
  const paths = [...(value?.paths ?? [])]
  if (publish !== undefined && !paths.includes(publish)) paths.push(publish)
  const artifacts: PlanArtifact[] = []
  if (paths.length > 0 || value?.untracked === true) {
    const archive: PlanArtifact = { type: 'archive', format: 'zip', paths, when: value?.when ?? 'on_success' }
    if (value?.name !== undefined) archive.name = value.name
    if (value?.exclude !== undefined) archive.exclude = value.exclude
    if (value?.untracked !== undefined) archive.untracked = value.untracked
    artifacts.push(archive)
  }
  for (const [type, given] of Object.entries(value?.reports ?? {})) {
    if (given === undefined) continue
    const [stored, files] = Array.isArray(given) ? [type, given] : [given.coverage_format, [given.path]]
    const [format, name] = reportTypes[stored] ?? coverageFormats[stored] ?? ['raw', stored]
    // Reports are kept whatever the end of the job (app/presenters/ci/build_runner_presenter.rb).
    artifacts.push({ type: stored, format, name, paths: files, when: 'always' })
  }
  const access = value?.access ?? (value?.public === false ? 'developer' : undefined)
  for (const artifact of artifacts) {
    if (value?.expire_in !== undefined) artifact.expireIn = value.expire_in
    if (access !== undefined) artifact.access = access
  }
  return artifacts
}

/** Values become what their type asks for: a runner does not take a job whose input is of another. */
function toInputs(inputs: NonNullable<Job['inputs']>): PlanInput[] {
  const { values } = resolveInputs(inputs, undefined, 0)
  return Array.from(inputs, ([key, { type = 'string', options, regex }]) => {
    const value = values.get(key)
    return {
      key,
      value: { type, content: value === undefined ? null : toPlain(value) },
      ...(options === undefined ? {} : { options: options.map(toPlain) }),
      ...(regex === undefined ? {} : { regex }),
    }
  })
}

import type { StaticPlan } from './config.js'
import { parseDuration } from './duration.js'
import { type Artifacts, type Cache, coverageFormats, reportTypes } from './keywords/artifacts.js'
import type { Bridge, Job, Retry } from './keywords/job.js'
import type { image, services } from './keywords/parts.js'
import { toPlain } from './plain.js'
import type { PlanArtifact, PlanCache, PlanImage, PlanRetry, PlanService } from './plan.js'
import type { ValueOf } from './shape.js'
import { toPlanVariables } from './variables.js'

/** From the keywords of a job, defaults taken in, to what no event changes about it. */
export function staticPlan(name: string, job: Job, stage: string, stageIndex: number): StaticPlan {
  const plan: StaticPlan = {
    kind: 'build',
    stage,
    stageIndex,
    tags: job.tags ?? [],
    script: [...(job.before_script ?? []), ...(job.script ?? [])],
  }
  const publish = publishedPath(name, job)
  const artifacts = toArtifacts(job.artifacts, publish)
  const caches = job.cache?.map(toCache)
  if (job.after_script !== undefined && job.after_script.length > 0) plan.afterScript = job.after_script
  if (job.hooks?.pre_get_sources_script !== undefined) plan.hooks = { preGetSources: job.hooks.pre_get_sources_script }
  if (job.image !== undefined) plan.image = toImage(job.image)
  if (job.services !== undefined) plan.services = job.services.map(toService)
  if (artifacts.length > 0) plan.artifacts = artifacts
  if (caches !== undefined && caches.length > 0) plan.caches = caches
  if (job.retry !== undefined) plan.retry = toRetry(job.retry)
  if (job.timeout !== undefined) plan.timeoutSeconds = wholeSeconds(job.timeout)
  if (job.dependencies !== undefined) plan.dependencies = job.dependencies
  if (job.coverage !== undefined) plan.coverage = job.coverage
  if (job.manual_confirmation !== undefined) plan.manualConfirmation = job.manual_confirmation
  if (job.id_tokens !== undefined) plan.idTokens = toRecord(job.id_tokens, ({ aud }) => ({ aud }))
  if (job.secrets !== undefined) plan.secrets = toRecord(job.secrets, (secret) => ({ ...secret }))
  if (job.inputs !== undefined) plan.inputs = toInputs(job.inputs)
  if (job.release !== undefined) plan.release = { ...job.release, name: job.release.name ?? job.release.tag_name }
  if (job.run !== undefined) plan.run = job.run
  if (publish !== undefined) plan.pages = { ...(typeof job.pages === 'object' ? job.pages : {}), publish }
  const options = leftovers(job)
  if (Object.keys(options).length > 0) plan.options = options
  addCommon(plan, job)
  return plan
}

/** The same for a trigger job. */
export function staticBridgePlan(bridge: Bridge, stage: string, stageIndex: number): StaticPlan {
  const plan: StaticPlan = { kind: 'bridge', stage, stageIndex, tags: [], script: [] }
  if (bridge.trigger !== undefined) plan.trigger = { ...bridge.trigger }
  addCommon(plan, bridge)
  return plan
}

function addCommon(plan: StaticPlan, job: Job | Bridge): void {
  if (job.interruptible !== undefined) plan.interruptible = job.interruptible
  if (job.resource_group !== undefined) plan.resourceGroup = job.resource_group
  if (job.environment !== undefined) {
    const { name, url, action, on_stop: onStop, auto_stop_in: autoStopIn, deployment_tier: tier } = job.environment
    plan.environment = {
      name,
      action: action ?? 'start',
      ...(url === undefined ? {} : { url }),
      ...(onStop === undefined ? {} : { onStop }),
      ...(autoStopIn === undefined ? {} : { autoStopIn }),
      ...(tier === undefined ? {} : { deploymentTier: tier }),
    }
  }
  const cross = job.needs?.flatMap((need) =>
    need.kind === 'cross' ? [need.written] : need.kind === 'bridge' ? [{ pipeline: need.pipeline }] : [],
  )
  if (cross !== undefined && cross.length > 0) plan.crossNeeds = cross
}

/** Keywords that no part of a `JobPlan` has a place for. */
function leftovers(job: Job): Record<string, unknown> {
  const { kubernetes } = job.environment ?? {}
  return {
    ...(job.identity === undefined ? {} : { identity: job.identity }),
    ...(job.artifacts?.expose_as === undefined ? {} : { exposeAs: job.artifacts.expose_as }),
    ...(kubernetes === undefined ? {} : { kubernetes }),
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

export function toImage(value: ValueOf<typeof image>): PlanImage {
  const { name, entrypoint, pull_policy: pullPolicy, docker, kubernetes } = value as FullImage
  const executorOpts = {
    ...(docker === undefined ? {} : { docker: { ...docker } }),
    ...(kubernetes === undefined ? {} : { kubernetes: { ...kubernetes } }),
  }
  return {
    name,
    ...(entrypoint === undefined ? {} : { entrypoint }),
    ...(pullPolicy === undefined ? {} : { pullPolicy }),
    ...(Object.keys(executorOpts).length === 0 ? {} : { executorOpts }),
  }
}

type FullImage = Extract<ValueOf<typeof image>, { entrypoint?: string[] | undefined }>
type FullService = Extract<ValueOf<typeof services>[number], { alias?: string | undefined }>

function toService(value: ValueOf<typeof services>[number]): PlanService {
  const { alias, command, variables } = value as FullService
  return {
    ...toImage(value),
    ...(alias === undefined ? {} : { alias }),
    ...(command === undefined ? {} : { command }),
    ...(variables === undefined ? {} : { variables: toPlanVariables(variables) }),
  }
}

function toArtifacts(value: Artifacts | undefined, publish: string | undefined): PlanArtifact[] {
  const paths = [...(value?.paths ?? [])]
  if (publish !== undefined && !paths.includes(publish)) paths.push(publish)
  const artifacts: PlanArtifact[] = []
  const access = value?.access ?? (value?.public === false ? 'developer' : undefined)
  const kept = {
    ...(value?.expire_in === undefined ? {} : { expireIn: value.expire_in }),
    ...(access === undefined ? {} : { access }),
  }
  if (paths.length > 0 || value?.untracked === true) {
    artifacts.push({
      type: 'archive',
      format: 'zip',
      ...(value?.name === undefined ? {} : { name: value.name }),
      paths,
      ...(value?.exclude === undefined ? {} : { exclude: value.exclude }),
      ...(value?.untracked === undefined ? {} : { untracked: value.untracked }),
      when: value?.when ?? 'on_success',
      ...kept,
    })
  }
  for (const [type, given] of Object.entries(value?.reports ?? {})) {
    if (given === undefined) continue
    const [stored, files] = Array.isArray(given) ? [type, given] : [given.coverage_format, [given.path]]
    const [format, name] = reportTypes[stored] ?? coverageFormats[stored] ?? ['raw', stored]
    // Reports are kept whatever the end of the job (app/presenters/ci/build_runner_presenter.rb).
    artifacts.push({ type: stored, format, name, paths: files, when: 'always', ...kept })
  }
  return artifacts
}

function toCache(value: Cache): PlanCache {
  const { key } = value
  return {
    key: key === undefined ? 'default' : typeof key === 'string' ? key : toKey(key),
    paths: value.paths ?? [],
    ...(value.untracked === undefined ? {} : { untracked: value.untracked }),
    policy: value.policy ?? 'pull-push',
    when: value.when ?? 'on_success',
    fallbackKeys: value.fallback_keys ?? [],
    unprotect: value.unprotect ?? false,
  }
}

function toKey(key: Exclude<Cache['key'], string | undefined>): Exclude<PlanCache['key'], string> {
  return {
    files: key.files ?? key.files_commits ?? [],
    ...(key.files_commits === undefined ? {} : { filesCommits: true }),
    ...(key.prefix === undefined ? {} : { prefix: key.prefix }),
  }
}

/** Without `max` nothing is retried: the original asks for it and finds none (lib/gitlab/ci/build/auto_retry.rb). */
function toRetry(value: Retry): PlanRetry {
  const { max, when, exit_codes: exitCodes } = value as Extract<Retry, { when?: unknown }>
  return {
    max: max ?? 0,
    when: when ?? (exitCodes === undefined ? ['always'] : []),
    ...(exitCodes === undefined ? {} : { exitCodes }),
  }
}

export function wholeSeconds(text: string): number {
  return Math.round(parseDuration(text) ?? 0)
}

function toInputs(inputs: NonNullable<Job['inputs']>): NonNullable<StaticPlan['inputs']> {
  return Array.from(inputs, ([key, { type, default: content }]) => ({
    key,
    value: { type: type ?? 'string', content: content === null || content === undefined ? null : toPlain(content) },
  }))
}

function toRecord<T, U>(map: ReadonlyMap<string, T>, convert: (value: T) => U): Record<string, U> {
  const result: Record<string, U> = Object.create(null)
  for (const [key, value] of map) result[key] = convert(value)
  return result
}

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { assemble } from '../../../src/core/ci-config/assemble.js'
import type { CompileOptions, IncludeAnswer, IncludeRequest } from '../../../src/core/ci-config/compilation.js'
import type { CompiledConfig, CompiledJob, CompiledPolicy } from '../../../src/core/ci-config/config.js'
import { resolveExtends } from '../../../src/core/ci-config/extends.js'
import { Findings } from '../../../src/core/ci-config/findings.js'
import type {
  JobPlan,
  PlanArtifact,
  PlanCache,
  PlanImage,
  PlanService,
} from '../../../src/core/ci-config/job-definition.js'
import { MergeBudget } from '../../../src/core/ci-config/merge.js'
import type { Encoded } from '../../../src/core/ci-config/merged-yaml.js'
import { toPlain } from '../../../src/core/ci-config/plain.js'
import type { PlanContext } from '../../../src/core/ci-config/planning.js'
import { resolveReferences } from '../../../src/core/ci-config/references.js'
import { Sources } from '../../../src/core/ci-config/sources.js'
import type { PlanVariable } from '../../../src/core/ci-config/variables.js'

/**
 * Reads the vectors of the processor's own test suite, which are not part of this repository. `factsOf` tells of a
 * compiled or planned job in the words in which the vectors tell of it.
 */
export const vectorFolder = fileURLToPath(new URL('../../../../shared/corpus/processor-vectors/', import.meta.url))
export const hasVectors = existsSync(vectorFolder)

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type JsonObject = { [key: string]: Json }

export interface Vector {
  id: string
  source: string
  note?: string
  [field: string]: Json | undefined
}

export function readVectors(theme: string): Vector[] {
  return hasVectors ? (JSON.parse(readFileSync(`${vectorFolder}${theme}.json`, 'utf8')) as Vector[]) : []
}

/** Words of the vectors and the words that our messages have for the same thing. */
const sameMeaning: readonly (readonly [string, readonly string[]])[] = [
  ['hash', ['map']],
  ['array of hashes', ['list of maps']],
  ['array of strings', ['list of strings']],
  ['array', ['list']],
  ['start in', ['start_in']],
  ['expire in', ['expire_in']],
  ['expose as', ['expose_as']],
  ['exit codes', ['exit_codes']],
  ['allow failure', ['allow_failure']],
  ['on stop', ['on_stop']],
  ['hash of key value pairs', ['at least 1 item', 'matrix']],
  ['invalid expression syntax', ['expression syntax']],
  ['disallowed keys', ['only allowed with']],
  ['invalid data keys', ['unknown keys']],
  ['variable definition must be either a string or a hash', ['variable definition must be either a string or a map']],
  ['unknown values', ['unknown value']],
  ['list', ['one of']],
  ['unknown input specification', ['must be one of string, number, boolean, array']],
  ['header:spec', ['header:spec', 'spec']],
  ['could not be fetched', ['connection refused']],
  ['blank', ['required']],
]

/** Whether a message tells of a thing, in the vector's word for it or in ours. */
export function mentions(message: string, word: string): boolean {
  const text = message.toLowerCase()
  // Ours names a path from the root, and items of a list by their index.
  const wanted = word.toLowerCase().replace(/^\//, '').replace('services:service', 'services')
  if (text.includes(wanted)) return true
  const others = sameMeaning.find(([name]) => name === wanted)?.[1] ?? []
  return others.some((other) => text.includes(other))
}

export function decode(value: Encoded): unknown {
  if (Array.isArray(value)) return value.map(decode)
  if (typeof value !== 'object' || value === null) return value
  if ('number' in value) return value.number
  const entries: [string, unknown][] = []
  for (let at = 0; at < value.map.length; at += 2)
    entries.push([value.map[at] as string, decode(value.map[at + 1] ?? null)])
  return Object.fromEntries(entries)
}

/** The document after includes, `extends` and references, before keywords are looked at. */
export async function mergedTree(config: string, options: CompileOptions): Promise<Record<string, unknown>> {
  const findings = new Findings(new Sources())
  const budget = new MergeBudget()
  const assembled = await assemble(config, options, findings, budget)
  return toPlain(resolveReferences(resolveExtends(assembled, budget))) as Record<string, unknown>
}

interface VectorContext {
  ref?: string
  tag?: boolean
  source?: string
  project_path?: string
  project?: null
  variables?: Record<string, string>
  pipeline_variables?: Record<string, string>
  changed_files?: string[]
  changed_since?: Record<string, string[]>
  repository_files?: string[]
  files?: Record<string, string>
  projects?: Record<string, Record<string, string>>
  user_can_read?: string[]
  remote?: Record<string, string | { error: string }>
  max_includes?: number
  kubernetes_active?: boolean
  deploy_freeze?: boolean
}

export function contextOf(vector: Vector): VectorContext {
  return (vector.context ?? {}) as VectorContext
}

export function compileOptionsOf(context: VectorContext): CompileOptions {
  const fetchFile = (request: IncludeRequest): IncludeAnswer => {
    if (request.kind === 'remote') {
      const found = context.remote?.[request.url]
      if (typeof found === 'string') return { ok: true, content: found }
      return { ok: false, reason: found?.error ?? 'could not be fetched' }
    }
    if (request.kind !== 'local' && request.kind !== 'project') return { ok: false, reason: 'does not exist' }
    if (request.kind === 'project' && !(context.user_can_read ?? []).includes(request.project)) {
      return { ok: false, reason: 'project not found or access denied' }
    }
    if (request.kind === 'local' && context.project === null) return { ok: false, reason: 'does not have a project' }
    const files = request.project === undefined ? context.files : context.projects?.[request.project]
    const content = files?.[request.path]
    return content === undefined ? { ok: false, reason: 'does not exist' } : { ok: true, content }
  }
  return {
    fetchInclude: async (request) => fetchFile(request),
    listFiles: async () => Object.keys(context.files ?? {}),
    variables: toVariables(context.variables),
    ...(context.max_includes === undefined ? {} : { maxIncludes: context.max_includes }),
  }
}

export function toVariables(values: Record<string, string> | undefined): PlanVariable[] {
  return Object.entries(values ?? {}).map(([key, value]) => ({ key, value }))
}

export function planContextOf(context: VectorContext): PlanContext {
  const { ref = 'main', tag = false, source = 'push' } = context
  const isMergeRequest = source === 'merge_request_event'
  const predefined: Record<string, string> = {
    CI_COMMIT_REF_NAME: ref,
    CI_PIPELINE_SOURCE: source,
    CI_PROJECT_PATH: context.project_path ?? 'group/project',
    CI_DEFAULT_BRANCH: 'master',
    ...(tag ? { CI_COMMIT_TAG: ref } : isMergeRequest ? { CI_MERGE_REQUEST_IID: '1' } : { CI_COMMIT_BRANCH: ref }),
    ...(context.kubernetes_active === true ? { CI_KUBERNETES_ACTIVE: 'true' } : {}),
    ...(context.deploy_freeze === true ? { CI_DEPLOY_FREEZE: 'true' } : {}),
  }
  const weak = toVariables(predefined)
  return {
    source,
    ref,
    tag,
    protected: false,
    defaultBranch: 'master',
    variables: [...weak, ...toVariables(context.variables), ...toVariables(context.pipeline_variables)],
    strongFrom: weak.length,
    files: context.repository_files ?? [],
    ...(context.changed_files === undefined ? {} : { changedPaths: context.changed_files }),
    ...(context.changed_since === undefined ? {} : { comparePaths: context.changed_since }),
  }
}

/** All that the vectors assert of a job, from its compiled form and, if there is one, its plan. */
export function factsOf(
  config: CompiledConfig,
  job: CompiledJob,
  name: string,
  plan?: JobPlan,
): Record<string, unknown> {
  const fixed = plan ?? job.plan
  const instance = job.instances.find((one) => one.name === name)
  const own = merge(job.variables, instance?.variables ?? [])
  const needs = plan === undefined ? compiledNeeds(config, job, name) : plan.needs
  const [archive] = (fixed.artifacts ?? []).filter(({ type }) => type === 'archive')
  return {
    stage: fixed.stage,
    stage_index: fixed.stageIndex,
    when: plan?.when ?? job.when,
    start_in: plan === undefined ? seconds(job.startInSeconds) : seconds(plan.startInSeconds),
    allow_failure:
      plan?.allowFailure ??
      (job.allowFailureExitCodes === undefined ? (job.allowFailure ?? job.when === 'manual') : false),
    allow_failure_exit_codes: (plan === undefined ? job : plan).allowFailureExitCodes ?? null,
    only: job.only === undefined ? null : policy(job.only),
    rules: job.rules === undefined ? null : (job.rules?.map(rule) ?? null),
    needs: (needs ?? []).map((need) => ({ name: need.job, artifacts: need.artifacts, optional: need.optional })),
    cross_pipeline_needs: fixed.crossNeeds ?? null,
    dependencies: fixed.dependencies ?? null,
    scheduling: needs === undefined ? 'stage' : 'dag',
    tags: fixed.tags,
    image: fixed.image === undefined ? null : image(fixed.image),
    services: fixed.services?.map(service) ?? null,
    all_script: fixed.script,
    after_script: fixed.afterScript ?? null,
    hooks: { pre_get_sources_script: fixed.hooks?.preGetSources },
    cache: fixed.caches?.map(cache) ?? null,
    artifacts: { ...artifacts(archive), expose_as: fixed.options?.exposeAs },
    environment:
      fixed.environment === undefined
        ? null
        : { ...fixed.environment, on_stop: fixed.environment.onStop, expanded_name: fixed.environment.name },
    retry:
      fixed.retry === undefined
        ? null
        : { max: fixed.retry.max, when: fixed.retry.when, exit_codes: fixed.retry.exitCodes },
    interruptible: fixed.interruptible ?? null,
    resource_group: fixed.resourceGroup ?? null,
    timeout_seconds: fixed.timeoutSeconds ?? null,
    coverage_regex: fixed.coverage ?? null,
    run: fixed.run ?? null,
    release: fixed.release ?? null,
    pages: fixed.pages ?? null,
    publish: fixed.pages?.publish ?? null,
    id_tokens: fixed.idTokens ?? null,
    inputs: inputs(config, name),
    trigger: fixed.trigger ?? null,
    job_variables: variables(own),
    inherits_global_variables: job.inheritVariables === undefined,
    yaml_variables: variables(plan?.variables ?? []),
    variables: variables(plan?.variables ?? own),
  }
}

function compiledNeeds(config: CompiledConfig, job: CompiledJob, name: string) {
  const needs = job.instances.find((one) => one.name === name)?.needs ?? job.needs
  return needs?.flatMap((need) => {
    const all = config.jobs.find((one) => one.name === need.job)?.instances.map((one) => one.name) ?? [need.job]
    return (need.instances ?? all).map((one) => ({ ...need, job: one }))
  })
}

function merge(...lists: PlanVariable[][]): PlanVariable[] {
  return [...new Map(lists.flat().map((variable) => [variable.key, variable])).values()]
}

function variables(list: readonly PlanVariable[]): Record<string, unknown> {
  return Object.fromEntries(list.map(({ key, value, raw }) => [key, raw === undefined ? value : { value, raw }]))
}

function seconds(value: number | undefined): number | null {
  return value ?? null
}

export function policy(value: CompiledPolicy): Record<string, unknown> {
  return {
    ...(value.refs === undefined ? {} : { refs: value.refs }),
    ...(value.variables === undefined ? {} : { variables: value.variables.map(({ source }) => source) }),
    ...(value.changes === undefined ? {} : { changes: value.changes }),
  }
}

function rule(value: NonNullable<CompiledJob['rules']>[number]): Record<string, unknown> {
  const { if: condition, changes, exists, when, allowFailure } = value
  return {
    ...(condition === undefined ? {} : { if: condition.source }),
    ...(changes === undefined ? {} : { changes }),
    ...(exists === undefined ? {} : { exists }),
    ...(when === undefined ? {} : { when }),
    ...(allowFailure === undefined ? {} : { allow_failure: allowFailure }),
  }
}

function image(value: PlanImage): Record<string, unknown> {
  const { pullPolicy, executorOpts, ...rest } = value
  return {
    ...rest,
    ...(pullPolicy === undefined ? {} : { pull_policy: pullPolicy }),
    ...(executorOpts === undefined ? {} : { executor_opts: executorOpts }),
  }
}

function service({ alias, command, variables: own, ...rest }: PlanService): Record<string, unknown> {
  return {
    ...image(rest),
    ...(alias === undefined ? {} : { alias }),
    ...(command === undefined ? {} : { command }),
    ...(own === undefined ? {} : { variables: variables(own) }),
  }
}

function cache(value: PlanCache): Record<string, unknown> {
  const { key, fallbackKeys, ...rest } = value
  const files = typeof key === 'string' ? undefined : key.filesCommits === true ? 'files_commits' : 'files'
  return {
    ...rest,
    key:
      typeof key === 'string'
        ? key
        : { [files ?? '']: key.files, ...(key.prefix === undefined ? {} : { prefix: key.prefix }) },
    fallback_keys: fallbackKeys,
  }
}

function artifacts(value: PlanArtifact | undefined): Record<string, unknown> {
  if (value === undefined) return {}
  const { expireIn, access, ...rest } = value
  return { ...rest, expire_in: expireIn, access, public: access === undefined || access === 'all' }
}

function inputs(config: CompiledConfig, name: string): unknown {
  const document = decode(config.document as Encoded) as Record<string, { inputs?: unknown }>
  return document[name]?.inputs ?? null
}

import { describe, expect, test } from 'vitest'
import { compileConfig } from '../../../src/core/ci-config/compile.js'
import type { CompiledConfig } from '../../../src/core/ci-config/config.js'
import type { ConfigError } from '../../../src/core/ci-config/config-error.js'
import { parseDuration } from '../../../src/core/ci-config/duration.js'
import type { Encoded } from '../../../src/core/ci-config/merged-yaml.js'
import { planPipeline } from '../../../src/core/ci-config/plan-pipeline.js'
import type { PipelinePlan } from '../../../src/core/ci-config/planning.js'
import {
  compileOptionsOf,
  contextOf,
  decode,
  factsOf,
  hasVectors,
  type Json,
  mentions,
  mergedTree,
  planContextOf,
  readVectors,
  type Vector,
} from './vectors.js'

const themes = [
  'artifacts',
  'cache',
  'defaults',
  'environment',
  'errors',
  'extends',
  'image-services',
  'include',
  'jobs',
  'needs',
  'only-except',
  'parallel-matrix',
  'reference',
  'retry',
  'rules',
  'rules-pipeline',
  'stages',
  'timeouts',
  'trigger',
  'variables',
  'workflow',
] as const

/** Vectors that we read differently, each with the reason. */
const disagreed = new Map<string, string>([
  [
    'parallel-matrix/entry-fifty-six',
    'counts combinations of one entry; in a whole file six of them have the names of others, and of equal names the ' +
      'later replaces the earlier',
  ],
])

/** Facts of single jobs that a plan has no place for, each with the reason. */
const notKept = new Map<string, string>([
  ['jobs/run-steps artifacts', 'a job that keeps no files has no artifacts in its plan'],
  ['jobs/run-empty-list artifacts', 'a job that keeps no files has no artifacts in its plan'],
])

interface Expectation {
  valid?: boolean
  error_mentions?: string[]
  other_error_mentions?: string[]
  error_count?: number
  warnings_mention?: string[]
  warnings_present?: boolean
  warnings_do_not_mention?: string[]
  jobs?: Record<string, Record<string, Json>>
  job_names?: string[]
  job_count?: number
  processed_job_count?: number
  absent_jobs?: string[]
  stages?: string[]
  used_stages?: string[]
  variables?: Record<string, Json>
  prefill?: Record<string, Json>
  workflow?: Record<string, Json>
  top_level_keys?: string[]
  absent_keys?: string[]
  tree_includes?: Record<string, Json>
  pipeline_created?: boolean
  reason?: string
}

function configVectors(theme: string): Vector[] {
  return readVectors(theme).filter((vector) => typeof vector.config === 'string')
}

describe.skipIf(!hasVectors)('vectors of the original processor (needs ../shared/corpus)', () => {
  test('every vector told of is there', () => {
    const ids = new Set(themes.flatMap(configVectors).map(({ id }) => id))
    const named = [...disagreed.keys(), ...Array.from(notKept.keys(), (one) => one.split(' ')[0] ?? '')]
    expect(named.filter((id) => !ids.has(id))).toEqual([])
    expect(ids.size).toBeGreaterThan(600)
  })

  describe.each(themes)('%s', (theme) => {
    test.each(
      configVectors(theme)
        .filter(({ id }) => !disagreed.has(id))
        .map((vector) => [vector.id, vector] as const),
    )('%s', async (_, vector) => {
      await checkConfigVector(vector)
    })
  })
})

async function checkConfigVector(vector: Vector): Promise<void> {
  const context = contextOf(vector)
  const expectation = (vector.expect ?? {}) as Expectation
  const config = vector.config as string
  if (expectation.valid !== false && isAboutTree(vector, expectation)) {
    await checkTree(config, vector, expectation)
    return
  }
  const result = await compileConfig(config, compileOptionsOf(context))
  checkWarnings(result.warnings, expectation)
  if (!result.ok) {
    expect(expectation.valid, JSON.stringify(result.errors)).toBe(false)
    checkErrors(result.errors, expectation)
    return
  }
  const compiled = result.config as CompiledConfig
  if (context.ref === undefined) {
    expect(expectation.valid ?? true, 'compiled').toBe(true)
    checkCompiled(compiled, expectation, vector.id)
    return
  }
  const planned = planPipeline(compiled, planContextOf(context))
  if (!planned.ok && !planned.filtered) {
    expect(expectation.valid, JSON.stringify(planned.errors)).toBe(false)
    checkErrors(planned.errors, expectation)
    return
  }
  expect(expectation.valid, 'planned').toBe(true)
  if (expectation.pipeline_created !== undefined) expect(planned.ok).toBe(expectation.pipeline_created)
  if (!planned.ok) {
    expect(expectation.job_names ?? []).toEqual([])
    if (expectation.reason !== undefined) expect(planned.errors[0]?.message).toContain(expectation.reason)
    return
  }
  checkPlanned(compiled, planned.plan, expectation)
}

function isAboutTree(vector: Vector, expectation: Expectation): boolean {
  return expectation.top_level_keys !== undefined || vector.expect_tree_includes !== undefined
}

/** Vectors about the merged tree, which need not hold a job. */
async function checkTree(config: string, vector: Vector, expectation: Expectation): Promise<void> {
  const tree = await mergedTree(config, compileOptionsOf(contextOf(vector)))
  if (expectation.top_level_keys !== undefined) {
    expect(Object.keys(tree).toSorted()).toEqual(expectation.top_level_keys.toSorted())
  }
  for (const key of expectation.absent_keys ?? []) expect(tree).not.toHaveProperty(key)
  for (const part of [expectation.tree_includes, vector.expect_tree_includes]) {
    if (part !== undefined) expect(tree).toMatchObject(part as object)
  }
}

function told(error: ConfigError): string {
  return `${error.path} ${error.message} ${error.file ?? '.gitlab-ci.yml'}`
}

function checkErrors(errors: readonly ConfigError[], expectation: Expectation): void {
  const messages = errors.map(told)
  if (expectation.error_count !== undefined) expect(messages).toHaveLength(expectation.error_count)
  for (const words of [expectation.error_mentions ?? [], expectation.other_error_mentions ?? []]) {
    const oneTellsAll = messages.some((message) => words.every((word) => mentions(message, word)))
    expect(oneTellsAll, `${JSON.stringify(words)} in one of ${JSON.stringify(messages, null, 1)}`).toBe(true)
  }
  for (const error of errors) expect(error.line, `line of ${told(error)}`).toBeGreaterThan(0)
}

function checkWarnings(warnings: readonly ConfigError[], expectation: Expectation): void {
  const all = warnings.map(told).join('\n')
  for (const word of expectation.warnings_mention ?? []) expect(mentions(all, word), `${word} in ${all}`).toBe(true)
  for (const word of expectation.warnings_do_not_mention ?? []) expect(all).not.toContain(word)
  if (expectation.warnings_present !== undefined) expect(warnings.length > 0).toBe(expectation.warnings_present)
}

function checkCompiled(config: CompiledConfig, expectation: Expectation, id: string): void {
  const instances = config.jobs.flatMap((job) => job.instances.map((instance) => ({ job, name: instance.name })))
  const names = instances.map(({ name }) => name)
  if (expectation.stages !== undefined) expect(config.stages).toEqual(expectation.stages)
  if (expectation.job_count !== undefined) expect(names).toHaveLength(expectation.job_count)
  if (expectation.processed_job_count !== undefined) expect(names).toHaveLength(expectation.processed_job_count)
  if (expectation.job_names !== undefined) checkNames(names, expectation.job_names)
  if (expectation.variables !== undefined) {
    for (const [key, value] of Object.entries(expectation.variables)) {
      const found = config.variables.find((variable) => variable.key === key)
      if (typeof value === 'string') expect(found?.value).toBe(value)
      else expect(found).toMatchObject(value as object)
    }
    expect(config.variables).toHaveLength(Object.keys(expectation.variables).length)
  }
  for (const [key, value] of Object.entries(expectation.prefill ?? {})) {
    expect(config.prefill.find((variable) => variable.key === key)).toMatchObject(value as object)
  }
  if (expectation.workflow !== undefined) checkWorkflow(config, expectation.workflow)
  const tree = decode(config.document as Encoded) as Record<string, unknown>
  for (const [name, facts] of Object.entries(expectation.jobs ?? {})) {
    const found = instances.find((one) => one.name === name)
    expect(found, `job ${name}`).toBeDefined()
    if (found !== undefined) checkFacts(factsOf(config, found.job, name), kept(id, facts), tree[found.job.name])
  }
}

function checkPlanned(config: CompiledConfig, plan: PipelinePlan, expectation: Expectation): void {
  const names = plan.jobs.map(({ name }) => name)
  if (expectation.job_names !== undefined) checkNames(names, expectation.job_names)
  for (const name of expectation.absent_jobs ?? []) expect(names).not.toContain(name)
  if (expectation.used_stages !== undefined) {
    const used = plan.stages.filter((stage) => plan.jobs.some((job) => job.stage === stage))
    expect(used).toEqual(expectation.used_stages)
  }
  const tree = decode(config.document as Encoded) as Record<string, unknown>
  for (const [name, facts] of Object.entries(expectation.jobs ?? {})) {
    const planned = plan.jobs.find((job) => job.name === name)
    const job = config.jobs.find((one) => one.instances.some((instance) => instance.name === name))
    expect(planned, `job ${name}`).toBeDefined()
    if (planned !== undefined && job !== undefined) {
      checkFacts(factsOf(config, job, name, planned), facts, tree[job.name])
    }
  }
}

function checkNames(names: string[], expected: string[]): void {
  const inOrder = names.some((name) => / \d+\/\d+$|: \[/.test(name))
  expect(inOrder ? names : names.toSorted()).toEqual(inOrder ? expected : expected.toSorted())
}

function checkFacts(actual: Record<string, unknown>, facts: Record<string, Json>, written: unknown): void {
  for (const [name, value] of Object.entries(facts)) {
    if (name === 'before_script' || name === 'script') continue
    if (name === 'start_in') expect(actual.start_in, name).toBe(parseDuration(value as string))
    else if (value === null) expect(actual[name] ?? null, name).toBeNull()
    else if (name.endsWith('variables') && typeof value === 'object') checkVariables(actual[name], value, name)
    else if (name === 'environment') expect({ fact: actual[name] }).toMatchObject({ fact: value })
    else if (name === 'trigger' && typeof value === 'object') expect(actual[name]).toMatchObject(value)
    else if (typeof value === 'object' && !Array.isArray(value))
      expect(actual[name], name).toMatchObject(withoutLost(value))
    else if (Array.isArray(value)) {
      expect(actual[name], name).toHaveLength(value.length)
      expect(actual[name], name).toMatchObject(value)
    } else expect(actual[name], name).toEqual(value)
  }
  if (facts.before_script === undefined && facts.script === undefined) return
  const script = facts.script ?? [(written as { script?: unknown }).script].flat(10)
  expect(actual.all_script).toEqual([
    ...((facts.before_script as string[] | null | undefined) ?? []),
    ...(script as string[]),
  ])
}

function kept(id: string, facts: Record<string, Json>): Record<string, Json> {
  return Object.fromEntries(Object.entries(facts).filter(([name]) => !notKept.has(`${id} ${name}`)))
}

/** Facts that a plan keeps in another form: `public: true` is the default, what is not given is not stored. */
function withoutLost(value: Record<string, Json>): Record<string, Json> {
  return Object.fromEntries(Object.entries(value).filter(([key, fact]) => !(key === 'access' && fact === 'all')))
}

function checkVariables(actual: unknown, expected: Record<string, Json> | Json[], name: string): void {
  const found = actual as Record<string, string | { value: string; raw?: boolean }>
  const entries = Object.entries(expected as Record<string, Json>)
  for (const [key, value] of entries) {
    const one = found[key]
    if (value === null) expect(one, `${name} ${key}`).toBeUndefined()
    else if (typeof value === 'string') expect(typeof one === 'object' ? one.value : one, `${name} ${key}`).toBe(value)
    else {
      const { value: text, raw = false } = value as { value: string; raw?: boolean }
      expect(typeof one === 'object' ? one : { value: one, raw: false }, `${name} ${key}`).toEqual({ value: text, raw })
    }
  }
  if (name === 'job_variables') expect(Object.keys(found).toSorted()).toEqual(entries.map(([key]) => key).toSorted())
}

function checkWorkflow(config: CompiledConfig, expected: Record<string, Json>): void {
  const { workflow } = config
  const actual = {
    name: workflow.name ?? null,
    rules:
      workflow.rules?.map((rule) => ({
        ...(rule.if === undefined ? {} : { if: rule.if.source }),
        ...(rule.changes === undefined ? {} : { changes: rule.changes }),
        ...(rule.autoCancel === undefined
          ? {}
          : {
              auto_cancel: { on_new_commit: rule.autoCancel.onNewCommit, on_job_failure: rule.autoCancel.onJobFailure },
            }),
      })) ?? null,
    auto_cancel: { on_new_commit: workflow.autoCancel.onNewCommit, on_job_failure: workflow.autoCancel.onJobFailure },
  }
  expect(actual).toMatchObject(expected)
}

import { describe, expect, test } from 'vitest'
import { anyExists, ClauseError, Files } from '../../../src/core/ci-config/clauses.js'
import type { CompiledConfig } from '../../../src/core/ci-config/config.js'
import { parseDuration } from '../../../src/core/ci-config/duration.js'
import { expandText, expandVariables } from '../../../src/core/ci-config/expand.js'
import {
  type Expression,
  ExpressionError,
  evaluateExpression,
  isTrue,
  parseExpression,
} from '../../../src/core/ci-config/expression.js'
import { resolveExtends } from '../../../src/core/ci-config/extends.js'
import { ConfigFault } from '../../../src/core/ci-config/fault.js'
import { Findings } from '../../../src/core/ci-config/findings.js'
import { anyMatches } from '../../../src/core/ci-config/glob.js'
import { readHeader } from '../../../src/core/ci-config/header.js'
import { resolveInputs } from '../../../src/core/ci-config/inputs.js'
import { interpolate } from '../../../src/core/ci-config/interpolate.js'
import type { JobWhen } from '../../../src/core/ci-config/job-definition.js'
import { inputSpecs } from '../../../src/core/ci-config/keywords/header.js'
import { MergeBudget } from '../../../src/core/ci-config/merge.js'
import type { MapNode, Node } from '../../../src/core/ci-config/node.js'
import { replaceMatrixExpressions } from '../../../src/core/ci-config/parallel.js'
import { fromPlain, toPlain } from '../../../src/core/ci-config/plain.js'
import { planPipeline } from '../../../src/core/ci-config/plan-pipeline.js'
import { layerOf, Scope } from '../../../src/core/ci-config/scope.js'
import { Sources } from '../../../src/core/ci-config/sources.js'
import { validate } from '../../../src/core/ci-config/validate.js'
import type { PlanVariable } from '../../../src/core/ci-config/variables.js'
import {
  compileOptionsOf,
  hasVectors,
  type Json,
  mentions,
  mergedTree,
  planContextOf,
  readVectors,
  toVariables,
  type Vector,
} from './vectors.js'

/** False for the original, which may meet it when a pipeline is made; we have refused the file before that. */
const refusedAtLoad = new Set(['expressions/truthful-invalid-syntax'])

function named(vectors: Vector[]): [string, Vector][] {
  return vectors.map((vector) => [vector.id, vector])
}

function has(field: string): (vector: Vector) => boolean {
  return (vector) => vector[field] !== undefined
}

describe.skipIf(!hasVectors)('vectors of parts of the original processor (needs ../shared/corpus)', () => {
  test('every vector told of is there', () => {
    const ids = new Set(readVectors('expressions').map(({ id }) => id))
    expect([...refusedAtLoad].filter((id) => !ids.has(id))).toEqual([])
  })

  test.each(named(readVectors('expressions')))('%s', (_, vector) => {
    const source = vector.expression as string
    const variables = new Map(Object.entries((vector.variables ?? {}) as Record<string, string>))
    const inputs = new Map(Object.entries((vector.inputs ?? {}) as Record<string, string>))
    if (vector.expect === 'error' || refusedAtLoad.has(vector.id)) {
      expect(() => parseExpression(source, { inputs: vector.inputs !== undefined })).toThrow(ExpressionError)
      return
    }
    const tree = parseExpression(source, { inputs: vector.inputs !== undefined })
    const lookup = (name: string): string | undefined => variables.get(name)
    const inputOf = (name: string): string | undefined => inputs.get(name)?.toString()
    expect(isTrue(tree, lookup, inputOf)).toBe(vector.expect)
    if (vector.value !== undefined) expect(evaluateExpression(tree, lookup, inputOf)).toEqual(vector.value)
  })

  test.each(named(readVectors('expression-trees')))('%s', (_, vector) => {
    expect(prefixForm(parseExpression(vector.expression as string))).toBe(vector.expect_tree)
  })

  test.each(named(readVectors('expansion').filter(has('value'))))('%s', (_, vector) => {
    const variables = vector.variables as unknown as PlanVariable[]
    for (const [mode, expected] of Object.entries(vector.expect as Record<string, string>)) {
      const expand = (): string =>
        expandText(vector.value as string, lookupWith(variables, vector), mode === 'blank_mode' ? 'blank' : 'existing')
      if (expected === 'error') expect(expand).toThrow('masked')
      else expect(expand()).toBe(expected)
    }
  })

  test.each(named(readVectors('expansion').filter(has('expect_values'))))('%s', (_, vector) => {
    const { variables } = expandVariables(vector.variables as unknown as PlanVariable[], {
      keepUndefined: vector.keep_undefined === true,
      expandFiles: vector.expand_file_refs !== false,
      expandRaw: vector.expand_raw_refs !== false,
    })
    expect(Object.fromEntries(variables.map(({ key, value }) => [key, value]))).toEqual(vector.expect_values)
  })

  test.each(named(readVectors('changes-exists')))('%s', (_, vector) => {
    const variables = toVariables(vector.variables as Record<string, string> | undefined)
    const scope = new Scope([layerOf(variables)], variables)
    const ask = (): boolean => decideClause(vector, scope)
    if (vector.expect !== 'error') {
      expect(ask()).toBe(vector.expect)
      return
    }
    expect(ask).toThrow(ClauseError)
    for (const word of vector.error_mentions as string[]) expect(ask).toThrow(word)
  })

  test.each(named(readVectors('extends').filter(has('tree'))))('%s', (_, vector) => {
    const resolve = (): unknown => toPlain(resolveExtends(fromPlain(vector.tree, 0) as MapNode, new MergeBudget()))
    if (vector.expect !== 'error') {
      expect(JSON.parse(JSON.stringify(resolve()))).toEqual(vector.expect_tree)
      return
    }
    const fault = faultOf(resolve)
    for (const word of vector.error_mentions as string[]) expect(`${fault.path} ${fault.message}`).toContain(word)
  })

  test.each(named(readVectors('parallel-matrix').filter(has('matrix_values'))))('%s', (_, vector) => {
    const values = new Map(Object.entries(vector.matrix_values as Record<string, string>))
    const missing: string[] = []
    const replace = (value: Json): Json => {
      if (Array.isArray(value)) return value.map(replace)
      if (typeof value === 'object' && value !== null) {
        return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, replace(one)]))
      }
      if (typeof value !== 'string') return value
      return replaceMatrixExpressions(value, (name) => {
        if (!values.has(name)) missing.push(name)
        return values.get(name) ?? ''
      })
    }
    const result = replace(vector.value as Json)
    const expected = vector.expect as { value?: Json; error_mentions?: string[] }
    if (expected.value === undefined) expect(missing).toContain(expected.error_mentions?.[0])
    else expect(result).toEqual(expected.value)
  })

  test.each(named(readVectors('inputs').filter(has('input_specs'))))('%s', (_, vector) => {
    const expected = vector.expect as { valid: boolean; values?: Json; error_mentions?: string[] }
    const { values, problems } = givenInputs(vector.input_specs as Json, vector.inputs as Json)
    if (expected.valid) {
      expect(problems).toEqual([])
      expect(values).toEqual(expected.values)
    } else {
      const told = problems.join(', ')
      for (const word of expected.error_mentions ?? []) expect(mentions(told, word), `${word} in ${told}`).toBe(true)
    }
  })

  test.each(named(readVectors('inputs').filter(has('input_rule'))))('%s', (_, vector) => {
    const expected = vector.expect as { valid: boolean; error_mentions?: string[] }
    const findings = new Findings(new Sources())
    findings.sources.add('file', '')
    validate(inputSpecs, fromPlain({ a: { rules: [vector.input_rule] } }, 0), 'inputs', findings)
    const told = findings.errors.map(({ message, path }) => `${path} ${message}`).join(', ')
    expect(findings.failed, told).toBe(!expected.valid)
    for (const word of expected.error_mentions ?? []) expect(mentions(told, word), `${word} in ${told}`).toBe(true)
  })

  test.each(named(readVectors('inputs').filter(has('function'))))('%s', (_, vector) => {
    const expected = vector.expect as { value?: Json; error_mentions?: string[] }
    const content = fromPlain({ whole: `$[[ inputs.it | ${vector.function as string} ]]` }, 0) as MapNode
    const inputs = new Map<string, Node>([['it', fromPlain(vector.input, 0)]])
    const call = (): unknown =>
      toPlain(interpolate(content, { inputs, component: new Map(), variable: () => undefined }))
    if (expected.value !== undefined) {
      expect(call()).toEqual(Object.assign(Object.create(null), { whole: expected.value }))
      return
    }
    const { message } = faultOf(call)
    for (const word of expected.error_mentions ?? []) expect(message).toContain(word)
  })

  test.each(named(readVectors('inputs').filter(has('content'))))('%s', async (_, vector) => {
    const expected = vector.expect as { valid: boolean; content?: Json; error_mentions?: string[] }
    const findings = new Findings(new Sources())
    const at = findings.sources.add('.gitlab-ci.yml', '')
    const component = vector.component as { name: string } | undefined
    const read = readHeader(
      {
        content: fromPlain(vector.content, at) as MapNode,
        at,
        ...(vector.header === null ? {} : { header: fromPlain(vector.header, at) as MapNode }),
      },
      vector.inputs === null ? undefined : fromPlain(vector.inputs, at),
      {
        findings,
        origin: { hasProject: true, trail: [], ...(component === undefined ? {} : { component }) },
        variable: () => undefined,
        fetchInputs: async () => [],
      },
    )
    if (expected.valid) {
      expect(JSON.parse(JSON.stringify(toPlain(await read)))).toEqual(expected.content)
      return
    }
    const thrown = await read.then(
      () => undefined,
      (error: unknown) => error as ConfigFault,
    )
    const told = [thrown?.message, ...findings.errors.map(({ path, message }) => `${path} ${message}`)].join(' ')
    for (const word of expected.error_mentions ?? []) expect(mentions(told, word), `${word} in ${told}`).toBe(true)
  })

  test.each(named(readVectors('inputs').filter(has('spec'))))('%s', async (_, vector) => {
    const expected = vector.expect as {
      valid: boolean
      inputs?: Record<string, { default: Json }>
      error_mentions?: string[]
    }
    const files = Object.fromEntries(
      Object.entries(vector.files as Record<string, string>).map(([path, text]) => [path.slice(1), text]),
    )
    const names = Object.keys(expected.inputs ?? {})
    const config = `${JSON.stringify({ spec: vector.spec })}\n--- \n${names.map((name) => `${name}: $[[ inputs.${name} ]]`).join('\n')}\nx: {}\n`
    const read = mergedTree(config, compileOptionsOf({ files }))
    if (expected.valid) {
      const defaults = Object.entries(expected.inputs ?? {}).map(([name, spec]) => [name, textLike(spec.default)])
      expect(await read).toMatchObject(Object.fromEntries(defaults))
      return
    }
    const thrown = await read.then(
      () => undefined,
      (error: unknown) => error as Error,
    )
    expect(thrown).toBeInstanceOf(Error)
    if (thrown instanceof ConfigFault) {
      for (const word of expected.error_mentions ?? []) expect(mentions(thrown.message, word), word).toBe(true)
    }
  })

  test.each(named(readVectors('rules-evaluation')))('%s', (_, vector) => {
    expect(decideRules(vector)).toMatchObject(vector.expect as object)
  })
})

interface WrittenRule {
  if: string
  when?: JobWhen
  start_in?: string
  allow_failure?: boolean
}

/** Plans one job with these rules; an expression that cannot be read is false, as it is when it comes from a pipeline. */
function decideRules(vector: Vector): { when: string; start_in?: string; allow_failure?: boolean } {
  const written = vector.rules as unknown as WrittenRule[] | null
  const rules = written?.map(({ if: source, when, start_in: startIn, allow_failure: allowFailure }) => ({
    ...(source === undefined ? {} : { if: { source, tree: readOrFalse(source) } }),
    ...(when === undefined ? {} : { when }),
    ...(startIn === undefined ? {} : { startInSeconds: parseDuration(startIn) ?? 0 }),
    ...(allowFailure === undefined ? {} : { allowFailure }),
  }))
  const config: CompiledConfig = {
    version: 1,
    stages: ['test'],
    document: null,
    workflow: { autoCancel: { onNewCommit: 'conservative', onJobFailure: 'none' } },
    variables: [],
    prefill: [],
    jobs: [
      {
        name: 'job',
        place: {},
        plan: {
          name: 'job',
          kind: 'build',
          stage: 'test',
          stageIndex: 0,
          when: 'on_success',
          allowFailure: false,
          tags: [],
          script: [],
          variables: [],
        },
        instances: [{ name: 'job' }],
        when: vector.job_when as JobWhen,
        rules: rules ?? null,
        variables: [],
      },
    ],
  }
  const result = planPipeline(config, planContextOf({}))
  if (!result.ok) return { when: 'never' }
  const [job] = result.plan.jobs
  return {
    when: job?.when ?? '',
    ...(job?.startInSeconds === undefined ? {} : { start_in: job.startInSeconds === 86_400 ? '1 day' : '' }),
    ...(job === undefined ? {} : { allow_failure: job.allowFailure }),
  }
}

function readOrFalse(source: string): Expression {
  try {
    return parseExpression(source)
  } catch {
    return { kind: 'constant', value: false }
  }
}

/** Values of inputs without a type are texts. */
function textLike(value: Json): Json {
  return typeof value === 'string' ? value : String(value as number)
}

function prefixForm(tree: Expression): string {
  switch (tree.kind) {
    case 'variable':
      return `$${tree.name}`
    case 'text':
      return JSON.stringify(tree.value)
    case 'constant':
      return String(tree.value)
    case 'and':
    case 'or':
    case 'equals':
      return `${tree.kind}(${prefixForm(tree.left)}, ${prefixForm(tree.right)})`
    default:
      throw new Error(`the vectors hold no ${tree.kind}`)
  }
}

/** The switches of the original's single pass: references to files may stay, masked values may be forbidden. */
function lookupWith(variables: readonly PlanVariable[], vector: Vector): (name: string) => string | undefined {
  return (name) => {
    const variable = variables.findLast(({ key }) => key === name)
    if (variable?.masked === true && vector.fail_on_masked === true) throw new Error('masked')
    if (variable?.file !== true || vector.expand_file_refs !== false) return variable?.value
    const written = (vector.value as string).replace('key', '')
    return written
  }
}

interface Clause {
  changes?: { paths: string[]; compare_to?: string }
  exists?: { paths: string[]; project?: string; ref?: string }
}

function decideClause(vector: Vector, scope: Scope): boolean {
  const { changes, exists } = vector.clause as Clause
  const limit = vector.limit_comparisons as number | undefined
  if (limit !== undefined) {
    const paths = Array.from({ length: limit + 1 }, (_, index) => `file ${index}`)
    return changes === undefined
      ? anyExists(exists?.paths ?? [], paths, new Set(paths), limit)
      : anyMatches(changes.paths, vector.changed_files as string[], limit)
  }
  const changed = vector.changed_files as string[] | null | undefined
  const files = new Files({
    ...(changed === undefined || changed === null ? {} : { changedPaths: changed }),
    files: Object.keys((vector.files ?? {}) as object),
    comparePaths: comparePaths[vector.ref as string] ?? {},
    projectFiles: otherProjects(vector),
  })
  if (changes !== undefined) {
    const { paths, compare_to: compareTo } = changes
    return files.changed(compareTo === undefined ? { paths } : { paths, compareTo }, scope)
  }
  return exists !== undefined && files.exist(exists, scope)
}

/** What the branches of the original's test repository differ by, as its vectors describe them. */
const comparePaths: Record<string, Record<string, string[]>> = {
  feature_1: { master: ['file1.txt', 'file2.txt'], tag_1: ['file2.txt'] },
  feature_2: {
    master: ['file1.txt', 'file2.txt'],
    feature_1: ['file2.txt'],
    tag_1: ['file2.txt'],
    '<commit id of tag_1>': ['file2.txt'],
  },
}

function otherProjects(vector: Vector): Record<string, string[]> {
  if (vector.user_can_read_other === false) return {}
  const projects = (vector.other_projects ?? {}) as Record<string, Record<string, string[]>>
  return Object.fromEntries(
    Object.entries(projects).flatMap(([project, branches]) => [
      [project, branches['default branch'] ?? []],
      [`${project}@<head commit of the default branch>`, branches['default branch'] ?? []],
      ...Object.entries(branches).map(([ref, files]): [string, string[]] => [`${project}@${ref}`, files]),
    ]),
  )
}

function faultOf(act: () => unknown): ConfigFault {
  try {
    act()
  } catch (error) {
    if (error instanceof ConfigFault) return error
    throw error
  }
  throw new Error('nothing was refused')
}

function givenInputs(specs: Json, inputs: Json): { values: Record<string, unknown>; problems: string[] } {
  const findings = new Findings(new Sources())
  findings.sources.add('file', '')
  const read = validate(inputSpecs, fromPlain(specs, 0), 'inputs', findings)
  if (read === undefined)
    return { values: {}, problems: findings.errors.map(({ path, message }) => `${path} ${message}`) }
  const given = fromPlain(inputs, 0)
  const { values, problems } = resolveInputs(read, given.kind === 'map' ? given : undefined, 0)
  return {
    values: Object.fromEntries(Array.from(values, ([name, value]) => [name, toPlain(value)])),
    problems: problems.map(({ message }) => message),
  }
}

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { compileConfig } from '../../../src/core/ci-config/compile.js'
import { jsonSchema } from '../../../src/core/ci-config/json-schema.js'
import { makeScalar } from '../../../src/core/ci-config/node.js'
import { toPlain } from '../../../src/core/ci-config/plain.js'
import { readYaml } from '../../../src/core/ci-config/yaml/read.js'
import { fitsSchema } from './check-schema.js'

/**
 * The test files of the original's JSON schema: every top-level entry of a positive file is valid, every one of a
 * negative file is not. We ask our own schema, and our compiler about the entry in the smallest file that can hold it.
 * Where schema and processor of the original differ on purpose, or we from either, the tables say why.
 */
const corpus = fileURLToPath(new URL('../../../../shared/corpus/gitlab-yaml-tests/', import.meta.url))
const hasCorpus = existsSync(corpus)
const schema = jsonSchema()

interface Entry {
  id: string
  valid: boolean
  key: string
  value: unknown
}

const projectPath = 'the shape of a project path is left to whoever looks the project up, as the processor does'
const nullIsAbsent = 'null counts as absent'
const wrapped = 'the key is a description that wraps a whole document, so the entry is no job'
const oneOrMore = 'the processor takes one text or several for every report'
const bothKinds = 'a job with script and trigger is refused by the processor'
const olderStep = 'steps called action by an older version are refused by the newer one'
const custom = 'a schema of types cannot tell; compiling does'

const schemaDiffers: Record<string, string> = {
  'positive/include include': 'null counts as absent when compiling, but an editor should not offer it',
  'positive/include trigger:include accepts project and file properties': bothKinds,
  'positive/include trigger:include accepts optional ref property': bothKinds,
  'positive/run step_using_action': olderStep,
  'positive/workflow/auto_cancel/on_job_failure accepts workflow:auto_cancel:on_job_failure value none': wrapped,
  'positive/workflow/auto_cancel/on_job_failure accepts workflow:auto_cancel:on_job_failure value all': wrapped,
  'negative/artifacts browser_performance list of string paths': oneOrMore,
  'negative/artifacts browser_performance mixed list of string paths and globs': oneOrMore,
  'negative/artifacts browser_performance string array': oneOrMore,
  'negative/artifacts performance string path': 'superseded, but the processor still takes it',
  'negative/cache/key_with_dot cache-key-with-.': custom,
  'negative/cache/key_with_multiple_dots cache-key-with-multiple-.': custom,
  'negative/cache_multiple cache-invalid-key': custom,
  'negative/image multi_image_array': 'a list of strings may stand for !reference',
  'negative/project_path/include/leading_slash include': projectPath,
  'negative/project_path/include/no_slash include': projectPath,
  'negative/project_path/trigger/include/invalid_variable trigger-include': projectPath,
  'negative/project_path/trigger/minimal/invalid_variable trigger-minimal': projectPath,
  'negative/project_path/trigger/minimal/leading_slash trigger-minimal': projectPath,
  'negative/project_path/trigger/minimal/no_slash trigger-minimal': projectPath,
  'negative/project_path/trigger/minimal/tailing_slash trigger-minimal': projectPath,
  'negative/project_path/trigger/project/no_slash trigger-project': projectPath,
  'negative/project_path/trigger/trigger_include trigger-include-invalid': projectPath,
  'negative/project_path/trigger/trigger_include trigger-include-leading-slash': projectPath,
  'negative/project_path/trigger/trigger_include trigger-include-no-slash': projectPath,
  'negative/project_path/trigger/trigger_include trigger-include-trailing-slash': projectPath,
  'negative/retry invalid_job_with_retry_exit_codes_duplicate': 'the same exit code twice does no harm',
  'negative/spec/include_with_inputs spec': custom,
  'negative/spec/inputs_rules_with_options spec': custom,
  'negative/trigger trigger-minimal-invalid-variable': projectPath,
  'negative/trigger trigger-minimal-leading-slash': projectPath,
  'negative/trigger trigger-minimal-no-slash': projectPath,
  'negative/trigger trigger-minimal-trailing-slash': projectPath,
  'negative/trigger trigger-project-invalid-variable': projectPath,
  'negative/trigger trigger-project-leading-slash': projectPath,
  'negative/trigger trigger-include-invalid': projectPath,
  'negative/trigger trigger-include-leading-slash': projectPath,
  'negative/trigger trigger-include-no-slash': projectPath,
  'negative/trigger trigger-include-trailing-slash': projectPath,
}

/** What only one of the two can tell. */
const compilerDiffers: Record<string, string> = {
  ...Object.fromEntries(
    Object.entries(schemaDiffers).filter(([id, why]) => why !== custom && id !== 'positive/include include'),
  ),
  'negative/artifacts browser_performance no paths': nullIsAbsent,
  'negative/artifacts cyclonedx no paths': nullIsAbsent,
  'negative/image empty_image': nullIsAbsent,
  'negative/image image_with_empty_executor_opts': nullIsAbsent,
  'negative/rules_needs lint_job': nullIsAbsent,
}
delete compilerDiffers['negative/image multi_image_array']
delete compilerDiffers['negative/project_path/include/leading_slash include']
delete compilerDiffers['negative/project_path/include/no_slash include']

function entries(): Entry[] {
  if (!hasCorpus) return []
  return ['positive', 'negative'].flatMap((kind) =>
    readdirSync(corpus + kind, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.yml'))
      .toSorted()
      .flatMap((file) => {
        const node = readYaml(readFileSync(`${corpus}${kind}/${file}`, 'utf8'), 0) ?? makeScalar(null, 0)
        return Object.entries(toPlain(node) as Record<string, unknown>).map(([key, value]) => ({
          id: `${kind}/${file.replace('.yml', '')} ${key}`,
          valid: kind === 'positive',
          key,
          value,
        }))
      }),
  )
}

describe.skipIf(!hasCorpus)('the files of the original schema tests (needs ../shared/corpus)', () => {
  const all = entries().map((entry): [string, Entry] => [entry.id, entry])

  test.each(all)('our schema: %s', (id, { key, value, valid }) => {
    expect(fitsSchema({ [key]: value }, schema)).toBe(id in schemaDiffers ? !valid : valid)
  })

  test.each(all)('compiling: %s', async (id, entry) => {
    const problem = await firstProblem(entry)
    expect(problem === undefined, problem).toBe(id in compilerDiffers ? !entry.valid : entry.valid)
  })

  test('every difference told of is in the corpus', () => {
    const ids = new Set(all.map(([id]) => id))
    expect([...Object.keys(schemaDiffers), ...Object.keys(compilerDiffers)].filter((id) => !ids.has(id))).toEqual([])
  })
})

const matrixJob = {
  script: 'x',
  parallel: {
    matrix: [
      { VAR_1: ['a', 'b', 'c'], VAR_2: ['d'] },
      { VAR_1: ['a', 'b', 'c'], VAR_5: ['d', 'e'] },
    ],
  },
}

/** Jobs that the entries need. */
const surroundings = {
  ...Object.fromEntries(
    ['job', 'lint_job', 'lint_job_6', 'pre_lint_job', 'rspec_job', 'generate-child'].map((name) => [
      name,
      { script: 'x' },
    ]),
  ),
  ...Object.fromEntries(
    ['some_job_with_parallel_matrix', 'job_with_parallel_matrix', 'job_with_parallel_matrix_2'].map((name) => [
      name,
      matrixJob,
    ]),
  ),
}

const noJobs = new Set(['include', 'stages', 'variables', 'workflow', 'default'])

async function firstProblem({ key, value }: Entry): Promise<string | undefined> {
  if (key === 'spec') return compile(`${JSON.stringify({ spec: value })}\n--- \njob: {script: x}\n`)
  const given = value as Record<string, unknown> | null
  const isJob = !noJobs.has(key)
  const runs = given?.script !== undefined || given?.run !== undefined || given?.trigger !== undefined
  const whole = isJob && !runs ? { script: 'x', ...given } : value
  const stages = ['prepare', 'build', 'test', 'dast', ...(key === 'stages' ? (value as string[]) : [])]
  return compile(JSON.stringify({ ...surroundings, [key]: whole, stages }))
}

async function compile(file: string): Promise<string | undefined> {
  const result = await compileConfig(file, {
    fetchInclude: async (request) =>
      request.kind === 'project' && /^\/|^[^/$]*$/.test(request.project)
        ? { ok: false, reason: 'no such project' }
        : { ok: true, content: 'variables: {A: b}\n' },
    listFiles: async () => [],
    changedSince: async () => [],
    variables: [
      { key: 'FOO', value: 'group/project' },
      { key: 'VAR', value: 'group' },
    ],
  })
  return result.ok ? undefined : result.errors.map(({ path, message }) => `${path} ${message}`).join('; ')
}

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import type { CompileOptions, IncludeAnswer, IncludeRequest } from '../../../src/core/ci-config/compilation.js'
import { compileConfig } from '../../../src/core/ci-config/compile.js'
import type { CompiledConfig } from '../../../src/core/ci-config/config.js'
import { jsonSchema } from '../../../src/core/ci-config/json-schema.js'
import { header } from '../../../src/core/ci-config/keywords/header.js'
import { include } from '../../../src/core/ci-config/keywords/include.js'
import { bridgeShape, jobShape } from '../../../src/core/ci-config/keywords/job.js'
import { rootKeys } from '../../../src/core/ci-config/keywords/root.js'
import type { Node } from '../../../src/core/ci-config/node.js'
import { toPlain } from '../../../src/core/ci-config/plain.js'
import type { AnyShape } from '../../../src/core/ci-config/shape.js'
import { accepts } from '../../../src/core/ci-config/shape-words.js'
import { readYaml } from '../../../src/core/ci-config/yaml/read.js'
import { fitsSchema } from './check-schema.js'

const fixtures = fileURLToPath(new URL('./fixtures/', import.meta.url))
const everyKeyword = readFileSync(`${fixtures}every-keyword.yml`, 'utf8')
const everyInput = readFileSync(`${fixtures}every-input.yml`, 'utf8')

const files: Record<string, string> = {
  'shared.yml': 'from shared: {stage: build, script: x}\n',
  'group/shared:one.yml': 'spec: {inputs: {greeting: {default: hi}}}\n---\n.greeting: $[[ inputs.greeting ]]\n',
  'group/shared:two.yml': '.two: [2]\n',
  'more-inputs.yml': readFileSync(`${fixtures}more-inputs.yml`, 'utf8'),
}

function answer(request: IncludeRequest): IncludeAnswer {
  const name =
    request.kind === 'local' ? request.path : request.kind === 'project' ? `${request.project}:${request.path}` : ''
  const content = files[name]
  return content === undefined ? { ok: false, reason: 'does not exist' } : { ok: true, content }
}

const options: CompileOptions = {
  fetchInclude: async (request) => answer(request),
  listFiles: async () => [],
  variables: [{ key: 'WHO', value: 'you & me' }],
}

async function compiled(source: string, more: Partial<CompileOptions> = {}): Promise<CompiledConfig> {
  const result = await compileConfig(source, { ...options, ...more })
  if (!result.ok) throw new Error(JSON.stringify(result.errors, null, 1))
  return result.config as CompiledConfig
}

/** Every keyword that a shape knows below it, as a path such as `job:artifacts:paths`. */
function keywordsOf(shape: AnyShape, path: string, found = new Set<string>()): Set<string> {
  if (shape.kind === 'either') for (const option of shape.options) keywordsOf(option, path, found)
  else if (shape.kind === 'list' || shape.kind === 'entries') keywordsOf(shape.of, path, found)
  else if (shape.kind === 'record') {
    for (const [name, keyword] of Object.entries(shape.keys)) {
      found.add(`${path}:${name}`)
      keywordsOf(keyword.shape, `${path}:${name}`, found)
    }
  }
  return found
}

/** Takes the keywords that a document uses off the list. */
function tickOff(shape: AnyShape, node: Node, path: string, left: Set<string>): void {
  if (shape.kind === 'either') {
    for (const option of shape.options) if (accepts(option, node)) tickOff(option, node, path, left)
  } else if (shape.kind === 'list' && node.kind === 'list') {
    for (const item of node.items) tickOff(item.kind === 'list' ? shape : shape.of, item, path, left)
  } else if (shape.kind === 'entries' && node.kind === 'map') {
    for (const { value } of node.entries.values()) tickOff(shape.of, value, path, left)
  } else if (shape.kind === 'record' && node.kind === 'map') {
    for (const [name, { value }] of node.entries) {
      const keyword = typeof name === 'string' ? shape.keys[name] : undefined
      if (keyword === undefined) continue
      left.delete(`${path}:${String(name)}`)
      tickOff(keyword.shape, value, `${path}:${String(name)}`, left)
    }
  }
}

const root: AnyShape = { kind: 'record', keys: { ...rootKeys, include: { shape: include } }, required: [] }

describe('the file with every keyword', () => {
  test('leaves none out', () => {
    const document = readYaml(everyKeyword, 0)
    const head = readYaml(everyInput, 0)
    if (document?.kind !== 'map' || head === undefined) throw new Error('the fixtures are not maps')
    const left = new Set([
      ...keywordsOf(root, 'root'),
      ...keywordsOf(jobShape, 'job'),
      ...keywordsOf(bridgeShape, 'bridge'),
      ...keywordsOf(header, 'header'),
    ])
    tickOff(root, document, 'root', left)
    tickOff(header, head, 'header', left)
    for (const [name, { value }] of document.entries) {
      if (value.kind !== 'map' || (typeof name === 'string' && Object.hasOwn(rootKeys, name))) continue
      const isJob = value.entries.has('script') || value.entries.has('run')
      tickOff(isJob ? jobShape : bridgeShape, value, isJob ? 'job' : 'bridge', left)
    }
    // Trigger jobs and other places share their shapes with jobs, where each keyword is used.
    const shared = [...left].filter((path) => !isUsedElsewhere(path))
    expect(shared).toEqual([])
  })

  test('compiles, and its jobs carry what they were given', async () => {
    const config = await compiled(everyKeyword)
    const jobs = new Map(config.jobs.map((job) => [job.name, job]))
    expect(config.stages).toEqual(['.pre', 'build', 'test', 'deploy', '.post'])
    expect(config.variables).toEqual([
      { key: 'PLAIN', value: 'text' },
      { key: 'NUMBER', value: '1.0' },
      { key: 'FLAG', value: 'true' },
      { key: '1', value: 'one' },
      { key: 'FULL', value: 'a', raw: true },
    ])
    expect(jobs.get('build')).toMatchObject({
      allowFailureExitCodes: [1, 2],
      inheritVariables: ['PLAIN'],
      instances: [{ name: 'build 1/2' }, { name: 'build 2/2' }],
      rules: [{ startInSeconds: 600, when: 'delayed', needs: [] }, {}, { changes: { paths: ['**/*.rb'] } }],
      variables: [
        { key: 'HIDDEN', value: 'h' },
        { key: 'OWN', value: 'own $PLAIN' },
        { key: 'RAW', value: '$PLAIN', raw: true },
      ],
      plan: {
        script: ['echo own before', 'make', 'make nested', 'make deeper'],
        afterScript: ['echo own after'],
        hooks: { preGetSources: ['echo own hook'] },
        image: {
          name: 'alpine',
          entrypoint: [''],
          pullPolicy: ['always', 'if-not-present'],
          executorOpts: { docker: { platform: 'linux/arm64', user: 'dave' }, kubernetes: { user: '1001' } },
        },
        services: [
          {
            name: 'postgres',
            alias: 'db, database',
            command: ['postgres', '-c'],
            variables: [{ key: 'POSTGRES_DB', value: 'test' }],
          },
          { name: 'redis', command: ['serve'] },
        ],
        tags: ['docker', '$PLAIN'],
        caches: [
          { key: { files: ['Gemfile.lock'], prefix: 'gems' }, policy: 'pull', fallbackKeys: ['gems-main', 'gems'] },
          { key: { files: ['yarn.lock', 'package.json'], filesCommits: true }, policy: '$POLICY' },
        ],
        retry: { max: 2, when: ['runner_system_failure', 'api_failure'], exitCodes: [137, 255] },
        timeoutSeconds: 5_400,
        interruptible: false,
        resourceGroup: 'builders',
        coverage: 'Total.*?(\\d+\\.\\d+)%',
        manualConfirmation: 'Really build?',
        idTokens: { TOKEN: { aud: ['https://one.example.com', 'https://two.example.com'] } },
        inputs: [
          { key: 'text', value: { type: 'string', content: 'a' } },
          { key: 'number', value: { type: 'number', content: 1 } },
          { key: 'matched', value: { type: 'string', content: 'abc' } },
        ],
        options: { identity: 'google_cloud', exposeAs: 'The build' },
      },
    })
    const artifacts = jobs.get('build')?.plan.artifacts ?? []
    expect(artifacts[0]).toEqual({
      type: 'archive',
      format: 'zip',
      name: 'build-$CI_COMMIT_REF_SLUG',
      paths: ['out/'],
      exclude: ['out/tmp'],
      untracked: false,
      when: 'on_failure',
      expireIn: '1 week',
      access: 'developer',
    })
    expect(artifacts.find(({ type }) => type === 'cobertura')).toEqual({
      type: 'cobertura',
      format: 'gzip',
      name: 'cobertura-coverage.xml',
      paths: ['coverage.xml'],
      when: 'always',
      expireIn: '1 week',
      access: 'developer',
    })
    expect(artifacts).toHaveLength(27)
    expect(jobs.get('matrix')?.instances.map(({ name }) => name)).toEqual([
      'matrix: [linux, 1]',
      'matrix: [windows, 1]',
      'matrix: [mac]',
    ])
    expect(jobs.get('matrix')?.plan.dependencies).toEqual(['build 1/2', 'build 2/2'])
    // Of the defaults, the job takes those that it does not give itself.
    expect(jobs.get('matrix')?.plan).toMatchObject({
      image: { name: 'ruby:3' },
      services: [{ name: 'redis' }],
      script: ['echo before', 'test'],
      afterScript: ['echo after'],
      caches: [{ key: 'default-key' }],
      retry: { max: 1, when: ['always'] },
      tags: ['linux'],
      timeoutSeconds: 7_200,
      interruptible: true,
    })
    expect(jobs.get('deploy')).toMatchObject({
      startInSeconds: 1_800,
      needs: [
        { job: 'build 1/2', artifacts: true, optional: false },
        { job: 'matrix', artifacts: false, optional: true, instances: ['matrix: [linux, 1]'] },
      ],
      plan: {
        crossNeeds: [
          { pipeline: '$PARENT_PIPELINE_ID', job: 'parent' },
          { project: 'group/other', job: 'other', ref: 'main' },
        ],
        environment: {
          name: 'review/$CI_COMMIT_REF_SLUG',
          onStop: 'stop',
          autoStopIn: '1 week',
          deploymentTier: 'development',
        },
        release: { tag_name: 'v1', name: 'First' },
        options: { kubernetes: { agent: 'group/agents:agent' } },
      },
    })
    expect(jobs.get('pages')?.plan).toMatchObject({ pages: { publish: 'site' }, artifacts: [{ paths: ['site'] }] })
    expect(jobs.get('preview')?.plan).toMatchObject({
      pages: { publish: 'preview', path_prefix: 'preview' },
      artifacts: [{ paths: ['x', 'preview'] }],
    })
    expect(jobs.get('steps')?.plan).toMatchObject({
      script: [],
      run: [{ name: 'one' }, { name: 'two' }, {}, {}, {}, {}],
    })
    expect(jobs.get('steps')?.plan.afterScript).toBeUndefined()
    expect(jobs.get('downstream')?.plan).toMatchObject({
      kind: 'bridge',
      trigger: { project: 'group/downstream', strategy: 'mirror' },
    })
    expect(jobs.get('downstream')?.plan.interruptible).toBeUndefined()
    expect(jobs.get('legacy trigger')?.plan).toMatchObject({ kind: 'bridge', interruptible: true, tags: [] })
    expect(jobs.get('mirror')?.plan.crossNeeds).toEqual([{ pipeline: 'group/upstream' }])
  })

  test('is plain data: JSON and structured clone change nothing', async () => {
    const config = await compiled(everyKeyword)
    const copy = JSON.parse(JSON.stringify(config)) as CompiledConfig
    expect(copy).toEqual(structuredClone(config))
    expect(JSON.stringify(copy)).toBe(JSON.stringify(config))
    expect(findOdd(config)).toEqual([])
  })

  test('fits the schema for editors', () => {
    const schema = jsonSchema()
    for (const text of [everyKeyword, everyInput]) {
      const document = toPlain(readYaml(text, 0) as Node) as Record<string, unknown>
      for (const [key, value] of Object.entries(document)) {
        expect(fitsSchema({ [key]: value }, schema), key).toBe(true)
      }
    }
  })
})

test('a file with inputs of every kind gets them put in', async () => {
  const config = await compiled(everyInput, { inputs: { required: 'the', environment: 'prod' } })
  expect(config.jobs.map(({ name }) => name)).toEqual(['the job'])
  expect(config.jobs[0]).toMatchObject({
    allowFailure: false,
    plan: {
      script: ['echo prod 3 1', 'a', 'b', 'echo a\\ you\\ \\&\\ me b', 'echo @  '],
      tags: ['large'],
    },
  })
  expect(config.jobs[0]?.instances).toHaveLength(3)
})

/** The keywords of included shapes are the same wherever they stand. */
function isUsedElsewhere(path: string): boolean {
  return (
    path.startsWith('bridge:environment:') ||
    path.startsWith('bridge:rules:') ||
    path.startsWith('bridge:needs:') ||
    path.startsWith('bridge:only:') ||
    path.startsWith('bridge:except:') ||
    path.startsWith('bridge:variables:') ||
    path.startsWith('bridge:trigger:include:') ||
    path.startsWith('job:except:') ||
    path.startsWith('job:rules:needs:') ||
    path.startsWith('root:default:') ||
    path.startsWith('root:workflow:rules:') ||
    path.startsWith('root:include:') ||
    path.startsWith('header:spec:include:') ||
    /^root:(?:image|services|cache|before_script|after_script)/.test(path)
  )
}

/** Paths of values that are no JSON. */
function findOdd(value: unknown, path = ''): string[] {
  if (value === null || ['string', 'boolean'].includes(typeof value)) return []
  if (typeof value === 'number') return Number.isFinite(value) ? [] : [path]
  if (typeof value !== 'object') return [path]
  const isPlain = Array.isArray(value) || [Object.prototype, null].includes(Object.getPrototypeOf(value))
  const inner = Object.entries(value).flatMap(([key, one]) => findOdd(one, `${path}.${key}`))
  return isPlain ? inner : [path, ...inner]
}

test('docs/ci-yaml.md names every keyword of the top of a file and of jobs', () => {
  const docs = readFileSync(fileURLToPath(new URL('../../../docs/ci-yaml.md', import.meta.url)), 'utf8')
  const names = [root, jobShape, bridgeShape].flatMap((shape) =>
    shape.kind === 'record' ? Object.keys(shape.keys) : [],
  )
  expect(names.filter((name) => !new RegExp(`\`(?:\\w+:)*${name}[\`:]`).test(docs))).toEqual([])
})

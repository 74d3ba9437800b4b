import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type {
  CompileOptions,
  CompileResult,
  IncludeAnswer,
  IncludeRequest,
} from '../../../src/core/ci-config/compilation.js'
import { compileConfig } from '../../../src/core/ci-config/compile.js'
import { deepMerge, MergeBudget } from '../../../src/core/ci-config/merge.js'
import type { MapNode } from '../../../src/core/ci-config/node.js'
import { fromPlain, toPlain } from '../../../src/core/ci-config/plain.js'
import { tries } from './property.js'
import { mergedTree } from './vectors.js'

/** Files by what names them: a path, `project:path`, a URL, a template or a component. */
type Files = Record<string, string | Extract<IncludeAnswer, { ok: true }>>

function nameOf(request: IncludeRequest): string {
  switch (request.kind) {
    case 'local':
      return request.project === undefined ? request.path : `${request.project}@${request.ref ?? ''}:${request.path}`
    case 'project':
      return `${request.project}:${request.path}${request.ref === undefined ? '' : `@${request.ref}`}`
    case 'remote':
      return request.url
    case 'template':
      return request.name
    case 'component':
      return request.component
    case 'artifact':
      return `${request.job}:${request.path}`
  }
}

function optionsFor(files: Files, more: Partial<CompileOptions> = {}, asked: string[] = []): CompileOptions {
  return {
    fetchInclude: async (request) => {
      asked.push(nameOf(request))
      const found = files[nameOf(request)]
      if (found === undefined) return { ok: false, reason: 'does not exist' }
      return typeof found === 'string' ? { ok: true, content: found } : found
    },
    listFiles: async (project) => (project === undefined ? Object.keys(files) : [`file of ${project}`]),
    ...more,
  }
}

const tree = (source: string, files: Files, more: Partial<CompileOptions> = {}): Promise<Record<string, unknown>> =>
  mergedTree(source, optionsFor(files, more)).then((one) => JSON.parse(JSON.stringify(one)))

async function faultOf(source: string, files: Files, more: Partial<CompileOptions> = {}): Promise<string> {
  const result: CompileResult = await compileConfig(source, optionsFor(files, more))
  return result.ok ? '' : result.errors.map(({ message }) => message).join('\n')
}

describe('merging', () => {
  test('later files win over earlier ones, the including file over all, maps key by key, lists as a whole', async () => {
    const files = {
      'a.yml': 'variables: {A: a, B: a}\njob: {script: [a], tags: [a], image: a}\n',
      'b.yml': 'variables: {B: b, C: b}\njob: {script: [b], image: null}\n',
    }
    expect(await tree('include: [a.yml, b.yml]\nvariables: {C: own}\njob: {tags: [own]}\n', files)).toEqual({
      variables: { A: 'a', B: 'b', C: 'own' },
      job: { script: ['b'], tags: ['own'], image: null },
    })
  })

  test('a file overrides what it includes, and one included again is merged again', async () => {
    const files = {
      'base.yml': 'job: {script: base}\n',
      'over.yml': 'include: base.yml\njob: {script: over}\n',
    }
    expect(await tree('include: over.yml\n', files)).toEqual({ job: { script: 'over' } })
    expect(await tree('include: [over.yml, base.yml]\n', files)).toEqual({ job: { script: 'base' } })
  })

  test('extends and references reach across files, anchors do not', async () => {
    const files = { 'a.yml': '.a: &a {tags: [a]}\n.lines: [echo]\n' }
    expect(await tree('include: a.yml\njob: {extends: .a, script: !reference [.lines]}\n', files)).toMatchObject({
      job: { tags: ['a'], script: ['echo'] },
    })
    expect(await faultOf('include: a.yml\njob: {<<: *a}\n', files)).toContain('unknown alias "a"')
  })

  const value = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.integer(),
      fc.constant(null),
      fc.array(fc.integer(), { maxLength: 2 }),
      tie('map'),
    ),
    map: fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value'), { noNullPrototype: true }),
  }))

  test('merging maps is associative, where no map meets something else', () => {
    const merge = (one: unknown, other: unknown): unknown =>
      toPlain(deepMerge(fromPlain(one, 0) as MapNode, fromPlain(other, 0) as MapNode, new MergeBudget()))
    fc.assert(
      fc.property(value.map, value.map, value.map, (a, b, c) => {
        fc.pre(agree(a, b) && agree(b, c) && agree(a, c))
        expect(merge(merge(a, b), c)).toEqual(merge(a, merge(b, c)))
        expect(merge(a, a)).toEqual(toPlain(fromPlain(a, 0)))
      }),
      tries(50),
    )
  })
})

/** Both have a map, or neither has, wherever both have something. */
function agree(one: unknown, other: unknown): boolean {
  const isMap = (candidate: unknown): candidate is Record<string, unknown> =>
    typeof candidate === 'object' && candidate !== null && !Array.isArray(candidate)
  if (!isMap(one) || !isMap(other)) return isMap(one) === isMap(other)
  return Object.keys(one).every((key) => !Object.hasOwn(other, key) || agree(one[key], other[key]))
}

describe('kinds of includes', () => {
  test('each is asked for as it is written, with variables put in', async () => {
    const asked: string[] = []
    const files: Files = {
      'group/x.yml': '{}',
      'https://host/a.yml': '{}',
      'other/p:one.yml@v1': '{}',
      'other/p:two.yaml@v1': '{}',
      'T.gitlab-ci.yml': '{}',
      'host/c/name@1': '{}',
    }
    const source = `
include:
  - /$DIR/x.yml
  - $HOST/a.yml
  - {project: other/$P, file: [/one.yml, two.yaml], ref: v$ONE}
  - {template: T.gitlab-ci.yml}
  - {component: host/c/name@$ONE}
  - {local: group/x.yml}
`
    const variables = Object.entries({ DIR: 'group', HOST: 'https://host', P: 'p', ONE: '1' }).map(([key, value]) => ({
      key,
      value,
    }))
    await mergedTree(source, optionsFor(files, { variables }, asked))
    // The same file is asked for once.
    expect(asked).toEqual(Object.keys(files))
  })

  test('local wildcards take the files that match, in order, and those not included yet', async () => {
    const files = {
      'c/b.yml': 'b: {script: x}\n',
      'c/a.yml': 'a: {script: x}\n',
      'c/d/e.yml': 'e: {script: x}\n',
      'c/a.txt': '[',
    }
    expect(Object.keys(await tree('include: c/*.yml\n', files))).toEqual(['a', 'b'])
    expect(Object.keys(await tree('include: c/**.yml\n', files))).toEqual(['a', 'b', 'e'])
    expect(Object.keys(await tree('include: c/**/*.yml\n', files))).toEqual(['e'])
    expect(await tree('include: [c/a.yml, "c/*.yml"]\na: {script: y}\n', files)).toHaveProperty('b')
    const listed = await compileConfig('include: [c/a.yml, "c/*.yml", "c/a*.yml"]\n', optionsFor(files))
    expect(listed.includes?.map(({ request }) => 'path' in request && request.path)).toEqual(['c/a.yml', 'c/b.yml'])
    const around = { ...files, 'c/f.yml': 'include: {local: "$P"}\nf: {script: x}\n' }
    const variables = [{ key: 'P', value: 'c/*.yml' }]
    expect(Object.keys(await tree('include: c/f.yml\n', around, { variables }))).toEqual(['a', 'b', 'f'])
    expect(await tree('include: nothing/*.yml\nx: {script: y}\n', files)).toEqual({ x: { script: 'y' } })
  })

  test('nested local files belong to the project that the file came from', async () => {
    const asked: string[] = []
    const files: Files = {
      'other/p:a.yml': { ok: true, content: 'include: b.yml\n', project: 'other/p', ref: 'sha1' },
      'other/p@sha1:b.yml': { ok: true, content: 'include: c.yml\n' },
      'other/p@sha1:c.yml': 'x: {script: y}\n',
      'host/comp@1': {
        ok: true,
        content: 'include: d.yml\n',
        project: 'comp/p',
        ref: 'sha2',
        component: { name: 'comp' },
      },
      'comp/p@sha2:d.yml': '{}',
    }
    await mergedTree(
      'include: [{project: other/p, file: a.yml}, {component: host/comp@1}]\n',
      optionsFor(files, {}, asked),
    )
    expect(asked).toEqual([
      'other/p:a.yml',
      'host/comp@1',
      'other/p@sha1:b.yml',
      'other/p@sha1:c.yml',
      'comp/p@sha2:d.yml',
    ])
  })

  test('a component learns what its header asks for', async () => {
    const files: Files = {
      'host/comp@1.0': {
        ok: true,
        content:
          'spec: {component: [name, version, reference]}\n---\nx: {script: "$[[ component.name ]] $[[ component.version ]] $[[ component.reference ]]"}\n',
        component: { name: 'comp', version: '1.0.2', sha: 'abc', reference: '1.0' },
      },
    }
    expect(await tree('include: [{component: host/comp@1.0}]\n', files)).toEqual({ x: { script: 'comp 1.0.2 1.0' } })
  })

  test.each([
    ['include: [{remote: "https://h/a.yml"}]', 'this file belongs to no project'],
    ['include: [{template: A.gitlab-ci.yml}]', 'this file belongs to no project'],
    ['include: [{remote: ftp://h/a.yml}]', 'needs a valid URL'],
    ['include: [{remote: "https://h/a.txt"}]', 'does not have YAML extension'],
    ['include: a.txt', 'does not have YAML extension'],
    ['include: [{template: A.yml}]', 'must end in .gitlab-ci.yml'],
    ['include: [{project: a/b}]', 'project requires file'],
    ['include: [{local: a.yml, remote: "https://h/a.yml"}]', 'has local and remote but needs exactly one'],
    ['include: [{file: a.yml}]', 'needs exactly one valid subkey for include'],
    ['include: [{artifact: a.yml, job: b}]', 'by trigger only'],
    ['include: [{local: a.yml, when: never}]', 'unknown keys: when'],
    ['include: [[a.yml]]', 'must be a list of strings or maps'],
    ['include: !reference [.a]', 'not a reference'],
    ['include: empty.yml', 'included file "empty.yml" is empty'],
    ['include: comment.yml', 'comment.yml is empty'],
    ['include: list.yml', 'must be valid YAML that holds a map'],
    ['include: broken.yml', 'never closed'],
    ['include: missing.yml', 'included file "missing.yml": does not exist'],
    ['include: [{local: other.yml, inputs: {a: b}}]', 'given inputs are not defined in the spec section of other.yml'],
    ['include: [{local: other.yml, rules: [{when: on_success}]}]', 'unknown value "on_success"'],
    [
      'include: [{local: other.yml, rules: [{changes: {paths: [a], compare_to: x}}]}]',
      'include: rules:changes:compare_to',
    ],
  ])('%s is refused', async (source, says) => {
    const files: Files = {
      'https://h/a.yml': 'include: b.yml\n',
      'A.gitlab-ci.yml': 'include: b.yml\n',
      'b.yml': '{}',
      'empty.yml': ' \n',
      'comment.yml': '# nothing\n',
      'list.yml': '- a\n',
      'broken.yml': 'a: [\n',
      'other.yml': 'x: {script: y}\n',
    }
    expect(await faultOf(`${source}\njob: {script: x}\n`, files)).toContain(says)
  })

  test('integrity is checked over the content', async () => {
    const content = 'x: {script: y}\n'
    const hash = (text: string): string => `sha256-${createHash('sha256').update(text).digest('base64')}`
    const files = { 'https://h/a.yml': content }
    const source = (text: string): string => `include: [{remote: "https://h/a.yml", integrity: "${hash(text)}"}]\n`
    expect(await faultOf(source(content), files)).toBe('')
    expect(await faultOf(source('other'), files)).toContain('integrity check failed')
  })

  test('masked values are not shown', async () => {
    const variables = [{ key: 'SECRET', value: 'hunter2', masked: true }]
    const told = await faultOf('include: $SECRET/a.yml\n', {}, { variables })
    expect(told).toContain('"xxxxxxx/a.yml"')
    expect(told).not.toContain('hunter2')
  })
})

describe('include:rules', () => {
  const files = { 'a.yml': 'a: {script: x}\n', Dockerfile: '' }
  test.each([
    ['{if: $A}', false],
    ['{if: $B}', true],
    ['{if: $B, when: never}', false],
    ['{if: $A}, {when: always}', true],
    ['{exists: [Dockerfile]}', true],
    ['{exists: [Other]}', false],
    ['{exists: {paths: ["file of g/p"], project: $P}}', true],
    ['{exists: {paths: [nothing], project: $P}}', false],
    ['{changes: [x]}', true],
    ['{changes: [y]}', false],
    ['{changes: {paths: [z], compare_to: $REF}}', true],
  ])('%s: %s', async (rules, expected) => {
    const variables = Object.entries({ B: 'b', P: 'g/p', REF: 'main' }).map(([key, value]) => ({ key, value }))
    const more = {
      variables,
      changedPaths: async () => ['x'],
      changedSince: async (ref: string) => (ref === 'main' ? ['z'] : undefined),
    }
    const result = await tree(`include: [{local: a.yml, rules: [${rules}]}]\nb: {script: x}\n`, files, more)
    expect('a' in result).toBe(expected)
  })

  test('exists is false for files that belong to no project', async () => {
    const nested = {
      'https://h/r.yml': 'include: [{remote: "https://h/s.yml", rules: [{exists: [Dockerfile]}]}]\nr: {script: x}\n',
    }
    expect(Object.keys(await tree('include: "https://h/r.yml"\n', { ...nested, Dockerfile: '' }))).toEqual(['r'])
  })
})

describe('limits', () => {
  const files = Object.fromEntries(
    Array.from({ length: 200 }, (_, index) => [`${index}.yml`, `j${index}: {script: x}\n`]),
  )
  const including = (count: number): string =>
    `include:\n${Array.from({ length: count }, (_, index) => `  - ${index}.yml\n`).join('')}`

  test('150 files are taken, 151 are not, and repetitions count', async () => {
    expect(await faultOf(including(150), files)).toBe('')
    expect(await faultOf(including(151), files)).toContain('Maximum of 150 included files')
    expect(await faultOf(`include: [${Array(151).fill('0.yml').join()}]\n`, files)).toContain('Maximum of 150')
    expect(await faultOf(including(3), files, { maxIncludes: 2 })).toContain('Maximum of 2')
  })

  test('a circle is told by its files', async () => {
    const circle = { 'a.yml': 'include: b.yml\n', 'b.yml': 'include: c.yml\n', 'c.yml': 'include: a.yml\n' }
    expect(await faultOf('include: a.yml\n', circle)).toContain('includes itself: a.yml → b.yml → c.yml → a.yml')
    const itself = { 'a.yml': 'include: a.yml\n' }
    expect(await faultOf('include: a.yml\n', itself)).toContain('a.yml → a.yml')
  })

  test('a file that includes itself with other inputs goes on until there is no more to do', async () => {
    const content = `
spec: {inputs: {n: {type: number}, more: {type: boolean, default: true}}}
---
include: [{local: a.yml, inputs: {n: 2, more: false}, rules: [{if: '"$[[ inputs.more ]]" == "true"'}]}]
"job $[[ inputs.n ]]": {script: x}
`
    expect(Object.keys(await tree('include: [{local: a.yml, inputs: {n: 1}}]\n', { 'a.yml': content }))).toEqual([
      'job 2',
      'job 1',
    ])
  })

  test.each([
    ['rejects', () => Promise.reject(new Error('boom'))],
    [
      'throws',
      () => {
        throw new Error('boom')
      },
    ],
  ])('a fetch that %s is an error like any other', async (_, fetchInclude) => {
    expect(await compileConfig('include: a.yml\n', { fetchInclude })).toMatchObject({
      ok: false,
      errors: [{ message: 'included file "a.yml": could not be fetched', line: 1, column: 10 }],
    })
  })

  test('what a file hands on to itself tells its turns apart', async () => {
    const content = `
spec: {inputs: {n: {type: string}}}
---
include: [{local: a.yml, inputs: {n: "$[[ inputs.n ]]x"}, rules: [{if: '"$[[ inputs.n ]]" != "axxx"'}]}]
"job $[[ inputs.n ]]": {script: x}
`
    expect(Object.keys(await tree('include: [{local: a.yml, inputs: {n: a}}]\n', { 'a.yml': content }))).toHaveLength(4)
  })

  test('the first of several failures is told, whatever answers first', async () => {
    const slow: CompileOptions = {
      fetchInclude: async (request) => {
        if (nameOf(request) === 'a.yml') for (let turn = 0; turn < 50; turn++) await Promise.resolve()
        return { ok: false, reason: `no ${nameOf(request)}` }
      },
    }
    expect(await compileConfig('include: [a.yml, b.yml]\n', slow)).toMatchObject({
      errors: [{ message: 'included file "a.yml": no a.yml' }],
    })
  })
})

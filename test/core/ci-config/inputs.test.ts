import { describe, expect, test } from 'vitest'
import type { CompileOptions } from '../../../src/core/ci-config/compilation.js'
import { compileConfig } from '../../../src/core/ci-config/compile.js'
import { mergedTree } from './vectors.js'

const options: CompileOptions = {
  fetchInclude: async () => ({ ok: false, reason: 'does not exist' }),
  variables: [
    { key: 'WHO', value: 'you' },
    { key: 'NESTED', value: '$WHO' },
    { key: 'SECRET', value: 'x', masked: true },
  ],
}

async function put(specs: string, content: string, inputs: Record<string, unknown> = {}): Promise<unknown> {
  const source = `spec: {inputs: ${specs}}\n---\nout: ${content}\n`
  const tree = await mergedTree(source, { ...options, inputs })
  return JSON.parse(JSON.stringify(tree.out)) as unknown
}

async function problem(specs: string, content = 'x', inputs: Record<string, unknown> = {}): Promise<string> {
  const source = `spec: {inputs: ${specs}}\n---\njob: {script: ${content}}\n`
  const result = await compileConfig(source, { ...options, inputs })
  return result.ok ? '' : result.errors.map(({ path, message }) => `${path} ${message}`).join('\n')
}

describe('values', () => {
  test.each([
    ['{a: }', { a: 'x' }, 'x'],
    ['{a: }', { a: 12 }, '12'],
    ['{a: }', { a: true }, 'true'],
    ['{a: {default: 1.0}}', {}, '1.0'],
    ['{a: {default: null}}', {}, null],
    ['{a: {type: number}}', { a: '12' }, 12],
    ['{a: {type: number}}', { a: 1.5 }, 1.5],
    ['{a: {type: boolean}}', { a: 'true' }, true],
    ['{a: {type: array}}', { a: '["x", 1]' }, ['x', 1]],
    ['{a: {type: array, default: [{x: y}]}}', {}, [{ x: 'y' }]],
    ['{a: {options: [1, x], default: x}}', { a: 1 }, '1'],
    ['{a: {regex: "^v", default: v}}', { a: 'v1' }, 'v1'],
    ['{a: {regex: "^$", default: ""}}', {}, ''],
  ])('%s with %j', async (specs, inputs, expected) => {
    expect(await put(specs, '$[[ inputs.a ]]', inputs)).toEqual(expected)
  })

  test.each([
    ['{a: }', {}, 'a input: required value has not been provided'],
    ['{a: {}}', { a: null }, 'required value has not been provided'],
    ['{a: }', { a: 'x', b: 'y', c: 'z' }, 'unknown input arguments: b, c'],
    ['{a: {type: number}}', { a: 'x' }, 'provided value is not a number'],
    ['{a: {type: number, default: x}}', {}, 'default value is not a number'],
    ['{a: {type: number}}', { a: 'NaN' }, 'not a number'],
    ['{a: {type: boolean}}', { a: 1 }, 'provided value is not a boolean'],
    ['{a: {type: array}}', { a: 'x' }, 'provided value is not an array'],
    ['{a: }', { a: ['x'] }, 'provided value is not a string'],
    ['{a: {options: [x], default: y}}', {}, 'default value "y" is not in the list of allowed options'],
    ['{a: {options: [x]}}', { a: 'y' }, 'provided value "y" is not in the list'],
    ['{a: {type: number, options: [1]}}', { a: 2 }, 'provided value "2" is not in the list'],
    ['{a: {regex: "^v"}}', { a: 'w' }, 'provided value does not match the RegEx pattern'],
    ['{a: {regex: "("}}', { a: 'w' }, 'invalid regular expression'],
    ['{a: {type: thing}}', {}, 'must be one of string, number, boolean, array'],
    ['{a: {type: boolean, options: [true]}}', {}, 'options can be used with strings and numbers only'],
    ['{a: {type: number, regex: x}}', {}, 'regex can be used with strings only'],
    ['{a: {kind: string}}', {}, 'unknown keys: kind'],
    ['{a: 1}', {}, 'unknown input specification'],
    ['{a: , b: , c: , d: }', {}, 'a input: required value has not been provided, b input'],
    [`{a: {options: [${Array(51).fill('x').join()}]}}`, {}, '50 at most'],
    ['{a: }', Object.fromEntries(Array.from({ length: 21 }, (_, index) => [`i${index}`, 1])), '20 inputs at most'],
    ['{a: }', JSON.parse('{"__proto__": 1}'), 'may not be used as a key'],
  ] as [string, Record<string, unknown>, string][])('%s with %j: %s', async (specs, inputs, says) => {
    expect(await problem(specs, 'x', inputs)).toContain(says)
  })

  const provider = `
{cloud: {options: [aws, gcp], default: aws},
 size: {rules: [{if: '$[[ inputs.cloud ]] == "aws"', options: [t3, t4], default: t3}, {options: [e2], default: e2}]},
 zone: {rules: [{if: '$[[ inputs.size ]] == "t4"', default: west}, {if: '$[[ inputs.size ]]', options: [east], default: east}]}}`

  test.each([
    [{}, ['t3', 'east']],
    [{ size: 't4' }, ['t4', 'west']],
    [{ cloud: 'gcp' }, ['e2', 'east']],
    [{ size: '' }, ['t3', 'east']],
  ])('rules choose options and defaults, one after the other: %j', async (inputs, expected) => {
    expect(await put(provider, '["$[[ inputs.size ]]", "$[[ inputs.zone ]]"]', inputs)).toEqual(expected)
  })

  test.each([
    [provider, { size: 'e2' }, 'provided value "e2" is not in the list of allowed options'],
    ['{a: {rules: [{if: "$[[ inputs.b ]]", default: x}]}}', {}, 'rule refers to the undefined input "b"'],
    [
      '{a: {rules: [{if: "$[[ inputs.b ]]", default: x}]}, b: {rules: [{if: "$[[ inputs.a ]]", default: x}]}}',
      {},
      'circular dependency between inputs: a → b → a',
    ],
    ['{a: {rules: [{if: "$[[ inputs.a ]"}]}}', {}, 'invalid expression syntax'],
    ['{a: {rules: [{options: [x]}], options: [y]}}', {}, "rules can't be used together with options or default"],
  ])('%s with %j', async (specs, inputs, says) => {
    expect(await problem(specs, 'x', inputs)).toContain(says)
  })
})

describe('blocks', () => {
  const specs =
    '{t: {default: "a b"}, n: {type: number, default: 2}, f: {type: boolean, default: false}, l: {type: array, default: [x, {y: [z]}]}, e: {default: ""}, v: {default: "$WHO $NESTED $NO"}}'
  test.each([
    ['$[[ inputs.n ]]', 2],
    ['$[[inputs.f]]', false],
    ['"n is $[[ inputs.n ]], f is $[[inputs.f]]"', 'n is 2, f is false'],
    ['$[[ inputs.l ]]', ['x', { y: ['z'] }]],
    ['[a, "$[[ inputs.l ]]", b]', ['a', 'x', { y: ['z'] }, 'b']],
    ['$[[ inputs.l[0] ]]', 'x'],
    ['$[[ inputs.l[1].y[0] ]]', 'z'],
    ['{"$[[ inputs.t ]]": "$[[ inputs.t ]]"}', { 'a b': 'a b' }],
    ['!reference [out2, "$[[ inputs.n ]]"]', undefined],
    ['$[[ inputs.v | expand_vars ]]', 'you $WHO $NO'],
    ['$[[ inputs.t | truncate(1,2) ]]', ' b'],
    ['$[[ inputs.t | truncate(9,2) ]]', ''],
    ['$[[ inputs.t | posix_escape ]]', 'a\\ b'],
    ['$[[ inputs.e | posix_escape ]]', "''"],
    ["$[[ inputs.t | split(' ') ]]", ['a', 'b']],
    ["$[[ inputs.t | split('|') ]]", ['a b']],
    ['$[[ inputs.v | expand_vars | truncate(0,3) | posix_escape ]]', 'you'],
    ['"$[[ matrix.OS ]] $[[ inputs.n ]]"', '$[[ matrix.OS ]] 2'],
    ['"$[[ ]] $[[ x $[ a ]"', '$[[ ]] $[[ x $[ a ]'],
    ['[1, true, null, text]', [1, true, null, 'text']],
  ])('%s', async (content, expected) => {
    const result = put(specs, `${content}\nout2: {"2": r}`)
    expect(await result).toEqual(expected === undefined ? 'r' : expected)
  })

  test.each([
    ['$[[ inputs.x ]]', 'unknown interpolation key: "x" in "inputs.x"'],
    ['$[[ other.x ]]', 'unknown interpolation key: "other"'],
    ['$[[ component.name ]]', 'unknown interpolation key: "name" in "component.name"'],
    ['$[[ inputs ]]', 'invalid pattern'],
    ['$[[ inputs..t ]]', 'invalid pattern'],
    ['$[[ inputs.l[x] ]]', 'invalid index'],
    ['$[[ inputs.l[5] ]]', 'index out of range'],
    ['$[[ inputs.t[0] ]]', 'index on a value that is no array'],
    ['$[[ inputs.t.u ]]', 'unknown interpolation key: "u"'],
    ['$[[ inputs.a.b.c.d.e.f ]]', 'too long'],
    ['$[[ inputs.t | shout ]]', 'no function matching "shout"'],
    ['$[[ inputs.t | truncate(1) ]]', 'truncate function: invalid arguments'],
    ['$[[ inputs.n | expand_vars ]]', 'expand_vars function: the value must be a string'],
    ['$[[ inputs.t | posix_escape() ]]', 'posix_escape function: invalid arguments'],
    ["$[[ inputs.t | split('') ]]", 'separator'],
    ['$[[ inputs.t | a | b | c | d ]]', 'too many functions'],
    ['$[[ inputs.s | expand_vars ]]', 'SECRET is masked'],
    [`$[[ inputs.${'x'.repeat(1_100)} ]]`, 'too long'],
  ])('%s', async (content, says) => {
    expect(await problem(specs.replace('{t:', '{s: {default: $SECRET}, t:'), `"${content}"`)).toContain(says)
  })

  test('a block cannot make a key that is refused', async () => {
    await expect(put('{a: {default: __proto__}}', '{"$[[ inputs.a ]]": x}')).rejects.toThrow('may not be used as a key')
  })

  test('a file without a header keeps its blocks, and takes no inputs', async () => {
    expect(await mergedTree('a: $[[ inputs.x ]]\n', options)).toMatchObject({ a: '$[[ inputs.x ]]' })
    const result = await compileConfig('a: {script: x}\n', { ...options, inputs: { x: 1 } })
    expect(result).toMatchObject({
      ok: false,
      errors: [{ message: expect.stringContaining('not defined in the spec section') }],
    })
  })

  test('what a block gives is not looked at again', async () => {
    expect(await put('{a: {default: "$[[ inputs.b ]]"}, b: {default: x}}', '"$[[ inputs.a ]] $[[ inputs.b ]]"')).toBe(
      '$[[ inputs.b ]] x',
    )
  })

  test('many blocks and endless openings take no time to speak of', async () => {
    const start = performance.now()
    expect(await put('{a: {default: x}}', `"${'$[[ '.repeat(200_000)}"`)).toHaveLength(800_000 - 1 + 1)
    expect(
      await problem(
        '{a: {default: x}}',
        `"${Array.from({ length: 10_001 }, (_, index) => `$[[ inputs.a | truncate(${index},1) ]]`).join('')}"`,
      ),
    ).toContain('more than 10000')
    expect(performance.now() - start).toBeLessThan(5_000)
  })
})

describe('the header', () => {
  test.each([
    ['spec: {}\nother: 1\n---\njob: {script: x}\n', 'unknown keys: other'],
    ['spec: {arguments: {}}\n---\njob: {script: x}\n', 'unknown keys: arguments'],
    ['spec: {component: [colour]}\n---\njob: {script: x}\n', 'must be one of name, sha, version, reference'],
    [`spec: {description: ${'x'.repeat(257)}}\n---\njob: {script: x}\n`, '256 characters at most'],
    [
      'spec: {include: [{template: A.gitlab-ci.yml}]}\n---\njob: {script: x}\n',
      'unknown keys: template in spec:include',
    ],
    [
      'spec: {include: [{local: in.yml}, {local: in.yml}]}\n---\njob: {script: x}\n',
      'inputs defined more than once: "shared"',
    ],
    ['spec: {include: odd.yml}\n---\njob: {script: x}\n', 'unknown keys: job'],
  ])('%j', async (source, says) => {
    const files: Record<string, string> = {
      'in.yml': 'inputs: {shared: {default: s}}\n',
      'odd.yml': 'job: {script: x}\n',
    }
    const result = await compileConfig(source, {
      fetchInclude: async (request) => ({
        ok: true,
        content: (request.kind === 'local' && files[request.path]) || 'x: y',
      }),
    })
    expect(result.ok ? '' : JSON.stringify(result.errors)).toContain(says.replaceAll('"', '\\"'))
  })

  test.each([
    ['spec:\n---\njob: {script: x}\n', true],
    ['---\nspec: {}\n---\njob: {script: x}\n', true],
    ['job: {script: x}\n---\nother: {script: y}\n---\nthird: {}\n', true],
    // All pieces are read, also those that nobody uses.
    ['job: {script: x}\n---\nother: {script: y}\n---\nthird: [\n', false],
    ['job: {script: x}\n---\nsome words\n', false],
    ['# SPDX-License-Identifier: MIT\n---\njob: {script: x}\n', true],
    ['# why\n---\n# what\nspec: {}\n---\njob: {script: x}\n', true],
    ['{}\n---\njob: {script: x}\n', true],
    ['job: {script: x}\n---\n# nothing\n', true],
    ['# only\n---\n# comments\n', false],
    ['spec: {inputs: {a: {default: x}}}\n---\n# nothing\n', false],
  ])('pieces are told apart by three dashes: %j', async (source, ok) => {
    expect((await compileConfig(source, options)).ok).toBe(ok)
  })

  test('an error after the header has the line of the file', async () => {
    expect(
      await compileConfig(
        'spec:\n  inputs: {a: {default: 1}}\n---\n\njob:\n  script: $[[ inputs.a ]]\n  when: x\n',
        options,
      ),
    ).toMatchObject({
      ok: false,
      errors: [{ line: 7, column: 9, path: 'jobs:job:when' }],
    })
  })
})

import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as yaml from 'yaml'
import { ConfigFault } from '../../../src/core/ci-config/fault.js'
import { type Node, type Scalar, textOf } from '../../../src/core/ci-config/node.js'
import { readYaml } from '../../../src/core/ci-config/yaml/read.js'
import { resolvePlain } from '../../../src/core/ci-config/yaml/scalar.js'
import { tries } from './property.js'

/** A document as comparable data: maps as lists of entries, so that order and kinds of keys count. */
type Comparable = Scalar | Comparable[] | { map: [Scalar, Comparable][] } | { reference: readonly string[] }

function ours(text: string): Comparable {
  const walk = (node: Node): Comparable => {
    if (node.kind === 'scalar') return node.text ?? node.value
    if (node.kind === 'list') return node.items.map(walk)
    if (node.kind === 'reference') return { reference: node.path }
    return { map: Array.from(node.entries, ([key, { value }]) => [key, walk(value)]) }
  }
  const node = readYaml(text, 0)
  return node === undefined ? null : walk(node)
}

/** The same through the `yaml` package, which knows the structure; scalars are resolved as Psych does. */
function oracle(text: string): Comparable {
  const document = yaml.parseDocument(text, {
    version: '1.1',
    schema: 'failsafe',
    uniqueKeys: false,
    merge: false,
    prettyErrors: false,
    logLevel: 'silent',
  })
  const [error] = document.errors
  if (error !== undefined) throw error
  const walk = (node: unknown): Comparable => {
    if (yaml.isAlias(node)) return walk(node.resolve(document))
    if (yaml.isSeq(node)) {
      return node.tag === '!reference' ? { reference: node.items.map(walk) as string[] } : node.items.map(walk)
    }
    if (yaml.isMap(node)) {
      const entries = new Map<Scalar, Comparable>()
      for (const { key, value } of node.items) add(entries, walk(key) as Scalar, walk(value))
      return { map: [...entries] }
    }
    if (!yaml.isScalar(node)) return null
    if (node.type !== 'PLAIN' && node.type !== undefined) return node.value as string
    const scalar = resolvePlain((node.value as string | null) ?? '', 0)
    return scalar.text ?? scalar.value
  }
  return walk(document.contents)
}

/** `<<` as Psych applies it. */
function add(entries: Map<Scalar, Comparable>, key: Scalar, value: Comparable): void {
  const maps = (Array.isArray(value) ? value.toReversed() : [value]) as { map: [Scalar, Comparable][] }[]
  if (key !== '<<' || !maps.every((one) => typeof one === 'object' && one !== null && 'map' in one))
    entries.set(key, value)
  else for (const { map } of maps) for (const [name, one] of map) entries.set(name, one)
}

const structures = [
  'a:\n- x\n- y\nb: 1\n',
  'a:\n  - x\n  -\n    y: 1\n    z: 2\n  - - 1\n    - 2\n',
  '- a: 1\n  b: 2\n-\n  c: 3\n',
  '? a\n: b\n? c\n',
  '? |\n  block\n: v\n',
  'a:\n  ? |\n    x\n  : y: 1\n    z: 2\n  ? b\n  : - c\n    - d\n  e: f\n',
  'a: |\n  x\n   y\n\n  z\nb: >-\n  x\n  y\n\n  z\n   w\n  v\n',
  'a: >+\n\n  x\n\n\n',
  'a: |2\n   x\n  y\n',
  'a: |-\n  x\n# c\nb: 1\n',
  'a: "x\n  y\n\n  z"\nb: \'x\n  y\n\n\n  z\'\n',
  'a: "\\u00e9\\x41\\n\\\n   b"\n',
  "a: 'it''s'\n",
  '{a: 1, b: [x, y], "c":1, d}\n',
  '[a: b, c, ? d : e]\n',
  'a: [1,\n 2\n ]\n',
  'a: {x: y,\n  z: w}\n',
  '&x a: &y b\nc: *y\nd: *x\n',
  'a: &x\n  b: 1\nc: *x\n',
  'base: &b {x: 1, y: 2}\none: {x: 0, <<: *b}\ntwo:\n  <<: *b\n  x: 0\nthree: {<<: [{x: 3}, *b]}\n',
  'a: x\n  y\n  - z\n',
  'a: b#c #d\n# e\n  # f\nc: "d" #e\n',
  'a: http://x:1/y?z=[1]\n',
  'key with: colons and, commas\n',
  '\'a\': 1\n"b" : 2\n',
  'a: !reference [b, c]\nd:\n  - !reference [e]\n  - !reference\n    - f\n    - g\n',
  '%YAML 1.1\n---\na: 1\n...\nb: [\n',
  '--- a\n',
  '- -x\n- --\n- "-"\n- ?x\n- :x\n',
  'a: 1\n\n\nb:\n\n  c: 2\n',
  'a:   \n  b\n  c\n',
  '"": 1\n',
  'a: ""\nb: \'\'\nc:\n',
]

const broken = [
  'a: b: c\n',
  'a: - b\n',
  'a: 1\n  b: 2\n',
  '  a: 1\nb: 2\n',
  'a:\n  - 1\n - 2\n',
  'a:\n\tb: 1\n',
  'a: x\n  y: 1\n',
  'a: "unclosed\n',
  "a: 'unclosed\n",
  'a: [1, 2\n',
  'a: {b: 1\n',
  'a: [,]\n',
  'a: "x" y\n',
  'a: [b] c\n',
  'a: "\\q"\n',
  'a: @x\n',
  'a: `x`\n',
  'a: %x\n',
  'a: >x\n  y\n',
  'a: & b\n',
  '- a\nb: 1\n',
  'a: 1\n- b\n',
  'a\nb: 1\n',
  '"a\nb": c\n',
]

describe('structure', () => {
  test.each(structures.map((text) => [JSON.stringify(text), text]))(
    '%s is read as the yaml package reads it',
    (_, text) => {
      expect(ours(text)).toEqual(oracle(text))
    },
  )

  test.each(broken.map((text) => [JSON.stringify(text), text]))('%s is refused with a place', (_, text) => {
    expect(() => oracle(text)).toThrow()
    expect(() => ours(text)).toThrow(ConfigFault)
  })

  test('the YAML files that our packages bring are read alike', () => {
    const folder = fileURLToPath(new URL('../../../node_modules/', import.meta.url))
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => /\.ya?ml$/.test(file))
    for (const file of files) {
      const text = readFileSync(folder + file, 'utf8').replace(/\r\n?/g, '\n')
      expect(ours(text), file).toEqual(oracle(text))
    }
  })

  const scalar = fc.oneof(
    fc.string(),
    fc.string({ unit: fc.constantFrom(...' \n:-#,[]{}\'"a1&*!|>%@`?'.split('')), maxLength: 12 }),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
  )
  const value = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 4 }, scalar, fc.array(tie('value'), { maxLength: 4 }), tie('map')),
    map: fc.dictionary(fc.string({ maxLength: 8 }), tie('value'), { maxKeys: 4, noNullPrototype: true }),
  })).value

  test('whatever the yaml package writes, in any of its styles, we read as it does', () => {
    const styles = fc.record({
      collectionStyle: fc.constantFrom('any' as const, 'block' as const, 'flow' as const),
      defaultStringType: fc.constantFrom(
        'PLAIN' as const,
        'QUOTE_DOUBLE' as const,
        'QUOTE_SINGLE' as const,
        'BLOCK_LITERAL' as const,
        'BLOCK_FOLDED' as const,
      ),
      indentSeq: fc.boolean(),
      lineWidth: fc.constantFrom(0, 20, 80),
    })
    fc.assert(
      fc.property(value, styles, (data, style) => {
        const text = yaml.stringify({ data }, { version: '1.1', ...style })
        fc.pre(!unreadable(text))
        expect(ours(text)).toEqual(oracle(text))
      }),
      tries(1_500),
    )
  })
})

/** What YAML 1.1 does not permit, and unquoted dates, which are a fault of their own. */
function unreadable(text: string): boolean {
  // The package writes the key "!" and a colon at the end of a line as they stand, which are a tag and an indicator.
  if (/!:|:\n\n|__proto__|constructor|prototype|[\u0085\u2028\u2029]|[\ud800-\udfff]/u.test(text)) return true
  try {
    oracle(text)
    return false
  } catch {
    return true
  }
}

describe('scalars', () => {
  /** Measured with Psych; the table of the language reference. */
  const table: [string, Scalar, string?][] = [
    ['yes', true],
    ['No', false],
    ['ON', true],
    ['off', false],
    ['true', true],
    ['FALSE', false],
    ['~', null],
    ['null', null],
    ['Null', null],
    ['', null],
    ['y', 'y'],
    ['n', 'n'],
    ['yess', 'yess'],
    ['010', 8],
    ['08', '08'],
    ['0o10', '0o10'],
    ['-010', -8],
    ['0x1F', 31],
    ['0b11', 3],
    ['+1', 1],
    ['-12', -12],
    ['1_000', 1000],
    ['1,000', 1000],
    ['1:30', 5400],
    ['1:30:00', 5400],
    ['12:34:56', 45_296],
    ['1:99', '1:99'],
    ['1:30.5', 5430, '5430.0'],
    ['1.10', 1.1, '1.1'],
    ['.5', 0.5, '0.5'],
    ['5.', 5, '5.0'],
    ['1.0', 1, '1.0'],
    ['1.2.3', '1.2.3'],
    ['.', '.'],
    ['-', '-'],
    ['1e3', '1e3'],
    ['1.5e3', '1.5e3'],
    ['1.5e+3', 1500, '1500.0'],
    ['1.0e+20', 1e20, '1.0e+20'],
    ['1.5e-7', 1.5e-7, '1.5e-07'],
    ['.inf', Infinity, 'Infinity'],
    ['-.INF', -Infinity, '-Infinity'],
    ['.nan', Number.NaN, 'NaN'],
    [':foo', 'foo'],
    ['::foo', ':foo'],
    [':"foo bar"', 'foo bar'],
    [':', ':'],
    ['9007199254740993', 9_007_199_254_740_992, '9007199254740993'],
    ['-x', '-x'],
    ['10%', '10%'],
    ['1.x', '1.x'],
  ]

  test.each(table)('%j is %j', (text, expected, asText) => {
    const node = resolvePlain(text, 0)
    expect(node.value).toBe(expected)
    if (asText !== undefined) expect(textOf(node)).toBe(asText)
  })

  test.each(['2024-01-31', '2024-1-3', '2001-12-14 21:59:43.10 -5', '2001-12-14T21:59:43Z'])(
    'the unquoted date %s is refused',
    (text) => {
      expect(() => resolvePlain(text, 7)).toThrow(expect.objectContaining({ at: 7 }))
      expect(() => resolvePlain(text, 7)).toThrow(/Date|Time/)
    },
  )

  test('quoted texts are texts, whatever they look like', () => {
    expect(ours('["yes", \'010\', ":foo", "2024-01-31"]')).toEqual(['yes', '010', ':foo', '2024-01-31'])
  })

  test('a text as long as a file resolves in linear time', () => {
    const long = `${'1,'.repeat(500_000)}x`
    expect(resolvePlain(long, 0).value).toBe(long)
    expect(resolvePlain('1:'.repeat(4_000), 0).value).toBe('1:'.repeat(4_000))
  })
})

describe('keys', () => {
  test('the last of equal keys wins where the first stood, and each repetition is told', () => {
    const told: [string, number][] = []
    const node = readYaml('a: 1\nb: 2\na: 3\n', 0, (key, at) => told.push([key, at]))
    expect(
      node?.kind === 'map' &&
        Array.from(node.entries, ([key, { value }]) => [key, value.kind === 'scalar' && value.value]),
    ).toEqual([
      ['a', 3],
      ['b', 2],
    ])
    expect(told).toEqual([['a', 10]])
  })

  test('keys keep their type', () => {
    expect(ours('10: a\ntrue: b\n~: c\n1.5: d\n')).toEqual({
      map: [
        [10, 'a'],
        [true, 'b'],
        [null, 'c'],
        [1.5, 'd'],
      ],
    })
  })

  test.each(['__proto__: 1', 'a: {constructor: 1}', '- prototype: 1', '"__proto__": 1'])('%s is refused', (text) => {
    expect(() => ours(text)).toThrow(/may not be used as a key/)
  })

  test.each(['[a]: b', '? {a: b}\n: c', '? - a\n: b'])('a collection as a key is refused: %j', (text) => {
    expect(() => ours(text)).toThrow(/a key must be a text/)
  })
})

describe('tags', () => {
  test.each([
    '!!binary aGk=',
    '!!js/function x',
    '!ruby/object:Foo {}',
    '!!omap []',
    '!!set {a}',
    '!x [a]',
    '!!python/name:x ""',
  ])('%s is refused', (value) => {
    expect(() => ours(`a: ${value}\n`)).toThrow(/tag .* is not permitted/)
  })

  test.each([
    ['!!str 010', '010'],
    ['! 010', '010'],
    ['!!int 010', 8],
    ['!!str', ''],
    ['!!seq [a]', ['a']],
  ])('%s of the core is taken', (text, expected) => {
    expect(ours(`a: ${text}\n`)).toEqual({ map: [['a', expected]] })
  })

  test.each(['!reference', '!reference x', '!reference 1', '!reference [1]', '!reference []', '!reference {a: b}'])(
    '%s is no path',
    (value) => {
      expect(() => ours(`a: ${value}\n`)).toThrow(/not valid/)
    },
  )
})

test.each([
  ': a',
  'a:\n  : b',
  '- : b',
  '&: a',
  'a: &b: c',
  'a: |\n   \n  x',
  'a: *unknown',
  'a: &x [1, *y]',
  'a: &x [*x]',
  'a: {b: c}: d',
])('%s is refused, unlike by the oracle', (text) => {
  expect(() => ours(text)).toThrow(ConfigFault)
})

test('a comment may follow a quote or bracket at once, as libyaml has it', () => {
  expect(ours('a: "b"#c\nd: [e]#f\ng: h#i\n')).toEqual({
    map: [
      ['a', 'b'],
      ['d', ['e']],
      ['g', 'h#i'],
    ],
  })
})

test('the place of a fault is the character that cannot be', () => {
  for (const [text, at] of [
    ['a: b: c', 4],
    ['a: [1, 2', 3],
    ['a: "x', 3],
    ['a: 1\n\tb: 2', 5],
    ['a: *b', 3],
  ] as const) {
    expect(() => ours(text)).toThrow(expect.objectContaining({ at }))
  }
})

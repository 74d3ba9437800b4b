import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Expression, ExpressionError, isTrue, parseExpression } from '../../../src/core/ci-config/expression.js'
import { compileRegex, parseRegexText } from '../../../src/core/ci-config/regex.js'
import { tries } from './property.js'

function holds(source: string, variables: Record<string, string | undefined>): boolean {
  return isTrue(parseExpression(source), (name) => (Object.hasOwn(variables, name) ? variables[name] : undefined))
}

/** One row for each expression: V undefined, empty, blank, `a`. */
const truth: [string, boolean, boolean, boolean, boolean][] = [
  ['$V', false, false, false, true],
  ['!$V', true, true, true, false],
  ['$V == null', true, false, false, false],
  ['$V != null', false, true, true, true],
  ['$V == ""', false, true, false, false],
  ['$V != ""', true, false, true, true],
  ['$V =~ /^a/', false, false, false, true],
  ['$V =~ /^$/', true, true, false, false],
  ['$V !~ /^a/', true, true, true, false],
  ['$V || "x"', true, false, false, true],
  ['$V && "x"', false, true, true, true],
  ['"x" =~ $V', false, false, false, false],
  ['"x" !~ $V', true, true, true, true],
  ['$V =~ "abc"', true, true, false, true],
]

describe('the truth of an expression', () => {
  test.each(truth)('%s for undefined, empty, blank and a value', (source, ...expected) => {
    expect([undefined, '', ' ', 'a'].map((value) => holds(source, { V: value }))).toEqual(expected)
  })

  const variables = {
    A: 'a',
    T: 'true',
    R: '/^a/',
    E: '',
    LOOSE: '^a',
    RE: '/^fe/i',
    F: 'Feat',
    TAG: 'v1.2',
    PATH: 'feature/x',
  }
  test.each([
    ['$T == true', true],
    ['$T == "true"', true],
    ['"true" == $T', true],
    ["$A == 'A'", false],
    ['"abc" =~ $R', true],
    ['"abc" =~ $LOOSE', false],
    ['"a" =~ "abc"', true],
    ['"abc" =~ "a"', false],
    ['$A == "a" && $U == null || $E', true],
    ['$U || $E || $A', false],
    ['($U || $A) && $A =~ /^A$/i', true],
    ['$PATH =~ /feature\\/.*/', true],
    ['"$A" == "a"', false],
    ['null == null', true],
    ['$TAG =~ /^v\\d+/ && $TAG !~ /rc/', true],
    ['$F =~ $RE', true],
    ['!$A == "x"', false],
    ['!$U == true', true],
    ['!!$A', true],
    ['!($A == "a" && $T)', false],
    ['$A == "a" == true', true],
    ['true', true],
    ['false', false],
    ['null', false],
    ['/ab/', true],
    ['$A =~ null', false],
    ['$A !~ null', true],
  ])('%s is %s', (source, expected) => {
    expect(holds(source, variables)).toBe(expected)
  })
})

test.each([
  '',
  ' ',
  '$A "x"',
  '$A ==',
  '== "1"',
  '($A',
  '$A)',
  '()',
  '$A =~ /a/',
  '$A =~ /feature/.*/',
  '$A =~ /a(?!b)/',
  '$A =~ /(/',
  `\${A} == "a"`,
  '$A == 1',
  '$A < "b"',
  '$A = "b"',
  '$A & $B',
  '%A%',
  'abc',
  '"a',
  '$A == "a" &&',
  '$[[ inputs.a ]] == "b"',
  Array(60).fill('$A').join(' || '),
])('%j is a syntax error', (source) => {
  expect(() => parseExpression(source)).toThrow(ExpressionError)
})

test('99 tokens are taken, 100 are not', () => {
  expect(parseExpression(Array(50).fill('$A').join('&&'))).toMatchObject({ kind: 'and' })
  expect(() => parseExpression(`!${Array(50).fill('$A').join('&&')}`)).toThrow(/99 tokens/)
})

test('inputs are part of the grammar where they are asked for', () => {
  const tree = parseExpression('$[[ inputs.env ]] == "prod" || $[[inputs.deep-name]]', { inputs: true })
  const inputs: Record<string, string> = { env: 'prod' }
  expect(
    isTrue(
      tree,
      () => undefined,
      (name) => inputs[name],
    ),
  ).toBe(true)
})

test('an expression is plain data and means the same after JSON', () => {
  const source = '!$A && ($B =~ /x.y/is || $C != "c") || $D == null'
  const tree = parseExpression(source)
  expect(JSON.parse(JSON.stringify(tree)) as Expression).toEqual(tree)
})

test('what a tree is written as, it is parsed back to', () => {
  const leaf = fc.oneof(
    fc.stringMatching(/^[A-Za-z_]\w{0,5}$/).map((name): Expression => ({ kind: 'variable', name })),
    fc.stringMatching(/^[^"\n]{0,6}$/).map((value): Expression => ({ kind: 'text', value })),
    fc.constantFrom(null, true, false).map((value): Expression => ({ kind: 'constant', value })),
    fc.stringMatching(/^[a-c]{2,4}$/).map((pattern): Expression => ({ kind: 'regex', pattern, flags: 'i' })),
  )
  const kinds = ['and', 'or', 'equals', 'differs', 'matches', 'mismatches'] as const
  const { tree } = fc.letrec<{ tree: Expression }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      leaf,
      tie('tree').map((of): Expression => ({ kind: 'not', of })),
      fc.record({ kind: fc.constantFrom(...kinds), left: tie('tree'), right: tie('tree') }),
    ),
  }))
  fc.assert(
    fc.property(tree, (one) => {
      expect(parseExpression(write(one))).toEqual(one)
    }),
    tries(500),
  )
})

const symbols = { and: '&&', or: '||', equals: '==', differs: '!=', matches: '=~', mismatches: '!~' }

function write(tree: Expression): string {
  switch (tree.kind) {
    case 'variable':
      return `$${tree.name}`
    case 'text':
      return `"${tree.value}"`
    case 'constant':
      return String(tree.value)
    case 'regex':
      return `/${tree.pattern}/${tree.flags}`
    case 'not':
      return `!(${write(tree.of)})`
    case 'input':
      return `$[[ inputs.${tree.name} ]]`
    default:
      return `(${write(tree.left)}) ${symbols[tree.kind]} (${write(tree.right)})`
  }
}

describe('regular expressions of users', () => {
  test.each(['(a+)+$', '(a|a)*b', '(.*)*x', '([a-z]+)+\\d'])('%s takes linear time', (pattern) => {
    const regex = compileRegex(pattern)
    if (regex instanceof Error) throw regex
    const start = performance.now()
    regex.test(`${'a'.repeat(65_536)}!`)
    // Backtracking would take longer than the universe has been there.
    expect(performance.now() - start).toBeLessThan(5_000)
  })

  test.each(['(?:x{1000}){1000}', '(?=a)', '(?<=a)b', '(?!a)', '(a)\\1', '(', '[', 'x{1001}', 'a'.repeat(1_025)])(
    '%s is refused',
    (pattern) => {
      expect(compileRegex(pattern)).toBeInstanceOf(Error)
    },
  )

  test('only the beginning of a long subject is looked at', () => {
    const regex = compileRegex('b$')
    expect(regex instanceof Error ? regex : regex.test(`${'a'.repeat(70_000)}b`)).toBe(false)
  })

  test.each([
    ['/ab/', { pattern: 'ab', flags: '' }],
    ['/a\\/b/im', { pattern: 'a/b', flags: 'im' }],
    ['/a/b/', { pattern: 'a/b', flags: '' }],
    ['/a/x', undefined],
    ['ab', undefined],
    ['/', undefined],
    ['//', { pattern: '', flags: '' }],
  ])('the text %j reads as %j', (text, expected) => {
    expect(parseRegexText(text)).toEqual(expected)
  })
})

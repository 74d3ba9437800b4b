import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { expandText, expandVariables, forRunner, referencesOf } from '../../../src/core/ci-config/expand.js'
import type { PlanVariable } from '../../../src/core/ci-config/variables.js'
import { tries } from './property.js'

function valuesOf(variables: readonly PlanVariable[], options = {}): Record<string, string> {
  return Object.fromEntries(expandVariables(variables, options).variables.map(({ key, value }) => [key, value]))
}

describe('one pass over a text', () => {
  const lookup = (name: string): string | undefined => ({ A: 'a', B: '$A', EMPTY: '' })[name]
  test.each([
    [`$A \${A} %A%`, 'a a a', 'a a a'],
    ['$B', '$A', '$A'],
    [`x$U-\${U}-%U%y`, 'x--y', `x$U-\${U}-%U%y`],
    ['$EMPTY', '', ''],
    ['$$A', '$a', '$a'],
    [`$(cmd) \${A:-x} $1 $[[ A ]] $`, `$(cmd) \${A:-x} $1 $[[ A ]] $`, `$(cmd) \${A:-x} $1 $[[ A ]] $`],
    ['100% of 50%', '100% of 50%', '100% of 50%'],
    ['$AB', '', '$AB'],
    [`\${AB`, `\${AB`, `\${AB`],
  ])('%j', (text, blank, existing) => {
    expect(expandText(text, lookup, 'blank')).toBe(blank)
    expect(expandText(text, lookup, 'existing')).toBe(existing)
  })
})

describe('values of variables', () => {
  test('a reference to the own name means the weaker variable of this name', () => {
    const list = [
      { key: 'PATH', value: '/bin' },
      { key: 'PATH', value: '/usr:$PATH' },
      { key: 'PATH', value: '/opt:$PATH' },
    ]
    expect(expandVariables(list).variables.map(({ value }) => value)).toEqual(['/bin', '/usr:/bin', '/opt:/usr:/bin'])
  })

  test('without a weaker one it means nothing, and for a runner it stays', () => {
    expect(valuesOf([{ key: 'PATH', value: '$PATH:/x' }])).toEqual({ PATH: ':/x' })
    expect(valuesOf([{ key: 'PATH', value: '$PATH:/x' }], forRunner)).toEqual({ PATH: '$PATH:/x' })
  })

  test('others see the strongest of equal names', () => {
    const list = [
      { key: 'A', value: 'weak' },
      { key: 'B', value: '$A' },
      { key: 'A', value: 'strong' },
    ]
    expect(valuesOf(list).B).toBe('strong')
  })

  test('a runner is left with references to files, raw and unknown variables', () => {
    const list: PlanVariable[] = [
      { key: 'FILE', value: 'content', file: true },
      { key: 'RAW', value: '$X', raw: true },
      { key: 'X', value: 'x' },
      { key: 'ALL', value: '$FILE $RAW $UNKNOWN $X $$X' },
    ]
    expect(valuesOf(list, forRunner).ALL).toBe('$FILE $RAW $UNKNOWN x $$X')
    expect(valuesOf(list).ALL).toBe('content $X  x $$X')
  })

  test('a circle is told by its names, and nothing is expanded', () => {
    const list = [
      { key: 'A', value: '$B' },
      { key: 'B', value: `\${C}` },
      { key: 'C', value: '%A%' },
      { key: 'D', value: '$A' },
    ]
    expect(expandVariables(list)).toEqual({
      variables: list,
      problem: 'circular variable reference detected: [A, B, C]',
    })
  })

  test('a long chain is no deep recursion, and doubling values end at a limit', () => {
    const chain = Array.from({ length: 50_000 }, (_, index) => ({ key: `V${index}`, value: `$V${index + 1}` }))
    expect(valuesOf([...chain, { key: 'V50000', value: 'end' }]).V0).toBe('end')
    const doubling = Array.from({ length: 60 }, (_, index) => ({
      key: `V${index}`,
      value: `\${V${index - 1}}\${V${index - 1}}x`,
    }))
    expect(expandVariables(doubling)).toEqual({ variables: doubling, problem: expect.stringContaining('too large') })
  })

  const name = fc.constantFrom('A', 'B', 'C', 'D', 'E')
  const piece = fc.oneof(
    name.map((one) => `$${one}`),
    name.map((one) => `\${${one}}`),
    fc.constantFrom('x', '$$', '%%', ' '),
  )
  const list = fc.array(
    fc.record({
      key: name,
      value: fc.array(piece, { maxLength: 4 }).map((pieces) => pieces.join('')),
      raw: fc.boolean(),
    }),
    { maxLength: 8 },
  )

  test('expansion always ends, keeps order and names, and leaves no reference to a known variable', () => {
    fc.assert(
      fc.property(list, (variables) => {
        const { variables: expanded, problem } = expandVariables(variables)
        expect(expanded.map(({ key }) => key)).toEqual(variables.map(({ key }) => key))
        if (problem !== undefined) {
          expect(expanded).toEqual(variables)
          return
        }
        // Raw values are put in as they are, so only lists without them must be free of references.
        if (variables.some(({ raw }) => raw)) return
        for (const variable of expanded) expect(referencesOf(variable)).toEqual([])
      }),
      tries(1_000),
    )
  })

  test('expanding again changes nothing, when no value is raw and none escapes', () => {
    fc.assert(
      fc.property(list, (variables) => {
        const plain = variables.map(({ key, value }) => ({
          key,
          value: value.replaceAll('$$', '').replaceAll('%%', ''),
        }))
        const once = expandVariables(plain)
        if (once.problem === undefined) expect(expandVariables(once.variables)).toEqual(once)
      }),
      tries(500),
    )
  })
})

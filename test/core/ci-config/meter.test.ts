import { describe, expect, test } from 'vitest'
import { factsWanted } from '../../../src/core/ci-config/facts-wanted.js'
import { spend, within } from '../../../src/core/ci-config/meter.js'
import { planPipeline } from '../../../src/core/ci-config/plan-pipeline.js'
import type { PlanContext } from '../../../src/core/ci-config/planning.js'
import { compileRegex } from '../../../src/core/ci-config/regex.js'
import { compileOrThrow, push } from './events.js'

const repeat = (count: number, write: (index: number) => string, joint = '\n'): string =>
  Array.from({ length: count }, (_, index) => write(index)).join(joint)

/** What a server grants its main thread. */
const granted = 20_000

test('no more is done than granted', () => {
  let done = 0
  const work = (): string => {
    for (let step = 0; step < 10; step++) {
      spend(1)
      done++
    }
    return 'done'
  }
  expect(within(9, work)).toBeUndefined()
  expect(done).toBe(9)
  expect(within(10, work)).toEqual({ value: 'done', used: 10 })
  expect(within(100, () => within(5, work))).toMatchObject({ value: undefined, used: 0 })
  expect(work()).toBe('done')
  expect(() =>
    within(5, () => {
      throw new Error('another')
    }),
  ).toThrow('another')
})

test('a file of 1,000 jobs with rules is within it', async () => {
  const source = `.base: {rules: [{if: $A, when: manual}, {if: $CI_COMMIT_BRANCH =~ /^x/}], variables: {V: x}}
${repeat(1_000, (index) => `job${index}: {extends: .base, script: make}`)}`
  const config = await compileOrThrow(source)
  expect(within(granted, () => planPipeline(config, push('x')))?.used).toBeLessThan(0.8 * granted)
})

describe('what is more is noticed before it is done', () => {
  const long = 'ab '.repeat(20_000)
  const many = Array.from({ length: 20_000 }, (_, index) => `${'a/'.repeat(50)}${index}`)
  const cases: [string, string, Partial<PlanContext>][] = [
    ['many regular expressions', repeat(600, (i) => `j${i}: {script: x, rules: [{if: '$R =~ /^a(b|c)d${i}/'}]}`), {}],
    ['a slow one', `j: {script: x, rules: [{if: '$LONG =~ /(\\w|\\s|[a-z]){1,800}[A-Z]/'}]}`, {}],
    ['one that a variable brings', 'j: {script: x, rules: [{if: "$R =~ $WIDE"}]}', {}],
    [
      'rules',
      repeat(10, (i) => `j${i}: {script: x, parallel: 200, rules: [${repeat(20, () => '{if: $A == "b"}', ',')}]}`),
      {},
    ],
    [
      'matrices',
      repeat(13, (i) => `j${i}: {script: x, parallel: 200, variables: {${repeat(100, (v) => `V${v}: x`, ',')}}}`),
      {},
    ],
    [
      'globs',
      `j: {script: x, rules: [{changes: [${repeat(2, (i) => `'**/*${'a*'.repeat(20)}${i}'`, ',')}]}]}`,
      { changedPaths: many },
    ],
    ['braces', `j: {script: x, rules: [{exists: ['**/${'{a,b}'.repeat(9)}']}]}`, { files: many }],
    [
      'a list of names to inherit',
      `variables: {${repeat(1_000, (v) => `V${v}: x`, ',')}}\n${repeat(5, (i) => `j${i}: {script: x, parallel: 20, inherit: {variables: [${repeat(1_000, (v) => `V${v}`, ',')}]}}`)}`,
      {},
    ],
    [
      'workflow rules for what is compared',
      `workflow: {rules: [${repeat(100, (i) => `{if: $A${i}, variables: {W: x}}`, ',')}]}\n${repeat(2, (i) => `j${i}: {script: x, parallel: 50, rules: [{changes: {paths: [a], compare_to: $W}}]}`)}`,
      {},
    ],
  ]

  test.each(cases)('%s', async (_, source, facts) => {
    const wide = `/${repeat(100, (i) => `${String.fromCharCode(97 + (i % 26))}{900}`, '')}/`
    const config = await compileOrThrow(`${source}\n`)
    const context: PlanContext = {
      ...push('x', { variables: { LONG: long, WIDE: wide, R: 'abd' } }),
      comparePaths: { x: [] },
      ...facts,
    }
    const done = within(granted, () => {
      factsWanted(config, context)
      return planPipeline(config, context)
    })
    expect(done?.used).toBeUndefined()
  })

  test('coverage', () => {
    const regex = compileRegex('(.?){400}[yz]$')
    if (regex instanceof Error) throw regex
    expect(within(granted, () => regex.lastMatch('a'.repeat(60_000)))).toBeUndefined()
  })
})

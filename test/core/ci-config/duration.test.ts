import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isNever, parseDuration, seconds } from '../../../src/core/ci-config/duration.js'
import { tries } from './property.js'

test.each([
  ['90', 90],
  ['3 mins 4 sec', 184],
  ['2 hrs 20 min', 8_400],
  ['2h20min', 8_400],
  ['1h 30m', 5_400],
  ['6 mos 1 day', 15_638_400],
  ['47 yrs 6 mos and 4d', 1_499_104_800],
  ['3 weeks and 2 days', 1_987_200],
  ['3 weeks, plus 2 days', 1_987_200],
  ['1.5 hours', 5_400],
  ['.5 h', 1_800],
  ['1 week', 604_800],
  ['1 month', 2_592_000],
  ['1 y', 31_557_600],
  ['two hours', 7_200],
  ['an hour', 3_600],
  ['twenty-one minutes', 1_260],
  ['two hundred seconds', 200],
  ['day', 86_400],
  ['DAY', 86_400],
  ['1m 1s', 61],
  ['1m3s', 63],
  ['1:30', 90],
  ['3:41:59', 13_319],
  ['1:00:00:00', 86_400],
  ['  5 minutes ', 300],
])('%j is %i seconds', (text, expected) => {
  expect(parseDuration(text)).toBe(expected)
})

test.each([
  '',
  ' ',
  '0',
  '0 min',
  'test',
  'not-a-number',
  '7 elephants',
  '1 hour elephants',
  '10s10x',
  'hour minute',
  '1:2:3:4:5:6:7',
  '1:',
  'never',
  `${'1'.repeat(500)} h`,
])('%j is no duration', (text) => {
  expect(parseDuration(text)).toBeUndefined()
})

test.each(['99999999999 years', '9e99 years', `${'9'.repeat(190)} s`])('%j ends before dates do', (text) => {
  const length = parseDuration(text)
  if (length !== undefined) expect(new Date(Date.now() + length * 1000).getUTCFullYear()).toBeLessThan(9999)
})

test('never is a word of its own, in any case', () => {
  expect(['never', 'NEVER', 'Never'].every(isNever)).toBe(true)
  expect(isNever('nevermore')).toBe(false)
})

test('the sum of parts is the duration, in whatever order and units they are written', () => {
  const part = fc.tuple(fc.integer({ min: 1, max: 50 }), fc.constantFrom(...Object.entries(seconds)))
  fc.assert(
    fc.property(
      fc.array(part, { minLength: 1, maxLength: 5 }),
      fc.constantFrom(' ', ', ', ' and ', ''),
      (parts, joint) => {
        const text = parts.map(([count, [unit]]) => `${count} ${unit}s`).join(joint)
        expect(parseDuration(text)).toBe(parts.reduce((sum, [count, [, length]]) => sum + count * length, 0))
      },
    ),
    tries(300),
  )
})

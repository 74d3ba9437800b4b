/** How parameters are read, whatever they came in. */
import { expect, it } from 'vitest'
import { Params } from '../../src/http/params.js'

it.each([
  ['2026-11-30', Date.UTC(2026, 10, 30)],
  ['2026-11-30T22:05:00Z', Date.UTC(2026, 10, 30, 22, 5)],
  ['2026-11-30T22:05:00.250Z', Date.UTC(2026, 10, 30, 22, 5, 0, 250)],
  ['2026-11-30T22:05:00+05:00', Date.UTC(2026, 10, 30, 17, 5)],
  ['2026-11-30T22:05:00', Date.UTC(2026, 10, 30, 22, 5)],
  ['2026-11-30T22:05', Date.UTC(2026, 10, 30, 22, 5)],
  ['2026-11-30 22:05:00', Date.UTC(2026, 10, 30, 22, 5)],
  ['2024-02-29', Date.UTC(2024, 1, 29)],
])('the time %j is the same on every server', (text, at) => {
  expect(new Params({ from: text }).time('from')).toBe(at)
})

it.each(['2026-02-30', '2026-02-29T10:00:00Z', '2026-13-01', '2026-11-30T25:00:00Z', '275761-01-01', 'now', '1e10'])(
  '%j is no time',
  (text) => {
    expect(() => new Params({ from: text }).time('from')).toThrow('from is invalid')
  },
)

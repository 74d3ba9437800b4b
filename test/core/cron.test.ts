import { expect, it } from 'vitest'
import { parseCron } from '../../src/core/cron.js'
import { railsTimeZones } from '../../src/core/rails-time-zones.js'

/** A Wednesday. */
const start = Date.parse('2026-04-01T10:30:00Z')

function times(expression: string, count: number, zone = 'UTC'): string[] {
  const cron = parseCron(expression, zone)
  const found: string[] = []
  for (let at = start; found.length < count; ) {
    at = cron.next(at)!
    found.push(new Date(at).toISOString().slice(5, 16))
  }
  return found
}

it.each([
  ['0 24 * * *', ['04-02T00:00', '04-03T00:00']],
  ['30 22-2 * * *', ['04-01T22:30', '04-01T23:30', '04-02T00:30', '04-02T01:30', '04-02T02:30', '04-02T22:30']],
  ['0 22-24 * * *', ['04-01T22:00', '04-01T23:00', '04-02T00:00', '04-02T22:00']],
  ['0 5 * * fri-mon', ['04-03T05:00', '04-04T05:00', '04-05T05:00', '04-06T05:00', '04-10T05:00']],
  ['0 5 * * 5-7', ['04-03T05:00', '04-04T05:00', '04-05T05:00', '04-10T05:00']],
  ['0 5 * * Monday,wed', ['04-06T05:00', '04-08T05:00']],
  ['0 5 last * *', ['04-30T05:00', '05-31T05:00']],
  ['0 5 L * *', ['04-30T05:00', '05-31T05:00']],
  ['0 5 -1 * *', ['04-30T05:00', '05-31T05:00']],
  ['0 5 * * tue#2', ['04-14T05:00', '05-12T05:00']],
  ['0 5 * * sun#last', ['04-26T05:00', '05-31T05:00']],
  ['0 5 * * 5#-1', ['04-24T05:00', '05-29T05:00']],
  ['0 0 1 nov-feb *', ['11-01T00:00', '12-01T00:00', '01-01T00:00', '02-01T00:00', '11-01T00:00']],
  ['/20 * * * *', ['04-01T10:40', '04-01T11:00', '04-01T11:20']],
  ['5/20 * * * *', ['04-01T10:45', '04-01T11:05', '04-01T11:25']],
  ['0 8-16/4 * * *', ['04-01T12:00', '04-01T16:00', '04-02T08:00']],
  ['@noon', ['04-01T12:00', '04-02T12:00']],
  ['@midnight', ['04-02T00:00', '04-03T00:00']],
  ['@Daily', ['04-02T00:00', '04-03T00:00']],
  ['@weekly', ['04-05T00:00', '04-12T00:00']],
  ['0 0 13 * fri', ['04-03T00:00', '04-10T00:00', '04-13T00:00', '04-17T00:00']],
])('reads %s', (expression, expected) => {
  expect(times(expression, expected.length)).toEqual(expected)
})

it.each([
  '',
  'every day',
  '* * * *',
  '* * * * * *',
  '60 * * * *',
  '0 25 * * *',
  '0 0 0 * *',
  '0 0 * 13 *',
  '0 0 * * 8',
  '*/0 * * * *',
  '0 0 * * mon#6',
  '0 0 * * mon%2',
  '0 0 -2 * *',
  '1,,2 * * * *',
  '1- * * * *',
  '@never',
  '@constructor',
  '0 0 * * sunny',
])('refuses %j', (expression) => {
  expect(() => parseCron(expression)).toThrow(/cron syntax is invalid/)
})

it('knows Rails’ names of zones', () => {
  expect(times('0 9 * * *', 1, 'Pacific Time (US & Canada)')).toEqual(['04-01T16:00'])
  expect(times('0 9 * * *', 1, 'America/Los_Angeles')).toEqual(['04-01T16:00'])
  for (const name of railsTimeZones.keys()) expect(() => parseCron('0 0 * * *', name)).not.toThrow()
  expect(() => parseCron('0 0 * * *', 'Mars')).toThrow(/cron_timezone/)
})

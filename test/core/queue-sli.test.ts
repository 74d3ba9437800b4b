/** The tables of the reference on queueing durations, row by row. */
import { describe, expect, it } from 'vitest'
import { QueueSli, readQueueObjective } from '../../src/core/queue-sli.js'
import { startTestCore } from '../support/core.js'
import { eventually } from '../support/eventually.js'

const at = (text: string) => Date.parse(text.includes('T') ? text : `2026-01-07T${text}Z`)

function objective(thresholdS: number, pattern?: string, periods: string[] = ['* * * * * * *']) {
  return readQueueObjective({
    periods,
    timezone: 'UTC',
    thresholdS,
    ...(pattern === undefined ? {} : { jobsRunningForProject: pattern }),
  })
}

// 2026-01-07 is a Wednesday.
describe('a period', () => {
  it.each([
    ['* * * * * * *', '2026-05-05T05:05:05.5Z', true],
    ['* * 15 * * * *', '14:59:58.900', false],
    ['* * 15 * * * *', '14:59:59.000', true],
    ['* * 15 * * * *', '15:59:58.999', true],
    ['* * 15 * * * *', '15:59:59.000', false],
    ['* 59 14 * * wed *', '14:59:00', true],
    ['* 59 14 * * wed *', '14:59:59', false],
    ['* * * * * sat,sun *', '2026-01-09T23:59:58Z', false],
    ['* * * * * sat,sun *', '2026-01-09T23:59:59Z', true],
    ['* * * * * sat,sun *', '2026-01-11T23:59:58Z', true],
    ['* * * * * sat,sun *', '2026-01-11T23:59:59Z', false],
    ['* * * * *', '12:00:30', false],
    ['* * * * *', '12:00:59.5', true],
    ['* * * * *', '12:01:00', false],
    ['* * * * * *', '12:00:59.5', true],
    ['@hourly', '12:59:59', true],
    ['@hourly', '13:00:00', false],
    ['* * * 13 * fri *', '2026-01-09T12:00:00Z', true],
    ['* * * 13 * fri *', '2026-01-13T12:00:00Z', true],
    ['* * * 13 * fri *', '2026-01-14T12:00:00Z', false],
  ])('%s at %s: %s', (period, now, active) => {
    expect(objective(1, undefined, [period]).isActive(at(now))).toBe(active)
  })

  it('is one of its time zone', () => {
    const berlin = { periods: ['* * 10-17 * * * *'], timezone: 'Europe/Berlin', thresholdS: 1 }
    const { isActive } = readQueueObjective(berlin)
    expect([isActive(at('2017-01-01T16:30:00Z')), isActive(at('2017-07-01T16:30:00Z'))]).toEqual([true, false])
  })
})

const weekend = ['* * * * * sat,sun *']
const wed = '2026-01-07T12:00:00Z'
const sat = '2026-01-10T12:00:00Z'

describe('the counter', () => {
  it.each([
    [1, [objective(90)], wed, 90, '0', 0],
    [2, [objective(90)], wed, 91, '0', 1],
    [4, [objective(90, '^[0-3]$')], wed, 91, '3', 1],
    [5, [objective(90, '^[0-3]$')], wed, 91, '4', 0],
    [6, [objective(90, '^[0-3]$')], wed, 91, '5+', 0],
    [7, [objective(90, '^[0-3]$')], wed, 91, '+Inf', 0],
    [8, [objective(90, '^[0-3]$')], wed, 30, '0', 0],
    [9, [objective(60), objective(300, undefined, weekend)], wed, 61, '0', 1],
    [10, [objective(60), objective(300, undefined, weekend)], sat, 61, '0', 0],
    [11, [objective(60), objective(300, undefined, weekend)], sat, 300, '0', 0],
    [12, [objective(60), objective(300, undefined, weekend)], sat, 301, '0', 1],
    [13, [objective(60), objective(300, undefined, weekend)], '2026-01-09T23:59:59Z', 61, '0', 0],
    [14, [objective(60), objective(300, undefined, weekend)], '2026-01-11T23:59:59Z', 61, '0', 1],
    [15, [objective(300, undefined, weekend), objective(60)], sat, 61, '0', 1],
    [16, [objective(300, undefined, weekend)], wed, 9999, '0', 0],
    [17, [objective(0)], wed, 9999, '0', 0],
    [17, [objective(-5)], wed, 9999, '0', 0],
    [18, [objective(60), objective(60, '^0$')], wed, 61, '2', 0],
    [19, [objective(60), objective(0)], wed, 61, '0', 0],
    [20, [objective(10, 'Inf+')], wed, 15, '0', 0],
    [21, [objective(10, 'Inf+')], wed, 15, '+Inf', 1],
    [22, [objective(10, '^\\+Inf$')], wed, 15, '+Inf', 1],
    [23, [objective(10, '.*')], wed, 15, '0', 1],
    [24, [], wed, 9999, '0', 0],
    [25, [objective(60, undefined, [])], wed, 9999, '0', 0],
  ])('vector %i', (_, objectives, now, waitedS, running, counted) => {
    const sli = new QueueSli(objectives)
    const labels = { runner: '1', runner_name: 'r', system_id: 's_1' }
    sli.observe(1, labels, Date.parse(now), waitedS, running)
    expect(sli.gauges()[0]?.values).toEqual([{ labels, value: counted }])
  })

  it('only grows, and is each process’s own', () => {
    const sli = new QueueSli([objective(90, '^[0-3]$')])
    const labels = { runner: '1', runner_name: 'r', system_id: 's_1' }
    const seen = [
      [90, '0'],
      [91, '0'],
      [91, '3'],
      [91, '4'],
    ].map(([waited, running]) => {
      sli.observe(1, labels, 0, waited as number, running as string)
      return sli.gauges()[0]!.values[0]!.value
    })
    expect(seen).toEqual([0, 1, 2, 2])
    sli.observe(2, { ...labels, system_id: 's_2' }, 0, 100, '0')
    expect(sli.gauges()[0]!.values.map(({ value }) => value)).toEqual([2, 1])
  })
})

it.each([
  [{ periods: ['* * *'] }, 'periods[0]'],
  [{ periods: ['* * * * *', '61 * * * * * *'] }, 'periods[1]'],
  [{ timezone: 'Mars/Olympus' }, 'timezone'],
  [{ jobsRunningForProject: '(' }, 'jobs_running_for_project'],
])('refuses %j, and says which field is wrong', (more, field) => {
  const input = { periods: ['* * * * * * *'], timezone: '', thresholdS: 1, ...more }
  expect(() => readQueueObjective(input)).toThrow(expect.objectContaining({ details: { field } }))
})

it('counts what runners are given over a stream, and leaves those that poll to count themselves', async () => {
  await using box = await startTestCore('sqlite', { queueObjectives: [objective(90, '^0$')] })
  const runner = await box.runner({ description: 'mine' })
  await box.run({ a: { script: 'x' }, b: { script: 'x' }, c: { script: 'x' } })
  box.clock.advance(90_999)
  await runner.request()
  const counted = () => box.core.queueSli.gauges()[0]?.values
  const labels = { runner: '1', runner_name: 'mine', system_id: 's_000000000001' }
  await eventually(() => expect(counted()).toEqual([{ labels, value: 0 }]))
  box.clock.advance(1)
  await runner.request({ door: 'rest_two_phase', requestId: 'r' })
  // The project has two jobs now, which the objective does not look at.
  await runner.request()
  await box.run({ d: { script: 'x' } }, 'acme/other')
  box.clock.advance(91_000)
  await runner.request()
  await eventually(() => expect(counted()).toEqual([{ labels, value: 1 }]))
})

/**
 * The worked table of queueing durations: entries, the moment, the wait in seconds, the project's other jobs on instance
 * runners, and what the counter grows by. Rules: gitlab-runner common/config/runner/monitoring/job_queuing_durations.go,
 * helpers/timeperiod/period.go, commands/builds_helper.go.
 */
export interface Entry {
  thresholdS: number
  pattern?: string
  periods: string[]
}

export interface QueueVector {
  number: number
  entries: Entry[]
  now: string
  waitedS: number
  running: string
  grows: 0 | 1
}

const always = ['* * * * * * *']
const weekend = ['* * * * * sat,sun *']
const entry = (thresholdS: number, pattern?: string, periods = always): Entry => ({
  thresholdS,
  periods,
  ...(pattern === undefined ? {} : { pattern }),
})

// 2026-01-07 is a Wednesday.
const wednesday = '2026-01-07T12:00:00Z'
const saturday = '2026-01-10T12:00:00Z'
const minute = entry(60)
const slowWeekend = entry(300, undefined, weekend)
const few = entry(90, '^[0-3]$')

const rows: [number, Entry[], string, number, string, 0 | 1][] = [
  [1, [entry(90)], wednesday, 90, '0', 0],
  [2, [entry(90)], wednesday, 91, '0', 1],
  [4, [few], wednesday, 91, '3', 1],
  [5, [few], wednesday, 91, '4', 0],
  [6, [few], wednesday, 91, '5+', 0],
  [7, [few], wednesday, 91, '+Inf', 0],
  [8, [few], wednesday, 30, '0', 0],
  [9, [minute, slowWeekend], wednesday, 61, '0', 1],
  [10, [minute, slowWeekend], saturday, 61, '0', 0],
  [11, [minute, slowWeekend], saturday, 300, '0', 0],
  [12, [minute, slowWeekend], saturday, 301, '0', 1],
  [13, [minute, slowWeekend], '2026-01-09T23:59:59Z', 61, '0', 0],
  [14, [minute, slowWeekend], '2026-01-11T23:59:59Z', 61, '0', 1],
  [15, [slowWeekend, minute], saturday, 61, '0', 1],
  [16, [slowWeekend], wednesday, 9999, '0', 0],
  [17, [entry(0)], wednesday, 9999, '0', 0],
  [17, [entry(-5)], wednesday, 9999, '0', 0],
  [18, [minute, entry(60, '^0$')], wednesday, 61, '2', 0],
  [19, [minute, entry(0)], wednesday, 61, '0', 0],
  [20, [entry(10, 'Inf+')], wednesday, 15, '0', 0],
  [21, [entry(10, 'Inf+')], wednesday, 15, '+Inf', 1],
  [22, [entry(10, '^\\+Inf$')], wednesday, 15, '+Inf', 1],
  [23, [entry(10, '.*')], wednesday, 15, '0', 1],
  [24, [], wednesday, 9999, '0', 0],
  [25, [entry(60, undefined, [])], wednesday, 9999, '0', 0],
]

export const queueVectors: readonly QueueVector[] = rows.map(([number, entries, now, waitedS, running, grows]) => ({
  number,
  entries,
  now,
  waitedS,
  running,
  grows,
}))

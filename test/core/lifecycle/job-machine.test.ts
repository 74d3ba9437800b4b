import { describe, expect, it } from 'vitest'
import {
  bridgeEvents,
  bridgeMachine,
  is,
  type JobEvent,
  type JobFacts,
  type JobStatus,
  jobEvents,
  jobMachine,
  jobStatuses,
  nextStatus,
  type StatusSet,
  statusSets,
} from '../../../src/core/lifecycle/job-machine.js'

/** Every fact a guard can look at, in every combination. */
const factNames = ['resource_group', 'prerequisites', 'due', 'resource_assigned', 'cancel_gracefully'] as const
const allFacts: JobFacts[] = Array.from(
  { length: 2 ** factNames.length },
  (_, bits) => Object.fromEntries(factNames.map((name, i) => [name, (bits & (1 << i)) !== 0])) as unknown as JobFacts,
)

/** Where a job goes when it is put in the queue. */
const queued = (facts: JobFacts): JobStatus =>
  facts.resource_group ? 'waiting_for_resource' : facts.prerequisites ? 'preparing' : 'pending'

/**
 * The table of events written a second time, the other way round: for each event, what every status answers. Statuses
 * that are not named refuse the event.
 */
const expected: Record<JobEvent, Partial<Record<JobStatus, (facts: JobFacts) => JobStatus | undefined>>> = {
  enqueue: { created: queued, skipped: queued, manual: queued, scheduled: queued },
  enqueue_scheduled: { scheduled: (facts) => (facts.due ? queued(facts) : undefined) },
  enqueue_waiting_for_resource: {
    waiting_for_resource: (facts) =>
      facts.resource_assigned ? (facts.prerequisites ? 'preparing' : 'pending') : undefined,
  },
  enqueue_preparing: { preparing: (facts) => (facts.prerequisites ? undefined : 'pending') },
  hold: {
    created: () => 'waiting_for_callback',
    pending: (facts) => (facts.resource_group ? undefined : 'waiting_for_callback'),
  },
  call_back: { waiting_for_callback: () => 'created' },
  actionize: { created: () => 'manual' },
  schedule: { created: () => 'scheduled' },
  unschedule: { scheduled: () => 'manual' },
  process: { skipped: () => 'created', manual: () => 'created' },
  run: { pending: () => 'running' },
  skip: {
    created: () => 'skipped',
    waiting_for_resource: () => 'skipped',
    preparing: () => 'skipped',
    pending: () => 'skipped',
  },
  success: {
    canceling: () => 'canceled',
    created: () => 'success',
    waiting_for_resource: () => 'success',
    preparing: () => 'success',
    waiting_for_callback: () => 'success',
    pending: () => 'success',
    running: () => 'success',
  },
  drop: {
    canceling: () => 'canceled',
    created: () => 'failed',
    waiting_for_resource: () => 'failed',
    preparing: () => 'failed',
    waiting_for_callback: () => 'failed',
    pending: () => 'failed',
    running: () => 'failed',
    manual: () => 'failed',
    scheduled: () => 'failed',
  },
  cancel: {
    running: (facts) => (facts.cancel_gracefully ? 'canceling' : 'canceled'),
    created: () => 'canceled',
    waiting_for_resource: () => 'canceled',
    preparing: () => 'canceled',
    waiting_for_callback: () => 'canceled',
    pending: () => 'canceled',
    scheduled: () => 'canceled',
    manual: () => 'canceled',
  },
  force_cancel: { canceling: () => 'canceled' },
  doom: Object.fromEntries(
    jobStatuses.filter((status) => !is('completed', status)).map((status) => [status, () => 'failed' as const]),
  ),
}

describe('the job machine', () => {
  for (const event of jobEvents) {
    for (const status of jobStatuses) {
      it(`answers ${event} in ${status}`, () => {
        for (const facts of allFacts) {
          const answer = expected[event][status]?.(facts)
          expect(nextStatus(event, status, facts), JSON.stringify(facts)).toBe(answer)
        }
      })
    }
  }

  it('lets nothing leave success, failed or canceled', () => {
    for (const row of jobMachine) {
      for (const final of statusSets.finished) expect(row.from, `${row.event} → ${row.to}`).not.toContain(final)
    }
  })

  it('ends canceling in canceled only, unless nothing can end the job in the ordinary way', () => {
    const rows = jobMachine.filter((row) => row.from.includes('canceling') && row.event !== 'doom')
    const ends = new Set(rows.map((row) => row.to))
    expect([...ends]).toEqual(['canceled'])
  })

  it('makes running only out of pending, and never returns a running job to the queue', () => {
    expect(jobMachine.filter((row) => row.to === 'running').flatMap((row) => row.from)).toEqual(['pending'])
    const fromRunning = new Set(jobMachine.filter((row) => row.from.includes('running')).map((row) => row.to))
    expect([...fromRunning].sort()).toEqual(['canceled', 'canceling', 'failed', 'success'])
  })
})

describe('the bridge machine', () => {
  const next = (event: (typeof bridgeEvents)[number], from: JobStatus, facts: Partial<JobFacts> = {}) =>
    nextStatus(event, from, facts, bridgeMachine)

  it('reaches canceling only by start_cancel, from every cancelable status', () => {
    for (const status of jobStatuses) {
      expect(next('start_cancel', status)).toBe(is('cancelable', status) ? 'canceling' : undefined)
      expect(next('finish_cancel', status)).toBe(
        is('cancelable', status) || status === 'canceling' ? 'canceled' : undefined,
      )
    }
    expect(next('cancel', 'running', { cancel_gracefully: true })).toBe('canceled')
  })

  it('is never prepared and never scheduled', () => {
    for (const event of bridgeEvents) {
      for (const status of jobStatuses) {
        const to = next(event, status, { prerequisites: true, due: true, resource_assigned: true })
        if (status !== 'preparing') expect(to).not.toBe('preparing')
        if (event === 'schedule') expect(to).toBeUndefined()
      }
    }
  })
})

describe('status sets', () => {
  const table: Record<JobStatus, StatusSet[]> = {
    created: ['alive', 'cancelable'],
    waiting_for_resource: ['active', 'alive', 'cancelable'],
    preparing: ['active', 'alive', 'cancelable'],
    waiting_for_callback: ['active', 'alive', 'cancelable'],
    pending: ['active', 'alive', 'cancelable'],
    running: ['active', 'alive', 'cancelable', 'executing', 'started'],
    canceling: ['alive', 'executing'],
    success: ['completed', 'finished', 'stopped', 'started'],
    failed: ['completed', 'finished', 'stopped', 'started'],
    canceled: ['completed', 'finished', 'stopped'],
    skipped: ['completed', 'stopped'],
    manual: ['stopped', 'blocked'],
    scheduled: ['cancelable', 'stopped', 'blocked'],
  }
  it.each(jobStatuses)('of %s are the documented ones', (status) => {
    const names = (Object.keys(statusSets) as StatusSet[]).filter((set) => is(set, status))
    expect(names.sort()).toEqual([...table[status]].sort())
  })
})

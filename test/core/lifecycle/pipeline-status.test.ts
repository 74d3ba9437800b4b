import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type JobStatus, jobStatuses } from '../../../src/core/lifecycle/job-machine.js'
import {
  compositeStatus,
  keepsRunning,
  nextPipelineStatus,
  type StatusPart,
} from '../../../src/core/lifecycle/pipeline-status.js'

/** `failed*` is a failed job that may fail. */
const parse = (jobs: string) =>
  jobs === '(none)'
    ? []
    : jobs.split(', ').map((job) => ({
        status: job.replace('*', '') as JobStatus,
        allowFailure: job.endsWith('*'),
      }))

/** Jobs, plain composite, composite in needs mode: what GitLab's own composite answers. */
const vectors: [jobs: string, plain: JobStatus, needs: JobStatus][] = [
  ['(none)', 'success', 'success'],
  ['success', 'success', 'success'],
  ['success, failed', 'failed', 'failed'],
  ['success, failed*', 'success', 'success'],
  ['failed*', 'success', 'success'],
  ['canceled*', 'success', 'success'],
  ['canceled', 'canceled', 'canceled'],
  ['success, canceled', 'canceled', 'canceled'],
  ['failed, canceled', 'failed', 'failed'],
  ['skipped', 'skipped', 'skipped'],
  ['success, skipped', 'success', 'skipped'],
  ['manual*', 'skipped', 'skipped'],
  ['success, manual*', 'success', 'skipped'],
  ['success, manual', 'manual', 'pending'],
  ['manual', 'manual', 'pending'],
  ['manual, created', 'manual', 'pending'],
  ['failed, manual', 'manual', 'pending'],
  ['created', 'created', 'pending'],
  ['created, success', 'running', 'pending'],
  ['created, failed', 'running', 'pending'],
  ['pending', 'pending', 'pending'],
  ['pending, created', 'pending', 'pending'],
  ['pending, success', 'running', 'pending'],
  ['running, failed', 'running', 'pending'],
  ['waiting_for_resource, success', 'waiting_for_resource', 'pending'],
  ['waiting_for_resource, running', 'running', 'pending'],
  ['scheduled, success', 'scheduled', 'pending'],
  ['scheduled, created', 'scheduled', 'pending'],
  ['scheduled, manual', 'manual', 'pending'],
  ['preparing', 'preparing', 'pending'],
  ['preparing, created', 'preparing', 'pending'],
  ['preparing, success', 'preparing', 'pending'],
  ['canceling', 'canceling', 'pending'],
  ['canceling, success', 'canceling', 'pending'],
  ['canceling, running', 'running', 'pending'],
  ['canceling, created', 'running', 'pending'],
  ['canceling, canceled', 'canceling', 'pending'],
  ['canceling, failed', 'canceling', 'pending'],
  ['skipped, manual*', 'skipped', 'skipped'],
  ['skipped, failed', 'failed', 'skipped'],
  ['skipped, created', 'pending', 'skipped'],
  ['pending, skipped', 'pending', 'skipped'],
  ['pending, failed*', 'pending', 'pending'],
  ['waiting_for_callback, created', 'waiting_for_callback', 'pending'],
  ['created, manual*', 'created', 'skipped'],
  ['running, manual', 'running', 'pending'],
  ['canceled, manual', 'manual', 'pending'],
  ['success*, failed', 'failed', 'failed'],
]

const part = fc.record({ status: fc.constantFrom(...jobStatuses), allowFailure: fc.boolean() })

describe('the composite status', () => {
  it.each(vectors)('of %s is %s, as needs %s', (jobs, plain, needs) => {
    expect(compositeStatus(parse(jobs), 'plain')).toBe(plain)
    expect(compositeStatus(parse(jobs), 'needs')).toBe(needs)
  })

  it('does not depend on order or number', () => {
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), fc.boolean(), (parts, needs) => {
        const mode = needs ? 'needs' : 'plain'
        const once = compositeStatus(parts, mode)
        expect(compositeStatus([...parts].reverse(), mode)).toBe(once)
        expect(compositeStatus([...parts, ...parts], mode)).toBe(once)
      }),
    )
  })

  it('is completed only when no job is alive', () => {
    const alive = [
      'created',
      'waiting_for_resource',
      'preparing',
      'waiting_for_callback',
      'pending',
      'running',
      'canceling',
    ]
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 8 }), (parts) => {
        if (['success', 'failed', 'canceled', 'skipped'].includes(compositeStatus(parts))) {
          expect(parts.filter((one) => alive.includes(one.status))).toEqual([])
        }
      }),
    )
  })
})

describe('the pipeline machine', () => {
  it('keeps its status when the jobs fold to created', () => {
    for (const status of jobStatuses) expect(nextPipelineStatus(status, 'created')).toBe(status)
  })

  it('takes pending only out of statuses that have not run', () => {
    const towards = Object.fromEntries(jobStatuses.map((status) => [status, nextPipelineStatus(status, 'pending')]))
    expect(towards).toEqual({
      created: 'pending',
      manual: 'pending',
      waiting_for_resource: 'pending',
      preparing: 'pending',
      skipped: 'pending',
      scheduled: 'pending',
      pending: 'pending',
      success: 'running',
      failed: 'running',
      canceling: 'running',
      canceled: 'running',
      running: 'running',
      waiting_for_callback: 'waiting_for_callback',
    })
  })

  it('does not go from canceled to canceling, and takes every other status as it comes', () => {
    expect(nextPipelineStatus('canceled', 'canceling')).toBe('canceled')
    for (const composite of jobStatuses.filter((status) => !['created', 'pending', 'canceling'].includes(status))) {
      for (const current of jobStatuses) expect(nextPipelineStatus(current, composite)).toBe(composite)
    }
  })
})

describe('a job that keeps its groups running', () => {
  const part = fc.record({ status: fc.constantFrom(...jobStatuses), allowFailure: fc.boolean() })
  const alive = fc.record({ status: fc.constantFrom<JobStatus>('pending', 'running'), allowFailure: fc.boolean() })
  const ofAny = (others: StatusPart[], own: StatusPart) => compositeStatus([...others, own])

  it('does so beside any others of which one is pending or running, and alone if it is running itself', () => {
    fc.assert(
      fc.property(fc.array(part), alive, part.filter(keepsRunning), (others, living, own) => {
        expect(ofAny([...others, living], own)).toBe('running')
        if (own.status === 'running') expect(ofAny(others, own)).toBe('running')
      }),
    )
  })

  it('is a start that changes nothing for whoever waits: pending and running are one to them', () => {
    const completed = (status: JobStatus) => ['success', 'failed', 'canceled', 'skipped'].includes(status)
    fc.assert(
      fc.property(fc.array(part), fc.boolean(), fc.constantFrom('plain', 'needs'), (others, allowFailure, mode) => {
        const [before, after] = (['pending', 'running'] as const).map((status) =>
          compositeStatus([...others, { status, allowFailure }], mode),
        )
        expect(completed(before!)).toBe(completed(after!))
        if (completed(before!)) expect(after).toBe(before)
      }),
    )
  })

  it('is none that failed and may, is skipped, or waits', () => {
    expect(jobStatuses.filter((status) => keepsRunning({ status, allowFailure: false }))).toEqual(
      expect.arrayContaining(['running', 'success', 'failed', 'canceled']),
    )
    expect(jobStatuses.filter((status) => keepsRunning({ status, allowFailure: true }))).toEqual(['running', 'success'])
  })
})

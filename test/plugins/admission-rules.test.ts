/** The two admission rules that come with Signalbox: what they say at which time and of which job, and which configurations are none. */
import { describe, expect, it } from 'vitest'
import businessHours, { judgeHours } from '../../src/plugins/admission/business-hours/index.js'
import maxConcurrency, { judgeConcurrency, type Limits } from '../../src/plugins/admission/max-concurrency/index.js'
import type { AdmissionRequest } from '../../src/plugins/sdk.js'
import { admissionRequest, startPlugin } from '../../src/plugins/testing/index.js'

const asked = (at: string, job: Partial<AdmissionRequest['job']> = {}, running = { all: 0, project: 0 }) => {
  const request = admissionRequest()
  return { ...request, now: Date.parse(at), running, job: { ...request.job, ...job } }
}

describe('business hours', () => {
  const week = ['mon', 'tue', 'wed', 'thu', 'fri']
  const office = { days: week, from: 8 * 60, to: 18 * 60, timezone: 'Europe/Berlin', projects: [], tags: [] }
  const night = { ...office, days: ['fri'], from: 22 * 60, to: 6 * 60 }

  it.each([
    ['a minute before', office, '2026-12-01T06:59:00Z', 60],
    ['at the beginning', office, '2026-12-01T07:00:00Z', undefined],
    ['in the last minute', office, '2026-12-01T16:59:59Z', undefined],
    ['at the end', office, '2026-12-01T17:00:00Z', 3600],
    ['on a Saturday', office, '2026-12-05T10:00:00Z', 3600],
    ['in summer, an hour earlier', office, '2026-07-01T06:00:00Z', undefined],
    // 2026-03-29 01:00 UTC: the clock goes from 02:00 to 03:00.
    [
      'in the hour that there is not',
      { ...office, days: ['sun'], from: 150, to: 200 },
      '2026-03-29T01:00:00Z',
      undefined,
    ],
    ['over midnight, before', night, '2026-12-04T21:30:00Z', undefined],
    ['over midnight, after', night, '2026-12-05T04:59:00Z', undefined],
    ['over midnight, when it is over', night, '2026-12-05T05:00:00Z', 3600],
    ['over midnight, of a day that is none', night, '2026-12-04T04:00:00Z', 3600],
  ])('%s', (_, hours, at, seconds) => {
    const verdict = judgeHours(hours, asked(at))
    expect(verdict).toMatchObject(seconds === undefined ? { verdict: 'admit' } : { verdict: 'hold', seconds })
  })

  it.each([
    [{ projects: ['acme/'] }, { projectPath: 'acme/app' }, 'hold'],
    [{ projects: ['acme/'] }, { projectPath: 'acme-too/app' }, 'admit'],
    [{ projects: ['acme/app'] }, { projectPath: 'acme/app/more' }, 'admit'],
    [{ tags: ['production'] }, { tags: ['production', 'x'] }, 'hold'],
    [{ tags: ['production'] }, { tags: [] }, 'admit'],
    [{ projects: ['acme/'], tags: ['production'] }, { projectPath: 'acme/app', tags: [] }, 'admit'],
  ] as const)('of %j, for %j: %s', (of, job, verdict) => {
    const hours = { ...office, ...of }
    expect(judgeHours(hours, asked('2026-12-05T10:00:00Z', job as never)).verdict).toBe(verdict)
  })

  it('says when jobs start', () => {
    expect(judgeHours(office, asked('2026-12-05T10:00:00Z'))).toMatchObject({
      reason: 'Jobs start mon, tue, wed, thu, fri from 08:00 to 18:00 (Europe/Berlin).',
    })
  })

  it.each([
    [{ from: '8:00', to: '18:00' }, 'from'],
    [{ from: '08:00', to: '24:01' }, 'to'],
    [{ from: '08:00', to: '08:00' }, 'to'],
    [{ from: '08:00', to: '18:00', days: ['monday'] }, 'days.0'],
    [{ from: '08:00', to: '18:00', days: 'mon' }, 'days'],
    [{ from: '08:00', to: '18:00', timezone: 'Mars/Olympus' }, 'timezone'],
    [{ from: '08:00', to: '18:00', refs: [] }, 'refs'],
  ])('refuses %j', async (config, key) => {
    await expect(startPlugin(businessHours, { config })).rejects.toThrow(`config key "${key}"`)
  })
})

describe('max concurrency', () => {
  const limits: Limits = { all: 10, project: 2, projects: { 'acme/app': 5 } }
  it.each([
    ['acme/other', { all: 9, project: 1 }, 'admit'],
    ['acme/other', { all: 9, project: 2 }, 'hold'],
    ['acme/app', { all: 9, project: 4 }, 'admit'],
    ['acme/app', { all: 9, project: 5 }, 'hold'],
    ['acme/app', { all: 10, project: 0 }, 'hold'],
    ['constructor', { all: 0, project: 1 }, 'admit'],
  ])('of %s, beside %j: %s', (projectPath, running, verdict) => {
    expect(judgeConcurrency(limits, asked('2026-12-01T00:00:00Z', { projectPath }, running)).verdict).toBe(verdict)
  })

  it('asks for nothing where no limit is', () => {
    const running = { all: 1e6, project: 1e6 }
    expect(judgeConcurrency({ projects: {} }, asked('2026-12-01T00:00:00Z', {}, running)).verdict).toBe('admit')
  })

  it.each([
    [{ all: 0 }, 'all'],
    [{ project: 1.5 }, 'project'],
    [{ projects: { 'a/b': '3' } }, 'projects.a/b'],
    [{ projects: [1] }, 'projects'],
    [{ everywhere: 1 }, 'everywhere'],
  ])('refuses %j', async (config, key) => {
    await expect(startPlugin(maxConcurrency, { config })).rejects.toThrow(`config key "${key}"`)
  })
})

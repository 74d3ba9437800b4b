import { expect, it } from 'vitest'
import { RateLimit } from '../../src/http/rate-limit.js'
import { ManualClock } from '../support/manual-clock.js'

it('lets a burst through, then as many as the rate allows', () => {
  const clock = new ManualClock()
  const limit = new RateLimit<string>(clock, { perSecond: 2, burst: 3 })
  const takes = (key: string, times: number) => {
    let done = 0
    for (let i = 0; i < times; i++) {
      try {
        limit.take(key)
        done++
      } catch (error) {
        expect(error).toMatchObject({ code: 'rate_limited', details: { retryAfterS: 1 } })
      }
    }
    return done
  }
  expect(takes('a', 10)).toBe(3)
  expect(takes('b', 1)).toBe(1)
  clock.advance(500)
  expect(takes('a', 10)).toBe(1)
  clock.advance(60_000)
  expect(takes('a', 10)).toBe(3)
})

it('never remembers more keys than it may, and forgets the oldest first', () => {
  const limit = new RateLimit<number>(new ManualClock(), { perSecond: 1, burst: 1 })
  for (let key = 0; key < 200_000; key++) limit.take(key)
  expect(limit.size).toBeLessThanOrEqual(50_000)
  expect(() => limit.take(199_999)).toThrow()
  expect(() => limit.take(0)).not.toThrow()
})

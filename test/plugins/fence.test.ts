import { describe, expect, it } from 'vitest'
import { type Answer, Fence } from '../../src/plugins/fence.js'
import { ManualClock } from '../support/manual-clock.js'
import { turn } from './support/plugins.js'

function makeFence() {
  const clock = new ManualClock()
  const failures: string[] = []
  const fence = new Fence(clock, { onFailure: (error, what) => failures.push(`${what}: ${error.message}`) })
  const asText = (value: unknown) => {
    if (typeof value !== 'string') throw new TypeError('not a text')
    return value
  }
  return { clock, failures, fence, asText }
}

const broken = () => {
  throw new Error('broken')
}
const never = () => new Promise(() => undefined)

describe('a call through the fence', () => {
  it('gives what the hook gives, checked', async () => {
    const { fence, asText } = makeFence()
    expect(await fence.call('ask', () => 'yes', asText)).toEqual({ ok: true, value: 'yes' })
    expect(await fence.call('ask', async () => 'yes', asText)).toEqual({ ok: true, value: 'yes' })
    expect(fence.callNow('ask', () => 'yes', asText)).toEqual({ ok: true, value: 'yes' })
    expect(fence.counts).toEqual({ calls: 3, failures: 0, refused: 0 })
  })

  it.each<[string, () => unknown, RegExp]>([
    ['throws', broken, /^broken$/],
    ['rejects', async () => broken(), /^broken$/],
    [
      'throws a text',
      () => {
        throw 'oops'
      },
      /^threw oops$/,
    ],
    [
      'throws nothing',
      () => {
        throw undefined
      },
      /^threw undefined$/,
    ],
    [
      'throws what cannot be shown',
      () => {
        throw { toString: broken }
      },
      /cannot be shown/,
    ],
    [
      'throws an error whose message throws',
      () => {
        throw Object.defineProperty(new Error(), 'message', { get: broken })
      },
      /cannot be shown/,
    ],
    [
      'throws an error whose stack throws',
      () => {
        throw Object.defineProperty(new Error('sly'), 'stack', { get: broken })
      },
      /^sly$/,
    ],
    ['gives what is not right', () => 7, /^not a text$/],
    // biome-ignore lint/suspicious/noThenProperty: that is the point
    ['gives a thenable that throws', () => ({ then: broken }), /^broken$/],
  ])('that %s is a failure and never rejects', async (_, make, message) => {
    const { fence, failures, asText } = makeFence()
    const answer = await fence.call('ask', make, asText)
    expect(answer).toMatchObject({ ok: false, refused: false })
    expect((answer as { error: Error }).error.message).toMatch(message)
    expect(failures).toHaveLength(1)
    expect(fence.counts).toEqual({ calls: 1, failures: 1, refused: 0 })
  })

  it('fails at its deadline; what comes later is dropped', async () => {
    const { fence, clock, asText } = makeFence()
    let answer: (value: string) => void = () => undefined
    const call = fence.call(
      'ask',
      () =>
        new Promise((resolve) => {
          answer = resolve
        }),
      asText,
      { deadlineMs: 2000 },
    )
    await turn()
    clock.advance(1999)
    expect(await Promise.race([call, turn()])).toBeUndefined()
    clock.advance(1)
    expect(await call).toMatchObject({ ok: false, error: { message: 'no answer within 2000 ms' } })
    answer('late')
    await turn()
    expect(fence.counts).toEqual({ calls: 1, failures: 1, refused: 0 })
    expect(clock.timers).toBe(0)
  })

  it('leaves no timer behind when it is in time', async () => {
    const { fence, clock, asText } = makeFence()
    await fence.call('ask', () => 'yes', asText, { deadlineMs: 2000 })
    expect(clock.timers).toBe(0)
  })

  it('waits for those before it, and is refused where a hundred wait', async () => {
    const { fence, clock } = makeFence()
    const order: number[] = []
    let running = 0
    let most = 0
    let open: () => void = () => undefined
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const calls = Array.from({ length: 150 }, (_, at) =>
      fence.call(
        'ask',
        async () => {
          most = Math.max(most, ++running)
          await gate
          order.push(at)
          running--
        },
        () => undefined,
        { deadlineMs: 2000, order: 'serial' },
      ),
    )
    open()
    const answers = await Promise.all(calls)
    expect(most).toBe(1)
    expect(order).toEqual(Array.from({ length: 101 }, (_, at) => at))
    expect(answers.filter((answer) => !answer.ok && answer.refused)).toHaveLength(49)
    expect(fence.counts).toEqual({ calls: 101, failures: 0, refused: 49 })
    expect(
      await fence.call(
        'ask',
        () => 1,
        () => 2,
        { order: 'serial' },
      ),
    ).toEqual({ ok: true, value: 2 })
    expect(clock.timers).toBe(0)
  })

  it('holds up no call of another name', async () => {
    const { fence, asText } = makeFence()
    void fence.call('one', never, asText, { order: 'serial' })
    expect(await fence.call('two', () => 'yes', asText, { order: 'serial' })).toEqual({ ok: true, value: 'yes' })
  })
})

describe('the breaker', () => {
  const fail = async (fence: Fence, times: number) => {
    for (let i = 0; i < times; i++) await fence.call('ask', broken, String)
  }
  const refused = (answer: Answer<unknown>) => !answer.ok && answer.refused

  it('opens after five failures in a minute, and lets one call through after half a minute', async () => {
    const { fence, clock } = makeFence()
    await fail(fence, 4)
    expect(fence.breaker.state).toBe('closed')
    await fail(fence, 1)
    expect(fence.breaker.state).toBe('open')
    expect(refused(await fence.call('ask', () => 1, String))).toBe(true)
    expect(refused(fence.callNow('ask', () => 1, String))).toBe(true)
    clock.advance(29_999)
    expect(fence.breaker.opensInMs).toBe(1)
    expect(refused(await fence.call('ask', () => 1, String))).toBe(true)
    clock.advance(1)
    expect(fence.breaker.state).toBe('half_open')
    let end: (value: number) => void = () => undefined
    const trial = fence.call(
      'ask',
      () =>
        new Promise((resolve) => {
          end = resolve
        }),
      String,
    )
    await turn()
    expect(refused(await fence.call('ask', () => 1, String))).toBe(true)
    end(1)
    expect(await trial).toEqual({ ok: true, value: '1' })
    expect(fence.breaker.state).toBe('closed')
    await fail(fence, 4)
    expect(fence.breaker.state).toBe('closed')
  })

  it('stays open when the one call fails', async () => {
    const { fence, clock } = makeFence()
    await fail(fence, 5)
    clock.advance(30_000)
    await fail(fence, 1)
    expect(fence.breaker.state).toBe('open')
    clock.advance(30_000)
    expect(await fence.call('ask', () => 1, String)).toEqual({ ok: true, value: '1' })
    expect(fence.breaker.state).toBe('closed')
  })

  it('forgets failures after a minute', async () => {
    const { fence, clock } = makeFence()
    await fail(fence, 4)
    clock.advance(60_000)
    await fail(fence, 4)
    expect(fence.breaker.state).toBe('closed')
  })

  it('counts calls that are late', async () => {
    const { fence, clock } = makeFence()
    const calls = Array.from({ length: 5 }, () => fence.call('ask', never, String, { deadlineMs: 2000 }))
    await turn()
    clock.advance(2000)
    await Promise.all(calls)
    expect(fence.breaker.state).toBe('open')
  })

  it('refuses those that wait when it opens', async () => {
    const { fence } = makeFence()
    const calls = Array.from({ length: 20 }, () => fence.call('ask', broken, String, { order: 'serial' }))
    const answers = await Promise.all(calls)
    expect(answers.filter(refused)).toHaveLength(15)
  })

  it('has no part in calls that have no default', async () => {
    const { fence } = makeFence()
    for (let i = 0; i < 10; i++) await fence.call('run', broken, String, { breaks: false })
    expect(fence.breaker.state).toBe('closed')
    await fail(fence, 5)
    expect(await fence.call('run', () => 1, String, { breaks: false })).toEqual({ ok: true, value: '1' })
    expect(fence.breaker.state).toBe('open')
  })
})

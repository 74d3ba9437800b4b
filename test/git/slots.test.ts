import { expect, it } from 'vitest'
import { Slots } from '../../src/git/slots.js'
import { ManualClock } from '../support/manual-clock.js'

function makeSlots(options: { atOnce: number; queue: number }) {
  const clock = new ManualClock()
  return { clock, slots: new Slots({ clock, waitMs: 1000, ...options }) }
}

/** Takes a slot, and tells how that went so far. */
function taker(slots: Slots, signal?: AbortSignal) {
  const taker: { state: unknown; free: () => void } = { state: 'waiting', free: () => {} }
  const done = slots.take(signal).then(
    (free) => Object.assign(taker, { state: 'in', free }),
    (error) => Object.assign(taker, { state: error }),
  )
  return Object.assign(taker, { done })
}

it('hands slots on in the order of arrival', async () => {
  const { slots } = makeSlots({ atOnce: 1, queue: 2 })
  const first = taker(slots)
  await first.done
  const second = taker(slots)
  const third = taker(slots)
  const fourth = taker(slots)
  await fourth.done
  expect([first.state, second.state, third.state, fourth.state]).toMatchObject([
    'in',
    'waiting',
    'waiting',
    { status: 503 },
  ])
  first.free()
  first.free()
  await second.done
  expect([third.state, slots.taken]).toEqual(['waiting', 1])
  second.free()
  await third.done
  third.free()
  expect(slots.taken).toBe(0)
})

it('lets nobody wait longer than allowed', async () => {
  const { slots, clock } = makeSlots({ atOnce: 1, queue: 2 })
  const first = taker(slots)
  await first.done
  const late = taker(slots)
  clock.advance(999)
  const later = taker(slots)
  clock.advance(1)
  await late.done
  expect([late.state, later.state]).toMatchObject([{ status: 503 }, 'waiting'])
  first.free()
  await later.done
  expect([later.state, clock.timers]).toEqual(['in', 0])
})

it('forgets who has left', async () => {
  const { slots, clock } = makeSlots({ atOnce: 1, queue: 1 })
  const first = taker(slots)
  await first.done
  const controller = new AbortController()
  const left = taker(slots, controller.signal)
  controller.abort('gone')
  await left.done
  const next = taker(slots)
  expect([left.state, next.state]).toEqual(['gone', 'waiting'])
  first.free()
  await next.done
  expect([next.state, slots.taken, clock.timers]).toEqual(['in', 1, 0])
  const never = taker(slots, AbortSignal.abort('gone before'))
  await never.done
  expect(never.state).toBe('gone before')
})

import { describe, expect, it } from 'vitest'
import { SystemClock, type TimeSource } from '../../src/core/clock.js'
import { ManualClock } from '../support/manual-clock.js'

/** A machine whose process can be stopped, and which can sleep. Timers that fell due meanwhile come first, late. */
class Machine implements TimeSource {
  readonly #time = new ManualClock(0)
  #slept = 0
  #set = 0

  wall = () => 1_000_000 + this.uptime() + this.#set
  monotonic = () => this.#time.now()
  uptime = () => this.#time.now() + this.#slept
  after = (ms: number, fn: () => void) => this.#time.after(ms, fn)
  every = (ms: number, fn: () => void) => this.#time.every(ms, fn)

  run(ms: number): void {
    this.#time.advance(ms)
  }
  /** As the event loop finds it after SIGCONT: each timer that is due fires once. */
  stopped(ms: number): void {
    this.#time.raise(this.#time.now() + ms)
    this.#time.fireDue()
  }
  sleep(ms: number): void {
    this.#slept += ms
  }
  setWall(ms: number): void {
    this.#set += ms
  }
}

function watched() {
  const machine = new Machine()
  const clock = new SystemClock(0, machine)
  clock.watch()
  const fired: string[] = []
  return { machine, clock, fired }
}

describe('a clock that is watched', () => {
  it('leaves out of its running what it was stopped for, and holds back what fell due', () => {
    const { machine, clock, fired } = watched()
    clock.after(10_000, () => fired.push('soon'))
    clock.after(60_000, () => fired.push('later'))
    clock.every(1000, () => fired.push('each second'))
    machine.run(2000)
    expect(fired.splice(0)).toEqual(['each second', 'each second'])
    machine.stopped(85_000)
    expect(fired).toEqual([])
    expect(clock.now()).toBe(1_000_000 + 87_000)
    expect(clock.away()).toBe(85_000)
    expect(clock.ran()).toBe(4000)
    expect(clock.awake()).toBe(0)
    machine.run(999)
    expect(fired).toEqual([])
    machine.run(5001)
    expect(fired).toContain('soon')
    expect(fired.filter((name) => name === 'each second').length).toBeGreaterThanOrEqual(4)
    machine.run(60_000)
    expect(fired).toContain('later')
    expect(clock.awake()).toBe(66_000)
  })

  it('notices a sleep that the monotonic clock leaves out, and goes on with the world', () => {
    const { machine, clock, fired } = watched()
    clock.after(10_000, () => fired.push('timer'))
    machine.run(2000)
    machine.sleep(8 * 3_600_000)
    machine.run(500)
    expect(clock.now()).toBe(1_000_000 + 8 * 3_600_000 + 2500)
    expect(clock.away()).toBe(8 * 3_600_000)
    expect(clock.ran()).toBe(2500)
    expect(clock.awake()).toBe(0)
    machine.run(7500)
    expect(fired).toEqual(['timer'])
  })

  it('takes neither a busy moment nor a set wall clock for an absence', () => {
    const { machine, clock } = watched()
    machine.run(1000)
    machine.stopped(1900)
    machine.setWall(86_400_000)
    machine.run(1000)
    machine.setWall(-2 * 86_400_000)
    machine.run(1000)
    expect(clock.away()).toBe(0)
    expect(clock.ran()).toBe(4900)
    expect(clock.now()).toBe(1_004_900)
  })

  it('never goes back, however long its loop does not turn', () => {
    const { machine, clock } = watched()
    let before = clock.ran()
    for (const ms of [100, 1900, 3000, 10, 700, 86_400_000, 1, 2001]) {
      machine.stopped(ms)
      expect(clock.ran()).toBeGreaterThanOrEqual(before)
      before = clock.ran()
    }
  })
})

/**
 * Virtual time: one queue of what happens when. Time passes only from one entry to the next; entries of the same moment
 * come in an order that the seed decides. The wall clock is a second one beside it that can be set, as on any machine.
 */
import type { TimeSource } from '../core/clock.js'
import type { SimRandom } from './random.js'

interface Entry {
  at: number
  tie: number
  fn: () => void
  everyMs?: number
}

const startWall = Date.UTC(2026, 0, 5, 9)

export class SimTime implements TimeSource {
  readonly #random: SimRandom
  readonly #queue = new Set<Entry>()
  #now = 0
  #jumped = 0

  constructor(random: SimRandom) {
    this.#random = random
  }

  monotonic(): number {
    return this.#now
  }

  /** Simulated machines do not sleep. */
  uptime(): number {
    return this.#now
  }

  wall(): number {
    return startWall + this.#now + this.#jumped
  }

  /** Somebody sets the wall clock. */
  jump(ms: number): void {
    this.#jumped += ms
  }

  after(ms: number, fn: () => void): () => void {
    return this.#add({ at: this.#now + Math.max(0, ms), tie: this.#random.next(), fn })
  }

  every(ms: number, fn: () => void): () => void {
    return this.#add({ at: this.#now + ms, tie: this.#random.next(), fn, everyMs: ms })
  }

  /** Moves to the next entry and runs it. Returns false if there is none. */
  step(): boolean {
    let next: Entry | undefined
    for (const entry of this.#queue) {
      if (!next || entry.at < next.at || (entry.at === next.at && entry.tie < next.tie)) next = entry
    }
    if (!next) return false
    this.#now = next.at
    if (next.everyMs === undefined) this.#queue.delete(next)
    else {
      next.at += next.everyMs
      next.tie = this.#random.next()
    }
    next.fn()
    return true
  }

  #add(entry: Entry): () => void {
    this.#queue.add(entry)
    return () => this.#queue.delete(entry)
  }
}

/** The time of one process: when it is gone, none of its timers fires any more. */
export class ProcessTime implements TimeSource {
  readonly #time: SimTime
  readonly #stops = new Set<() => void>()
  #over = false

  constructor(time: SimTime) {
    this.#time = time
  }

  wall(): number {
    return this.#time.wall()
  }

  monotonic(): number {
    return this.#time.monotonic()
  }

  uptime(): number {
    return this.#time.uptime()
  }

  after(ms: number, fn: () => void): () => void {
    if (this.#over) return () => undefined
    const stop = this.#time.after(ms, () => {
      this.#stops.delete(stop)
      fn()
    })
    return this.#kept(stop)
  }

  every(ms: number, fn: () => void): () => void {
    return this.#over ? () => undefined : this.#kept(this.#time.every(ms, fn))
  }

  end(): void {
    this.#over = true
    for (const stop of this.#stops) stop()
    this.#stops.clear()
  }

  #kept(stop: () => void): () => void {
    this.#stops.add(stop)
    return () => {
      this.#stops.delete(stop)
      stop()
    }
  }
}

import type { Clock } from '../../src/core/clock.js'

interface Timer {
  at: number
  fn: () => void
  everyMs?: number
}

/** A clock that stands still until it is moved. Timers that fall due run in order while it moves. */
export class ManualClock implements Clock {
  #now: number
  #away = 0
  /** It has run for long, until it is paused. */
  #backAt = Number.NEGATIVE_INFINITY
  readonly #timers = new Set<Timer>()

  constructor(start = Date.UTC(2026, 0, 1)) {
    this.#now = start
  }

  now(): number {
    return this.#now
  }

  ran(): number {
    return this.#now - this.#away
  }

  away(): number {
    return this.#away
  }

  awake(): number {
    return this.#now - this.#backAt
  }

  /** The process does not run for `ms`: time goes on, and its timers wait. */
  pause(ms: number): void {
    this.#now += ms
    this.#away += ms
    this.#backAt = this.#now
    for (const timer of this.#timers) timer.at += ms
  }

  raise(notBefore: number): void {
    this.#now = Math.max(this.#now, notBefore)
  }

  after(ms: number, fn: () => void): () => void {
    return this.#add({ at: this.#now + ms, fn })
  }

  every(ms: number, fn: () => void): () => void {
    return this.#add({ at: this.#now + ms, fn, everyMs: ms })
  }

  /** Moves the clock `ms` on. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#now = next.at
      if (next.everyMs === undefined) this.#timers.delete(next)
      else next.at += next.everyMs
      next.fn()
    }
    this.#now = end
  }

  /** Fires each timer that is due once, however often it would have been: what a process does that was stopped. */
  fireDue(): void {
    const due = [...this.#timers].filter((timer) => timer.at <= this.#now).sort((a, b) => a.at - b.at)
    for (const timer of due) {
      if (timer.everyMs === undefined) this.#timers.delete(timer)
      else timer.at = this.#now + timer.everyMs
      timer.fn()
    }
  }

  get timers(): number {
    return this.#timers.size
  }

  #next(end: number): Timer | undefined {
    let best: Timer | undefined
    for (const timer of this.#timers) if (timer.at <= end && (!best || timer.at < best.at)) best = timer
    return best
  }

  #add(timer: Timer): () => void {
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }
}

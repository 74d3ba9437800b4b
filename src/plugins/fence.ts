/**
 * Between us and a plugin. Every call of a hook goes through the plugin's fence: it has a deadline, waits in a bounded
 * queue, and its answer is checked. Whatever goes wrong is counted against the plugin and told to the caller, who uses a
 * default; nothing that a plugin throws comes out of here.
 *
 * The breaker: `closed`, calls pass; after 5 failures within 60 s `open`, calls are refused at once; after 30 s
 * `half_open`, one call is let through, and its end closes the breaker or opens it anew.
 */
import type { Clock } from '../core/clock.js'
import { asError } from './as-error.js'
import { Breaker, type Settle } from './breaker.js'

/** What came of a call. `refused`: the plugin was not called, since its breaker is open or too many calls wait. */
export type Answer<T> = { ok: true; value: T } | { ok: false; error: Error; refused: boolean }

export interface CallOptions {
  /** Milliseconds after which the call has failed, and what comes later is dropped. Absent: it may take as long as it likes. */
  deadlineMs?: number
  /** `serial`: calls of the same name wait for one another, at most 100. Default `free`. */
  order?: 'serial' | 'free'
  /** Default true. False: the call is made even if the breaker is open, since there is no default to use instead. */
  breaks?: boolean
}

export interface FenceOptions {
  /** Hears of each failure; must not throw. `lateInARow`: how many calls in a row, this one included, had no answer in time. */
  onFailure: (error: Error, what: string, lateInARow: number) => void
  /** Why the plugin cannot be called at this moment, if it cannot. Its breaker does not hear of such calls. */
  away?: () => string | undefined
}

/** How long calls take, in milliseconds. */
export interface Latency {
  /** Of all calls together. */
  totalMs: number
  /** Of the last 100 calls: half were quicker, and the slowest. */
  medianMs: number
  slowestMs: number
}

/** Nobody has answered in time. */
class LateError extends Error {}

const queueLimit = 100
const remembered = 100
const notCalled = 'the plugin is not called for a while, it has failed too often'

export class Fence {
  readonly breaker: Breaker
  readonly #clock: Clock
  readonly #options: FenceOptions
  readonly #queues = new Map<string, Queue>()
  #calls = 0
  #failures = 0
  #refused = 0
  #lateInARow = 0
  #totalMs = 0
  /** How long the last calls took, in milliseconds. */
  #recent: number[] = []

  constructor(clock: Clock, options: FenceOptions) {
    this.#clock = clock
    this.#options = options
    this.breaker = new Breaker(clock)
  }

  /** Calls made, calls that failed, and calls that were not made. */
  get counts(): { calls: number; failures: number; refused: number } {
    return { calls: this.#calls, failures: this.#failures, refused: this.#refused }
  }

  get latency(): Latency {
    const sorted = [...this.#recent].sort((a, b) => a - b)
    return {
      totalMs: this.#totalMs,
      medianMs: sorted[Math.floor(sorted.length / 2)] ?? 0,
      slowestMs: sorted.at(-1) ?? 0,
    }
  }

  /** Makes the call `what` and waits for its answer, which `read` checks and copies. Never rejects. */
  async call<T>(
    what: string,
    make: () => unknown,
    read: (value: unknown) => T,
    options: CallOptions = {},
  ): Promise<Answer<T>> {
    const queue = options.order === 'serial' ? this.#queue(what) : undefined
    if (queue && !queue.enter()) return this.#refuse(`${what}: ${queueLimit} calls wait already`)
    await queue?.turn()
    const away = this.#options.away?.()
    const settle = options.breaks === false ? () => undefined : away === undefined ? this.breaker.admit() : undefined
    const startedAt = performance.now()
    try {
      if (away !== undefined) return this.#refuse(`${what}: ${away}`)
      if (!settle) return this.#refuse(`${what}: ${notCalled}`)
      this.#calls++
      const value = read(await inTime(this.#clock, options.deadlineMs, make))
      this.#took(performance.now() - startedAt)
      this.#lateInARow = 0
      settle(true)
      return { ok: true, value }
    } catch (thrown) {
      this.#took(performance.now() - startedAt)
      return this.#fail(what, thrown, settle)
    } finally {
      queue?.leave()
    }
  }

  /** The same for a hook that must answer at once. */
  callNow<T>(what: string, make: () => unknown, read: (value: unknown) => T): Answer<T> {
    const settle = this.breaker.admit()
    if (!settle) return this.#refuse(`${what}: ${notCalled}`)
    this.#calls++
    const startedAt = performance.now()
    try {
      const value = read(ignoreRejection(make()))
      this.#took(performance.now() - startedAt)
      settle(true)
      return { ok: true, value }
    } catch (thrown) {
      return this.#fail(what, thrown, settle)
    }
  }

  #fail(what: string, thrown: unknown, settle: Settle | undefined): Answer<never> {
    const error = asError(thrown)
    this.#failures++
    this.#lateInARow = thrown instanceof LateError ? this.#lateInARow + 1 : 0
    settle?.(false)
    this.#options.onFailure(error, what, this.#lateInARow)
    return { ok: false, error, refused: false }
  }

  #took(ms: number): void {
    this.#totalMs += ms
    this.#recent.push(ms)
    if (this.#recent.length > remembered) this.#recent.shift()
  }

  #refuse(message: string): Answer<never> {
    this.#refused++
    return { ok: false, error: new Error(message), refused: true }
  }

  #queue(what: string): Queue {
    let queue = this.#queues.get(what)
    if (!queue) {
      queue = new Queue()
      this.#queues.set(what, queue)
    }
    return queue
  }
}

/** One call at a time, in the order in which they came. */
class Queue {
  #tail: Promise<void> = Promise.resolve()
  #waiting = 0
  #next: (() => void)[] = []

  /** Takes a place. Returns false if none is free. */
  enter(): boolean {
    if (this.#waiting > queueLimit) return false
    this.#waiting++
    return true
  }

  /** Waits for those before. */
  turn(): Promise<void> {
    const before = this.#tail
    this.#tail = new Promise((resolve) => this.#next.push(resolve))
    return before
  }

  leave(): void {
    this.#waiting--
    this.#next.shift()?.()
  }
}

/**
 * What `make` gives, if it comes within `deadlineMs` (undefined: whenever it comes); rejects otherwise, and with what
 * `make` throws. An answer after the deadline, good or bad, is dropped.
 */
export function inTime(
  clock: Pick<Clock, 'after'>,
  deadlineMs: number | undefined,
  make: () => unknown,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new LateError(`no answer within ${deadlineMs} ms`))
    const stop = deadlineMs === undefined ? undefined : clock.after(deadlineMs, late)
    Promise.resolve()
      .then(make)
      .finally(() => stop?.())
      .then(resolve, reject)
  })
}

/**
 * Takes a value that should be there at once. If it is a promise all the same, what becomes of it does not matter, except
 * that a rejection nobody hears of would end the process.
 */
export function ignoreRejection<T>(value: T): T {
  if (value instanceof Promise) value.catch(() => undefined)
  return value
}

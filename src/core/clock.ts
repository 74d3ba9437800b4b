/** Time and randomness, which everything in the core is given rather than takes. */
import { randomBytes } from 'node:crypto'
import os from 'node:os'

/** Time as the core sees it. All of it is injected, so that tests and the simulator can turn it by hand. */
export interface Clock {
  /** Milliseconds since 1970. Never goes back. */
  now(): number
  /**
   * Milliseconds for which this process has run: what it was stopped, asleep or kept from turning is left out. Whoever
   * counts how long others are silent counts by this. Never goes back.
   */
  ran(): number
  /** Milliseconds that are left out of `ran` so far. */
  away(): number
  /** Milliseconds that it has run since its start or, if it was away since, since it came back. */
  awake(): number
  /**
   * Calls `fn` once, after `ms` of running, unless the returned function is called before; what fell due while the process
   * was away comes a second after it is back, when sockets have been read. Does not keep a process alive.
   */
  after(ms: number, fn: () => void): () => void
  /** Calls `fn` every `ms` until the returned function is called; in the first second after a pause not. The same. */
  every(ms: number, fn: () => void): () => void
}

/** Source of random bytes for tokens, ids and keys. */
export interface Random {
  bytes(count: number): Buffer
}

export const systemRandom: Random = { bytes: randomBytes }

/** Where the node's clock takes its time from: the machine's, or a simulation's. */
export interface TimeSource {
  /** The wall clock, in milliseconds since 1970. May be set, forwards and back. */
  wall(): number
  /** Milliseconds since some moment. Never goes back; on Linux it stands still while the machine sleeps. */
  monotonic(): number
  /** Milliseconds since some moment, the machine's sleep counted. */
  uptime(): number
  after(ms: number, fn: () => void): () => void
  every(ms: number, fn: () => void): () => void
}

const systemTime: TimeSource = {
  wall: () => Date.now(),
  monotonic: () => performance.now(),
  uptime: () => os.uptime() * 1000,
  after(ms, fn) {
    const timer = setTimeout(fn, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
  every(ms, fn) {
    const timer = setInterval(fn, ms)
    timer.unref()
    return () => clearInterval(timer)
  },
}

const beatEveryMs = 500
/** So long between two beats, and the process was away. A loop that is merely busy turns more often. */
const awayFromMs = 2000
/** Sockets are read for 1 s before anything that fell due meanwhile is done. */
const catchUpMs = 1000

/**
 * The node's clock: the wall time at start plus the time since by clocks that nobody can set, so that a jump of the wall
 * clock neither expires nor prolongs a lease.
 *
 * Once it is watched it notices that the process was away: stopped (SIGSTOP, a frozen container, a VM that moves), starved,
 * or asleep with its machine, which the monotonic clock of Linux leaves out. The first thing that runs afterwards are timers,
 * before any socket is read; so nothing that falls due then can tell a silent peer from one whose words wait to be read.
 */
export class SystemClock implements Clock {
  readonly #time: TimeSource
  readonly #started: number
  /** `now` at the start. */
  #origin: number
  #beatAt = Number.POSITIVE_INFINITY
  #uptimeAhead = 0
  #leftOut = 0
  #away = 0
  #backAt: number

  /** `notBefore` (ms): the clock does not start behind it. */
  constructor(notBefore = 0, time: TimeSource = systemTime) {
    this.#time = time
    this.#started = time.monotonic()
    this.#backAt = this.#started
    this.#origin = Math.max(time.wall(), notBefore)
  }

  now(): number {
    return Math.floor(this.#origin + (this.#time.monotonic() - this.#started))
  }

  /** The latest time that the store has recorded (ms): the clock goes on from there if it is behind. */
  raise(notBefore: number): void {
    const behind = notBefore - this.now()
    if (behind > 0) this.#origin += behind
  }

  /** The time that nodes agree on (ms): the clock goes on from there. Before anything was timed by it. */
  follow(agreed: number): void {
    this.#origin += agreed - this.now()
  }

  ran(): number {
    this.#look()
    return Math.floor(this.#time.monotonic() - this.#started - this.#leftOut)
  }

  away(): number {
    this.#look()
    return this.#away
  }

  awake(): number {
    this.#look()
    return Math.floor(this.#time.monotonic() - this.#backAt)
  }

  after(ms: number, fn: () => void): () => void {
    const due = this.ran() + ms
    let stop: () => void
    const arm = (wait: number) => {
      stop = this.#time.after(wait, () => {
        const rest = Math.max(due - this.ran(), this.#catchingUp())
        if (rest > 0) arm(rest)
        else fn()
      })
    }
    arm(ms)
    return () => stop()
  }

  every(ms: number, fn: () => void): () => void {
    return this.#time.every(ms, () => {
      if (this.#catchingUp() <= 0) fn()
    })
  }

  /** Begins to notice pauses. Returns what ends it. */
  watch(): () => void {
    this.#beatAt = this.#time.monotonic()
    this.#uptimeAhead = this.#time.uptime() - this.#beatAt
    const stop = this.#time.every(beatEveryMs, () => this.#beat())
    return () => {
      stop()
      this.#beatAt = Number.POSITIVE_INFINITY
    }
  }

  #beat(): void {
    this.#look()
    this.#beatAt = this.#time.monotonic()
    const ahead = this.#time.uptime() - this.#beatAt
    const slept = ahead - this.#uptimeAhead
    this.#uptimeAhead = ahead
    if (slept <= awayFromMs) return
    // The world has gone on: only `now` has to, since `ran` has not counted it.
    this.#origin += slept
    this.#away += slept
    this.#backAt = this.#beatAt
  }

  #look(): void {
    const now = this.#time.monotonic()
    const gap = now - this.#beatAt
    if (gap <= awayFromMs) return
    this.#leftOut += gap - awayFromMs
    this.#away += gap
    this.#beatAt = now
    this.#backAt = now
  }

  /** Milliseconds until what came in meanwhile has been read. */
  #catchingUp(): number {
    return this.away() === 0 ? 0 : catchUpMs - this.awake()
  }
}

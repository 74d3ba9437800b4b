import { randomBytes } from 'node:crypto'

/** Time as the core sees it. All of it is injected, so that tests and the simulator can turn it by hand. */
export interface Clock {
  /** Milliseconds since 1970. Never goes back. */
  now(): number
  /** Calls `fn` once, `ms` from now, unless the returned function is called before. Does not keep a process alive. */
  after(ms: number, fn: () => void): () => void
  /** Calls `fn` every `ms` until the returned function is called. Does not keep a process alive. */
  every(ms: number, fn: () => void): () => void
}

/** Source of random bytes for tokens, ids and keys. */
export interface Random {
  bytes(count: number): Buffer
}

export const systemRandom: Random = { bytes: randomBytes }

/** Where the node's clock takes its time from: the machine's, or a simulation's. */
export interface TimeSource extends Pick<Clock, 'after' | 'every'> {
  /** The wall clock, in milliseconds since 1970. May be set, forwards and back. */
  wall(): number
  /** Milliseconds since some moment. Never goes back. */
  monotonic(): number
}

const systemTime: TimeSource = {
  wall: () => Date.now(),
  monotonic: () => performance.now(),
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

/**
 * The node's clock: the wall time at start plus monotonic time since, so that a jump of the wall clock neither expires
 * nor prolongs a lease. `notBefore` (ms) is the latest time that the store has recorded: the clock does not start behind it.
 */
export function systemClock(notBefore = 0, time: TimeSource = systemTime): Clock & { raise(notBefore: number): void } {
  const startedMono = time.monotonic()
  let offset = Math.max(time.wall(), notBefore)
  return {
    now: () => Math.floor(offset + (time.monotonic() - startedMono)),
    raise(floor) {
      const behind = floor - this.now()
      if (behind > 0) offset += behind
    },
    after: (ms, fn) => time.after(ms, fn),
    every: (ms, fn) => time.every(ms, fn),
  }
}

import { setTimeout as sleep } from 'node:timers/promises'
import type { JobContext } from './context.js'
import { formatDuration } from './duration.js'
import type { Failure } from './report.js'
import type { Stop } from './stop.js'

// Node: a timer of more milliseconds fires at once.
export const maxTimerMs = 2 ** 31 - 1

/** What a script that has overrun its time may still take to end. */
export const timeoutGraceMs = 10_000

/** A signal that is pulled after so many milliseconds; 0 is never. */
export function deadline(ms: number): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController()
  if (ms <= 0) return { signal: controller.signal, clear: () => undefined }
  const stop: Stop = { cause: 'timeout', graceMs: timeoutGraceMs }
  const timer = setTimeout(() => controller.abort(stop), Math.min(ms, maxTimerMs))
  return { signal: controller.signal, clear: () => clearTimeout(timer) }
}

/** Resolves when the signal is pulled. */
export function pulled(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined)
    signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}

/** The promise's value, or nothing if that takes longer; a rejection is nothing too. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  const over = new AbortController()
  const late = sleep(ms, undefined, { signal: over.signal }).catch(() => undefined)
  const value = await Promise.race([promise.catch(() => undefined), late])
  over.abort()
  return value
}

/** Tries a stage again, with growing waits between, until it succeeds or the attempts are used up. */
export async function attempt(
  { retryWaitMs, stop, log }: JobContext,
  attempts: number,
  body: (attempt: number) => Promise<Failure | undefined>,
): Promise<Failure | undefined> {
  for (let count = 0; ; count++) {
    const failure = await body(count)
    if (failure === undefined || stop.everything.aborted || count + 1 >= attempts) return failure
    const waitMs = Math.min(retryWaitMs.first * 2 ** count, retryWaitMs.longest)
    log.warning(`${failure.message}; trying again in ${formatDuration(waitMs)}`)
    await within(waitMs, pulled(stop.everything))
  }
}

/** Deadlines, pauses and signals. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Stop } from './stop.js'

// Node: a timer of more milliseconds fires at once.
export const maxTimerMs = 2 ** 31 - 1

/** What a script that has overrun its time may still take to end. */
export const timeoutGraceMs = 10_000

/** A signal that is pulled after `ms` milliseconds; 0 is never. */
export function deadline(ms: number): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController()
  if (ms <= 0) return { signal: controller.signal, clear: () => undefined }
  const stop: Stop = { cause: 'timeout', graceMs: timeoutGraceMs }
  const timer = setTimeout(() => controller.abort(stop), Math.min(ms, maxTimerMs))
  return { signal: controller.signal, clear: () => clearTimeout(timer) }
}

/**
 * The promise's value, or nothing once the signal is pulled. A job has few signals and may wait thousands of times, so
 * nothing stays with the signal.
 */
export async function unlessPulled<T>(signal: AbortSignal, promise: Promise<T>): Promise<T | undefined> {
  if (signal.aborted) {
    promise.catch(() => undefined)
    return undefined
  }
  let stop = () => {}
  const pulled = new Promise<undefined>((resolve) => {
    stop = () => resolve(undefined)
    signal.addEventListener('abort', stop)
  })
  try {
    return await Promise.race([promise, pulled])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** Waits for `ms` milliseconds, or until the signal is pulled. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined)
}

/** The promise's value, or nothing if that takes longer; a rejection is nothing too. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  const over = new AbortController()
  const late = sleep(ms, undefined, { signal: over.signal }).catch(() => undefined)
  const value = await Promise.race([promise.catch(() => undefined), late])
  over.abort()
  return value
}

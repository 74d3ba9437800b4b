/** Waits for a database that is away. */
import { SignalboxError } from '../errors.js'
import type { Log } from '../log.js'

const askAgainMs = 500

/** Whether the error says that the database is away, and that it may come back. */
export function isStoreAway(error: unknown): boolean {
  return error instanceof SignalboxError && error.details.away === true
}

/** Does `work` again while the database is away, for so long from the first call of this function that it gives. */
export function patience(waitMs: number, log: Log): <T>(work: () => Promise<T>) => Promise<T> {
  const deadline = performance.now() + waitMs
  let told = false
  return async (work) => {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        const leftMs = deadline - performance.now()
        if (!isStoreAway(error) || leftMs <= 0) throw error
        if (!told) log.warn({ err: error, wait_ms: waitMs }, `the database is away: waiting for it`)
        told = true
        await new Promise((resolve) => setTimeout(resolve, Math.min(askAgainMs, leftMs)))
      }
    }
  }
}

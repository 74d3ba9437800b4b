import { vi } from 'vitest'

/** Asks again until it holds: for what the core does after a commit, of which no event tells the test. */
export function eventually<T>(body: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(body, { timeout: 100_000, interval: 20 })
}

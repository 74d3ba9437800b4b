/**
 * Counts what planning does, so that a thread with other work can stop it in time: whatever may be repeated a stranger's
 * number of times is spent before it is done. A step is about a microsecond of one core. Planning never waits, so one
 * count at a time is enough.
 */
let left = Number.POSITIVE_INFINITY

class OverBudget extends Error {
  override readonly name = 'OverBudget'
}

/** Counts work that is about to be done. Throws inside `within`, when that is more than was granted. */
export function spend(steps: number): void {
  left -= steps
  if (left < 0) throw new OverBudget()
}

/**
 * Runs a computation that may take so many steps.
 *
 * @param body synchronous, and without effects that its end would have to undo
 * @returns what it gives and the steps it took; undefined when they were not enough
 */
export function within<T>(steps: number, body: () => T): { value: T; used: number } | undefined {
  const outer = left
  left = steps
  try {
    const value = body()
    return { value, used: steps - left }
  } catch (error) {
    if (error instanceof OverBudget) return undefined
    throw error
  } finally {
    left = outer
  }
}

/**
 * The end of every promise that nobody waits for is written down: `.catch(…)` with what becomes of its failure, or
 * `.catch(asFault)` where it says of itself that it never fails.
 */

/** A failure here is a fault of our own: it goes to where faults that nobody caught are counted (`src/faults.ts`). */
export function asFault(error: unknown): never {
  throw error
}

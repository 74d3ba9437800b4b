/** Work on many things of which one may fail. */
import type { Log } from './log.js'

/** Does one thing after the other; what fails is logged and holds up none of the others. Returns how many went well. */
export async function eachSafely<T>(
  log: Log,
  what: string,
  items: readonly T[],
  one: (item: T) => Promise<unknown>,
): Promise<number> {
  let done = 0
  for (const item of items) {
    try {
      await one(item)
      done++
    } catch (error) {
      log.error({ err: error, item }, `${what} failed`)
    }
  }
  return done
}

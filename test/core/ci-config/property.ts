import type { Parameters } from 'fast-check'

const isLong = process.env.SIGNALBOX_TEST_LONG === '1'

/** How properties are tried: the same few examples every day, many new ones in the long run. */
export function tries(few: number): Parameters<unknown> {
  return isLong ? { numRuns: few * 20 } : { numRuns: few, seed: 42 }
}

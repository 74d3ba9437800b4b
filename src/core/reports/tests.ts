/** Test cases of reports, and how many of them ended how. */

export type TestStatus = 'success' | 'failed' | 'error' | 'skipped'

/** A test case, whatever report it is from. */
export interface TestCase {
  status: TestStatus
  name: string
  classname: string
  file: string | null
  /** In seconds. */
  time: number
  /** What a case says that did not succeed. */
  output: string | null
}

/** How many cases ended how, and how long all took. */
export interface TestCounts {
  /** In seconds. */
  time: number
  count: number
  success: number
  failed: number
  error: number
  skipped: number
}

/** Returns the counts of a list of cases. */
export function countTests(cases: Iterable<TestCase>): TestCounts {
  const counts = noTests()
  for (const { status, time } of cases) {
    counts.count++
    counts[status]++
    counts.time += time
  }
  counts.time = rounded(counts.time)
  return counts
}

/** Returns the counts of no cases. */
export function noTests(): TestCounts {
  return { time: 0, count: 0, success: 0, failed: 0, error: 0, skipped: 0 }
}

/** Returns the sum of two counts. */
export function addCounts(one: TestCounts, other: TestCounts): TestCounts {
  return {
    time: rounded(one.time + other.time),
    count: one.count + other.count,
    success: one.success + other.success,
    failed: one.failed + other.failed,
    error: one.error + other.error,
    skipped: one.skipped + other.skipped,
  }
}

/** Sums of decimal fractions have tails that nobody wrote. */
function rounded(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e6
}

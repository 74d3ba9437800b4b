/** What every list for people and scripts is given: which part, in which direction, and how far it is counted. */

/** A part of a list: `limit` rows after the first `offset`. */
export interface Page {
  limit: number
  offset: number
}

/** By id or another column, rising or falling. */
export type Sort = 'asc' | 'desc'

/** Rows are counted so far, and no further: GitLab tells no total beyond that either (its `MAX_COUNT_LIMIT`). */
export const countedTo = 10_000

/** Returns the count of rows that were counted up to one more than `countedTo`; undefined: there are more. */
export function toCount(counted: number | string | bigint): number | undefined {
  const count = Number(counted)
  return count > countedTo ? undefined : count
}

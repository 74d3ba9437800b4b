/** What every list for people and scripts is given: which part, and in which direction. */

/** A part of a list: `limit` rows after the first `offset`. */
export interface Page {
  limit: number
  offset: number
}

/** By id or another column, rising or falling. */
export type Sort = 'asc' | 'desc'

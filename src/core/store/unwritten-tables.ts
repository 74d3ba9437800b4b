/** Which tables have rows that may wait to be inserted (`unwritten.ts`), and which statements might see them. */

/** Tables whose rows may wait, those that refer to others behind them. */
export const unwrittenTables = [
  'pipelines',
  'stages',
  'job_definitions',
  'jobs',
  'job_needs',
  'payloads',
  'leases',
] as const

/** A table whose rows may wait. */
export type UnwrittenTable = (typeof unwrittenTables)[number]

const named = new RegExp(`\\b(?:${unwrittenTables.join('|')})\\b`)
/** Rows of these refer to none of those. */
const apart = /^\s*(?:insert into|update)\s+"?(?:projects|lanes|events|demands)\b/i
const reading = /^\s*(?:select|with\s+recursive)\b/i

/** Whether a statement might see rows of those tables, or refer to them. */
export function seesUnwritten(sql: string): boolean {
  return named.test(sql) || !(apart.test(sql) || reading.test(sql))
}

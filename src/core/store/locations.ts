/** Which places of bytes have a row. */
import type { Reader } from './write.js'

/** The tables whose rows name bytes by their place. */
export type LocatedTable = 'artifacts' | 'caches'

/** Of these locations, those that a row names. */
export async function listLocated(from: Reader, table: LocatedTable, locations: readonly string[]): Promise<string[]> {
  const rows = await from.db.selectFrom(table).select('location').where('location', 'in', locations).execute()
  return rows.map((row) => row.location)
}

/** The time that nodes agree on: the database's. On SQLite, where a node is alone, its own. */
import { type RawBuilder, sql } from 'kysely'
import type { Reader, Tx } from './write.js'

/** Milliseconds since 1970, as an expression of a query. */
export function databaseNow({ engine, now }: Pick<Reader | Tx, 'engine' | 'now'>): RawBuilder<number> {
  return engine === 'sqlite'
    ? sql<number>`cast(${now} as bigint)`
    : sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`
}

/** Asks for it. */
export async function readDatabaseTime(from: Reader): Promise<number> {
  const { rows } = await sql<{ now: number }>`select ${databaseNow(from)} as now`.execute(from.db)
  return Number(rows[0]!.now)
}

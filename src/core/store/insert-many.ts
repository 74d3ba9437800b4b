/** Rows that come together, inserted by few statements. */
import type { Compilable, Kysely } from 'kysely'
import { type HotQuery, hotQuery, type Placeholder, type Value } from './hot-query.js'
import type { Database } from './schema.js'

/** A row by the names of the parameters that its columns are given by. */
export type Row = Readonly<Record<string, Value>>

/** The statement that inserts so many rows. */
export type ManyRows = (count: number) => HotQuery<never, string>

/** A statement and its values. */
export interface Insertion {
  query: HotQuery<never, string>
  params: Row
}

/** Rows in one statement: their own cost is most of it then. */
const atOnce = 25

/** Declares the statements for one row, for two, and so on; each is made when it is first asked for. */
export function manyRows(
  build: (
    db: Kysely<Database>,
    p: (name: string, row: number) => Placeholder,
    rows: readonly number[],
  ) => Compilable<unknown>,
): ManyRows {
  const made: HotQuery<never, string>[] = []
  return (count) => {
    const rows = Array.from({ length: count }, (_, row) => row)
    made[count] ??= hotQuery((db, p) => build(db, (name, row) => p(`${name} ${row}`), rows), { keepsKnown: true })
    return made[count]
  }
}

/** The statements that insert these rows. What is known of them is the caller's to tell. */
export function insertions(statements: ManyRows, rows: readonly Row[]): Insertion[] {
  const list: Insertion[] = []
  for (let from = 0; from < rows.length; from += atOnce) {
    const some = rows.slice(from, from + atOnce)
    const params: Record<string, Value> = {}
    for (const [i, row] of some.entries()) for (const name of Object.keys(row)) params[`${name} ${i}`] = row[name]!
    list.push({ query: statements(some.length), params })
  }
  return list
}
